"""The terminal under the monitor, a pty here: what is written when the window changes."""

from __future__ import annotations

import os
import struct
import termios
from collections.abc import Iterator
from contextlib import closing
from fcntl import ioctl

import pytest
from rich.text import Text

from supervisor.cli.monitor_terminal import Surface


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    """Master and slave."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def resize(slave: int, columns: int, rows: int) -> None:
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def written(master: int, slave: int) -> bytes:
    """All until now. The kernel passes it on when it comes to it, and in order: a word of ours ends it."""
    end = b"<end>"
    os.write(slave, end)
    found = b""
    while not found.endswith(end):
        found += os.read(master, 65536)
    return found.removesuffix(end)


def lines(number: int) -> list[Text]:
    return [Text(f"line {at}") for at in range(number)]


def test_a_frame_is_of_the_size_it_was_made_for(pty: tuple[int, int]) -> None:
    """Also when the window shrinks meanwhile: the next one clears what this one left, and is as small as the window."""
    master, slave = pty
    resize(slave, 80, 40)
    with closing(Surface(slave, slave, {})) as surface:
        size = surface.size
        surface.draw(lines(40), size)
        made = lines(40)
        made[5] = Text("changed")
        resize(slave, 80, 10)
        surface.draw(made, size)
        late = written(master, slave)
        assert late.endswith(b"\x1b[6;1Hchanged") and late.count(b"\x1b[2J") <= 1
        surface.draw(lines(10), surface.size)
        assert written(master, slave).startswith(b"\x1b[2J\x1b[1;1Hline 0\x1b[2;1Hline 1")
        assert surface.size == (80, 10)
