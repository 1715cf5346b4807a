"""Journal entries: what journald would read from the datagram."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs import entry, handover, source
from tests.unit.logs.journal import decode

DATAGRAM = handover.message(name="web", unit="ctr@web.service", invocation="a" * 32, identifier="nginx", project="shop")
OUT = source.parse(source.with_stream(DATAGRAM, "stdout"))
ERR = source.parse(source.with_stream(DATAGRAM, "stderr"))


def test_an_entry_says_whose_line_it_is() -> None:
    """The fields journalctl -u, systemctl status, docker's habits and ours need."""
    assert decode(entry.encode(entry.constant(ERR), entry.priority(ERR), b"oops")) == {
        "SYSLOG_IDENTIFIER": b"nginx",
        "CONTAINER_NAME": b"web",
        "CONTAINER_ID": b"a" * 32,
        "CTR_PROJECT": b"shop",
        "CTR_STREAM": b"stderr",
        "OBJECT_SYSTEMD_UNIT": b"ctr@web.service",
        "OBJECT_SYSTEMD_INVOCATION_ID": b"a" * 32,
        "PRIORITY": b"3",
        "MESSAGE": b"oops",
    }


@given(st.binary(max_size=200).filter(lambda text: text[:1] != b"<"), st.integers(0, 3), st.booleans())
def test_any_bytes_arrive(text: bytes, part: int, more: bool) -> None:
    """No byte of a line can forge a field or get lost; a split line is marked as docker does."""
    fields = decode(entry.encode(entry.constant(OUT), 6, text, part, more))
    assert fields["MESSAGE"] == text
    assert ("CONTAINER_PARTIAL_MESSAGE" in fields) == (bool(part) and more)
    assert fields.get("CONTAINER_PARTIAL_ORDINAL") == (b"%d" % part if part else None)


def test_a_level_prefix_is_taken_as_systemd_takes_it() -> None:
    """<0> to <7> at the beginning of a line set its priority; anything else is text."""
    seen = {text: decode(entry.encode(b"", 6, text)) for text in (b"<4>x", b"<7>", b"<8>x", b"<12>x", b"<", b"<1")}
    assert {text: (f["PRIORITY"], f["MESSAGE"]) for text, f in seen.items()} == {
        b"<4>x": (b"4", b"x"),
        b"<7>": (b"7", b""),
        b"<8>x": (b"6", b"<8>x"),
        b"<12>x": (b"6", b"<12>x"),
        b"<": (b"6", b"<"),
        b"<1": (b"6", b"<1"),
    }
    assert decode(entry.encode(b"", 6, b"<4>x", 2, False))["MESSAGE"] == b"<4>x"
