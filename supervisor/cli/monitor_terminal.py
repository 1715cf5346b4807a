"""The terminal under the monitor: the alternate screen, raw keys, and only what changed is written.

Owns every escape sequence, and that the terminal is as it was on every way out. Never waits for a terminal that does
not take its bytes: what is not taken yet is kept, and no new frame is made until it is.
"""

from __future__ import annotations

import io
import os
import select
import termios
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console as Rich
from rich.text import Text

#: Alternate screen, no cursor, no wrapping at the right margin; and back.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_LEAVE_SECONDS = 0.5
_SMALLEST = (20, 6)


class Surface:
    """A terminal that shows frames."""

    def __init__(self, keys: int, screen: int, environ: Mapping[str, str]) -> None:
        """*keys*, *screen*: descriptors of the terminal."""
        self.keys = keys
        self._screen = screen
        self._environ = environ
        self._shown: list[str] = []
        self._settings = termios.tcgetattr(keys)
        self._pending = b""
        try:
            # Opened anew: O_NONBLOCK on the one we were given would be everybody's who shares it.
            self._out = os.open(os.ttyname(screen), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._out = os.dup(screen)
        self._rich = self._renderer(80, 24)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While the monitor has the terminal."""
        try:
            self.enter()
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Take the terminal, also when somebody else had it meanwhile."""
        tty.setraw(self.keys, termios.TCSANOW)
        self._pending, self._shown = _ENTER, []
        self.flush()

    def leave(self) -> None:
        """Give it back as it was; without waiting for ever, if nobody takes the bytes."""
        self._pending = _LEAVE
        end = time.monotonic() + _LEAVE_SECONDS
        while not self.flush() and (left := end - time.monotonic()) > 0:
            select.select([], [self._out], [], left)
        # TCSANOW: draining would wait as long as nobody reads. A terminal that was hung up has no settings any more.
        with suppress(termios.error):
            termios.tcsetattr(self.keys, termios.TCSANOW, self._settings)

    def close(self) -> None:
        """Forget the terminal."""
        os.close(self._out)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            found = os.get_terminal_size(self._screen)
        except OSError:
            return 80, 24
        return max(found.columns, _SMALLEST[0]), max(found.lines, _SMALLEST[1])

    @property
    def waiting(self) -> int:
        """A descriptor to wait for until it can be written to, -1 for none."""
        return self._out if self._pending else -1

    def draw(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show *lines*, as many and as wide as *size* says; nothing while the terminal is behind.

        *size* is what `size` was when they were made: by now it may be another one, which the next frame is for.
        """
        if not self.flush():
            return
        columns, rows = size
        if (self._rich.width, self._rich.height) != (columns, rows):
            self._rich = self._renderer(columns, rows)
            self._pending, self._shown = b"\x1b[2J", []
        frame = [self._rendered(line) for line in lines]
        for at, text in enumerate(frame):
            if at >= len(self._shown) or text != self._shown[at]:
                self._pending += f"\x1b[{at + 1};1H{text}".encode()
        self._shown = frame
        self.flush()

    def flush(self) -> bool:
        """Write what the terminal takes; whether that was all. A terminal that is gone takes everything."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._out, self._pending) :]
        except BlockingIOError:
            return False
        except OSError:
            self._pending = b""
        return True

    def _rendered(self, line: Text) -> str:
        with self._rich.capture() as capture:
            self._rich.print(line, end="", no_wrap=True, overflow="ignore", crop=False)
        return capture.get()

    def _renderer(self, columns: int, rows: int) -> Rich:
        environ = {key: value for key, value in self._environ.items() if key not in ("COLUMNS", "LINES")}
        return Rich(
            file=io.StringIO(),
            force_terminal=True,
            width=columns,
            height=rows,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
            _environ=environ,
        )


def read_keys(fd: int) -> bytes:
    """What was typed; empty when the terminal is gone."""
    with suppress(OSError):
        return os.read(fd, 1024)
    return b""
