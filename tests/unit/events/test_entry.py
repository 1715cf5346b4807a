"""Events in the journal: what is written is what is read."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import entry, records
from supervisor.events.event import MESSAGE_IDS, Event, Job, Kind

TEXT = st.text(max_size=30)
EVENTS = st.builds(
    Event,
    st.sampled_from(Kind),
    st.text(string.ascii_letters, max_size=5),
    st.integers(0, 2**60),
    TEXT,
    st.just(""),
    st.just(0),
    TEXT,
    TEXT,
    st.builds(Job, st.integers(0, 2**31), TEXT, TEXT),
    TEXT,
)
WRITER = 990
FROM_US = {"_UID": str(WRITER)}


@given(EVENTS)
def test_reading_inverts_writing(event: Event) -> None:
    """Nothing is lost or changed, whatever the texts hold."""
    assert entry.event({**entry.fields(event), **FROM_US}, WRITER) == event


@pytest.mark.parametrize(("code", "status"), [("exited", 3), ("killed", 9), ("dumped", 6), ("unknown", 0)])
def test_an_exit_carries_code_and_status(code: str, status: int) -> None:
    """Both, in fields of their own and in the sentence."""
    event = Event(Kind.EXITED, "web", 5, "a" * 32, code, status)
    fields = entry.fields(event)
    assert entry.event({**fields, **FROM_US}, WRITER) == event
    assert code == "unknown" or str(status) in fields["MESSAGE"]


def test_only_the_supervisors_entries_are_events() -> None:
    """A container that is given the journal's socket cannot tell events: journald knows who sends."""
    fields = entry.fields(Event(Kind.READY, "web", 5))
    assert entry.event({**fields, "_UID": "0"}, WRITER) is None
    assert entry.event(fields, WRITER) is None


def test_every_message_is_known_once() -> None:
    """A MESSAGE_ID means one thing, and has the form of one."""
    raw = [value for key, value in vars(records).items() if key.isupper() and len(str(value)) == 32]
    ids = [*MESSAGE_IDS.values(), *raw]
    assert len(raw) == 8 and len(set(ids)) == len(ids)
    assert all(set(message_id) <= set("0123456789abcdef") and len(message_id) == 32 for message_id in ids)
    assert set(MESSAGE_IDS) == set(Kind)


def test_the_catalog_explains_every_event() -> None:
    """`journalctl -x` has an answer for every entry of ours, and only for those."""
    catalog = Path("units/ctr.catalog").read_text(encoding="utf-8")
    explained = {line.removeprefix("-- ") for line in catalog.splitlines() if line.startswith("-- ")}
    raw = {value for key, value in vars(records).items() if key.isupper() and len(str(value)) == 32}
    assert explained == set(MESSAGE_IDS.values()) | raw
