"""Bytes in, lines out. Pure: knows neither where the bytes come from nor what becomes of the lines.

A line is what stands before a newline; nothing else is stripped from it (docker and podman do the same), except
that a terminal writes ``\\r\\n`` where the program wrote ``\\n``, and then the ``\\r`` goes too. A line longer than
`LONGEST` comes in parts. What has no newline yet stays with the caller, until the stream ends.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    #: End (bytes consumed so far, counted from the start of the data), text, part, more. *part* is 0 for a line in one
    #: piece, else 1, 2, …; *more* says that another part of this line follows.
    Piece = tuple[int, bytes, int, bool]

#: Bytes of one entry's text. With its other fields an entry stays below 64 KiB, so it is one datagram of 16 pages.
LONGEST = 48 * 1024


def frame(data: bytes, part: int, *, final: bool, terminal: bool) -> Iterator[Piece]:
    """The lines in *data*, whose first byte continues a line that already came out in *part* parts (0: none).

    *final*: nothing follows, so the rest is a line too. Every piece consumes at least one byte.
    """
    start, size = 0, len(data)
    while start < size:
        newline = data.find(b"\n", start, start + LONGEST + 1)
        if newline >= 0:
            stop = newline - 1 if terminal and newline > start and data[newline - 1] == 0x0D else newline
            yield newline + 1, data[start:stop], part and part + 1, False
            start, part = newline + 1, 0
        elif size - start > LONGEST:
            cut = _before_character(data, start + LONGEST)
            part += 1
            yield cut, data[start:cut], part, True
            start = cut
        elif final:
            yield size, data[start:], part and part + 1, False
            return
        else:
            return


def _before_character(data: bytes, cut: int) -> int:
    """*cut*, moved back so that it does not split a UTF-8 character; where it is when that is not UTF-8."""
    for back in range(4):
        if data[cut - back] & 0xC0 != 0x80:
            return cut - back
    return cut
