"""Keys out of the bytes that a terminal sends. Pure."""

from __future__ import annotations

from collections.abc import Iterator

#: What follows ESC (console_codes(4), and xterm's application mode).
_SEQUENCES = {
    b"[A": "up",
    b"OA": "up",
    b"[B": "down",
    b"OB": "down",
    b"[5~": "page up",
    b"[6~": "page down",
    b"[H": "home",
    b"OH": "home",
    b"[1~": "home",
    b"[F": "end",
    b"OF": "end",
    b"[4~": "end",
}
_CONTROLS = {
    0x03: "interrupt",
    0x08: "backspace",
    0x0A: "enter",
    0x0C: "redraw",
    0x0D: "enter",
    0x1B: "escape",
    0x7F: "backspace",
}


def keys(data: bytes) -> Iterator[str]:
    """Names of keys ('up', 'enter', 'escape' …) and printable characters, in order; what is unknown is left out.

    *data* is what one read gave: a terminal sends the bytes of one key together, so ESC with nothing behind it is the
    key of that name.
    """
    at = 0
    while at < len(data):
        if data[at] == 0x1B and at + 1 < len(data):
            end = _end(data, at + 1)
            if name := _SEQUENCES.get(data[at + 1 : end]):
                yield name
            at = end
            continue
        if name := _CONTROLS.get(data[at]):
            yield name
            at += 1
            continue
        end = at + 1
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        text = data[at:end].decode("utf-8", "ignore")
        if text.isprintable():
            yield from text
        at = end


def _end(data: bytes, at: int) -> int:
    """Where the escape sequence ends whose first byte behind ESC is *at* (ECMA-48, 5.4: parameters, a final byte)."""
    if data[at : at + 1] == b"O":
        return min(at + 2, len(data))
    if data[at : at + 1] != b"[":
        return at + 1
    at += 1
    while at < len(data) and not 0x40 <= data[at] <= 0x7E:
        at += 1
    return min(at + 1, len(data))
