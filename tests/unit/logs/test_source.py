"""The hand-over datagram: what the launcher writes, the relay reads; anything else is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.logs import handover, source

TEXT = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), min_size=1, max_size=60)


@given(TEXT, TEXT, TEXT, st.booleans())
def test_what_the_launcher_says_is_what_the_relay_knows(unit: str, identifier: str, project: str, tty: bool) -> None:
    """Round trip, through the spool's header too."""
    datagram = handover.message(
        name="web-1", unit=unit, invocation="0f" * 16, identifier=identifier, project=project, tty=tty
    )
    read = source.parse(source.with_stream(datagram, "stderr"))
    assert (read.name, read.unit, read.invocation, read.identifier) == ("web-1", unit, "0f" * 16, identifier)
    assert (read.project, read.terminal, read.stream) == (project, tty, "stderr")


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "KEY=value"),
        (b"\xff\xfe", "not UTF-8"),
        (b"NAME=web\n", "UNIT= is missing"),
        (b"NAME=web\nNAME=web\n", "KEY=value"),
        (b"HOME=/root\n", "KEY=value"),
        (b"NAME=../x\nUNIT=u\nINVOCATION_ID=" + b"0" * 32 + b"\nIDENTIFIER=i\n", "not a container name"),
        (b"NAME=x\nUNIT=u\nINVOCATION_ID=" + b"g" * 32 + b"\nIDENTIFIER=i\n", "32 hexadecimal"),
        (b"x" * 5000, "at most"),
    ],
)
def test_anything_else_is_refused_with_the_reason(datagram: bytes, reason: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(UserError, match=reason):
        source.parse(datagram)


def test_a_line_break_cannot_forge_a_key() -> None:
    """The launcher's side refuses it already."""
    with pytest.raises(ValueError, match="IDENTIFIER"):
        handover.message(name="a", unit="u", invocation="0" * 32, identifier="x\nNAME=b")
