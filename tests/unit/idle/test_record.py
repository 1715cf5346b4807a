"""What a start leaves for the looks comes back as it was."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import InternalError
from supervisor.idle import record
from supervisor.idle.record import Listener, Look, Watched

NAMES = st.binary(max_size=108).map(os.fsdecode)
LISTENERS = st.builds(
    Listener,
    st.sampled_from((socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)).map(int),
    st.sampled_from((socket.SOCK_STREAM, socket.SOCK_DGRAM)).map(int),
    NAMES,
    st.integers(0, 65535),
)
SECONDS = st.floats(0, 1e12)


@given(SECONDS, SECONDS, st.integers(0, 2**32 - 1), st.lists(LISTENERS, max_size=5))
def test_record_survives(timeout: float, since: float, counter: int, listeners: list[Listener]) -> None:
    """Whatever a unix socket is called, also with line breaks, NULs and bytes that are no text."""
    found = record.loads(record.dumps(Watched(timeout, since, counter, listeners)))
    assert (found.timeout, found.since, found.counter) == (timeout, since, counter)
    assert found.listeners == tuple(listeners)


@pytest.mark.parametrize("text", ["", "timeout=1\n", "timeout=x\nsince=1\ncounter=0\n", "socket=1 2\n"])
def test_another_text_is_refused(text: str) -> None:
    """Half a record stops nothing: it is an error that says what to do."""
    with pytest.raises(InternalError, match="restart the container"):
        record.loads(text)


@given(SECONDS, st.integers(0, 2**64 - 1))
def test_look_survives(last: float, arrived: int) -> None:
    """When it was last seen in use, to the nanosecond, and the counter."""
    found = record.load_look(record.dump_look(Look(last, arrived)), Watched(1, 0, 0, ()))
    assert (found.last, found.arrived) == (last, arrived)


@pytest.mark.parametrize("text", ["", "nonsense", "1.5"])
def test_before_the_first_look_it_is_as_if_used_at_its_start(text: str) -> None:
    """No look yet, or half of one: the time counts from the start of the run."""
    found = record.load_look(text, Watched(60, 12.5, 7, ()))
    assert (found.last, found.arrived) == (12.5, 0)


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """What is written is read; what is missing reads as nothing."""
    path = str(tmp_path / "look")
    assert record.read(path) == ""
    record.write(path, "1")
    record.write(path, "2")
    assert record.read(path) == "2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["look"]
