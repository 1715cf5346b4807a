"""What a container may tell systemd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.forwarder.messages import LONGEST, allowed, has_barrier

PASS = ["READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger", "ERRNO=2", "EXTEND_TIMEOUT_USEC=5"]
PASS += ["ERRNO=4095", "EXTEND_TIMEOUT_USEC=0", "EXTEND_TIMEOUT_USEC=9223372036854775807"]
DROPPED = [
    "MAINPID=1",
    "MAINPIDFDID=7",
    "FDSTORE=1",
    "FDSTOREREMOVE=1",
    "FDNAME=x",
    "BARRIER=1",
    "NOTIFYACCESS=all",
    "BUSERROR=x",
    "EXIT_STATUS=0",
    "WATCHDOG_USEC=1",
    "X_UNKNOWN=1",
    "READY=0",
    " READY=1",
    "READY",
    "",
    # systemd would warn of each of these.
    "ERRNO=0",
    "ERRNO=4096",
    "ERRNO=-1",
    "ERRNO=010",
    "ERRNO=",
    "EXTEND_TIMEOUT_USEC=9223372036854775808",
    "EXTEND_TIMEOUT_USEC=99999999999999999999",
    "EXTEND_TIMEOUT_USEC=08",
    "EXTEND_TIMEOUT_USEC=\N{ARABIC-INDIC DIGIT ONE}",
]


@pytest.mark.parametrize("line", PASS)
def test_what_systemd_may_know_passes(line: str) -> None:
    """As it is, whatever stands beside it."""
    assert allowed(f"MAINPID=1\n{line}\nFDSTORE=1".encode()) == line


@pytest.mark.parametrize("line", DROPPED)
def test_everything_else_is_dropped(line: str) -> None:
    """Known and unknown, and it takes nothing allowed with it."""
    assert allowed(line.encode()) == ""
    assert allowed(f"{line}\nREADY=1".encode()) == "READY=1"


def test_status_is_printable_text() -> None:
    """No escape sequence reaches the terminal of whoever asks for it; what is no UTF-8 is dropped."""
    assert allowed("STATUS=42 % käse".encode()) == "STATUS=42 % käse"
    assert allowed(b"STATUS=\x1b[31mred") == "STATUS=\N{REPLACEMENT CHARACTER}[31mred"
    assert allowed(b"STATUS=\xff\nREADY=1") == "READY=1"
    assert allowed(b"STATUS=") == "STATUS="


@given(st.binary(max_size=2 * LONGEST))
def test_nothing_else_ever_passes(message: bytes) -> None:
    """For any bytes, every line that comes out is one of those above."""
    for line in filter(None, allowed(message).split("\n")):
        key, _, value = line.partition("=")
        assert line in PASS or key == "STATUS" or (key in ("ERRNO", "EXTEND_TIMEOUT_USEC") and value.isdigit())
        assert line.isprintable()


def test_a_barrier_is_a_line_of_its_own() -> None:
    """sd_notify_barrier(3)."""
    assert has_barrier(b"BARRIER=1")
    assert not has_barrier(b"STATUS=BARRIER=1")
