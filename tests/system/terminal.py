"""A person at a terminal: starts a program on a pty, types, reads the screen, resizes the window."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time

_ROWS, _COLUMNS = 24, 80


class Terminal:
    """A pty with *argv* on it as session leader; a context manager that hangs up."""

    def __init__(self, *argv: str, rows: int = _ROWS, columns: int = _COLUMNS) -> None:
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.settings = termios.tcgetattr(self.slave)
        self.screen = b""
        self.program = subprocess.Popen(
            argv,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (a test has one thread)
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, rows: int, columns: int) -> None:
        """As if the window were drawn larger or smaller; the program's process group gets SIGWINCH from the kernel."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self.master, text.encode())

    def expect(self, text: str, timeout: float = 60.0) -> str:
        """Read the screen until *text* is there; everything up to its end. What follows stays for the next call."""
        wanted = text.encode()
        deadline = time.monotonic() + timeout
        while wanted not in self.screen:
            came = self._read(max(0.0, deadline - time.monotonic()))
            assert came, f"not within {timeout} s: {text!r}; on the screen: {self.screen!r}"
        end = self.screen.index(wanted) + len(wanted)
        found, self.screen = self.screen[:end], self.screen[end:]
        return found.decode(errors="replace")

    def wait(self, timeout: float = 60.0) -> int:
        """The program's exit status; what it still writes is kept from blocking it, and is on the screen to the end."""
        deadline = time.monotonic() + timeout
        while self.program.poll() is None:
            assert time.monotonic() < deadline, f"still running; on the screen: {self.screen!r}"
            self._read(0.02)
        while self._read(0.0):
            pass
        return self.program.returncode

    def _read(self, timeout: float) -> bool:
        """Read what is there, or comes in time; whether there was something. (select(2) asks the kernel to pass on what
        was written to the other side before it says that there is nothing.)"""
        ready, _, _ = select.select([self.master], [], [], timeout)
        if ready:
            self.screen += os.read(self.master, 4096)
        return bool(ready)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal has the settings it had before the program was started."""
        return termios.tcgetattr(self.slave) == self.settings
