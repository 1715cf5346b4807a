"""The reading half of the native journal protocol, as journald has it; for assertions."""

from __future__ import annotations


def decode(datagram: bytes) -> dict[str, bytes]:
    """The fields of one entry; each may occur once."""
    fields: dict[str, bytes] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, newline, rest = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert newline == b"\n"
        assert key.decode() not in fields
        fields[key.decode()] = value
        datagram = rest
    return fields
