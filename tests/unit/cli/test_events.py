"""``ctrctl events``: which entries, and how one is printed."""

from __future__ import annotations

import io
import json

import pytest

from supervisor.cli.console import Console
from supervisor.cli.events import Period, arguments, show
from supervisor.cli.journal import advised
from supervisor.errors import UserError
from supervisor.events import entry
from supervisor.events.event import Event, Job, Kind
from supervisor.paths import Layout

WRITER = 990
AT = 1_700_000_000_123_456


def shown(event: Event, *, as_json: bool = False, sender: int = WRITER) -> str:
    raw = {key: value.encode() for key, value in (entry.fields(event) | {"_UID": str(sender)}).items()}
    out = io.StringIO()
    show([raw], Console(io.StringIO(), out, io.StringIO(), {}, Layout("/nowhere")), WRITER, json=as_json)
    return out.getvalue()


def test_only_the_supervisors_entries_are_asked_for() -> None:
    """And of those only what fits the filters; the same key twice is an alternative, as in journalctl."""
    words = arguments(False, "all", "10m", None, ["name=web", "name=db", "event=exited"], WRITER)
    assert f"_UID={WRITER}" in words and "--since=-10m" in words
    assert words[-3:] == ("CTR_CONTAINER=web", "CTR_CONTAINER=db", "CTR_EVENT=exited")


@pytest.mark.parametrize(
    ("follow", "tail", "since", "words"),
    [
        (True, "all", None, ("-n", "0", "-f")),
        (True, "all", "1h", ("-n", "all", "-f")),
        (True, "5", None, ("-n", "5", "-f")),
        (False, "5", None, ("-n", "5")),
    ],
)
def test_following_begins_now(follow: bool, tail: str, since: str | None, words: tuple[str, ...]) -> None:
    """Unless a time or a number says otherwise."""
    assert arguments(follow, tail, since, None, (), WRITER)[: len(words)] == words


@pytest.mark.parametrize(
    ("since", "until", "inside", "outside"),
    [
        ("10m", None, 9500, 9000),
        ("1h30m", "1h", 5000, 9000),
        ("@9000", "9999999999", 9500, 8000),
        (None, "1970-01-01T02:00:00Z", 7000, 7300),
        ("yesterday", None, 0, None),
    ],
)
def test_times_are_those_at_which_it_happened(
    since: str | None, until: str | None, inside: int, outside: int | None
) -> None:
    """After a time in which nobody looked an event is told later than that; it is found when it happened."""
    period = Period.of(since, until, 10_000.0)
    assert inside in period and (outside is None or outside not in period)


def test_what_was_told_later_is_asked_for() -> None:
    """Only words that nobody else understands limit what journalctl gives."""
    assert not any(word.startswith("--until") for word in arguments(False, "all", "1h", "10m", (), WRITER))
    assert "--until=yesterday" in arguments(False, "all", None, "yesterday", (), WRITER)


@pytest.mark.parametrize("text", ["x=y", "event=born", "name", ""])
def test_a_filter_that_is_none(text: str) -> None:
    """It says what there is."""
    with pytest.raises(UserError, match=r"^filter "):
        arguments(False, "all", None, None, [text], WRITER)


def test_a_line_says_when_what_who_and_how() -> None:
    """One line an event; hostile words cannot break it."""
    line = shown(Event(Kind.EXITED, "web", AT, "a" * 32, "exited", 3))
    assert line == "2023-11-14T22:13:20.123456Z  exited      web  exited with status 3\n"
    assert shown(Event(Kind.UNHEALTHY, "web", AT, detail="\x1b[2J")).endswith("  web  \\x1b[2J\n")
    assert shown(Event(Kind.READY, "web", AT)).endswith("  ready       web\n")


def test_an_object_has_everything() -> None:
    """Members that do not apply are null."""
    found = json.loads(shown(Event(Kind.EXITED, "web", AT, "a" * 32, "killed", 9, job=Job(4, "stop")), as_json=True))
    assert found["exit"] == {"code": "killed", "status": 9, "exit_code": 137}
    assert (found["job"]["type"], found["project"], found["name"]) == ("stop", None, "web")


def test_what_others_write_is_no_event() -> None:
    """The sender's user is journald's word."""
    assert shown(Event(Kind.READY, "web", AT), sender=0) == ""


def test_whose_journal_it_is() -> None:
    """journalctl's own words do not say who may; where it is about something else, that is all there is to say."""
    assert advised("No journal files were opened due to insufficient permissions.").endswith(
        "permissions; only root and the group systemd-journal may read it"
    )
    assert advised("Failed to parse timestamp: x") == "Failed to parse timestamp: x"
