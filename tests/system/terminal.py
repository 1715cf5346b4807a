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

    def expect(self, text: str, timeout: float = 20.0) -> str:
        """Read the screen until *text* is there; everything up to its end. What follows stays for the next call."""
        wanted = text.encode()
        deadline = time.monotonic() + timeout
        while wanted not in self.screen:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.master], [], [], max(0.0, left))
            assert ready, f"not within {timeout} s: {text!r}; on the screen: {self.screen!r}"
            self.screen += os.read(self.master, 4096)
        end = self.screen.index(wanted) + len(wanted)
        found, self.screen = self.screen[:end], self.screen[end:]
        return found.decode(errors="replace")

    def wait(self, timeout: float = 20.0) -> int:
        """The program's exit status; what it still writes is kept from blocking it."""
        deadline = time.monotonic() + timeout
        while self.program.poll() is None:
            assert time.monotonic() < deadline, f"still running; on the screen: {self.screen!r}"
            if select.select([self.master], [], [], 0.02)[0]:
                self.screen += os.read(self.master, 4096)
        return self.program.returncode

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal has the settings it had before the program was started."""
        return termios.tcgetattr(self.slave) == self.settings
