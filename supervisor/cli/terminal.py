"""Terminals: raw mode that is always undone, a pump between a terminal and a pty master, signals to wait for.

Owns termios(3) and the window size (ioctl_tty(2)). Knows nothing of containers, sockets or systemd, and does not wait:
the caller has a selector whose keys carry the action to take.
"""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import signal
import socket
import struct
import termios
import time
import tty
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65536
_DRAIN_SECONDS = 0.5
_SIZE = struct.Struct("HHHH")


@contextmanager
def restored(fd: int) -> Iterator[None]:
    """Put the settings of the terminal *fd* back on the way out, whoever changed them; nothing if it is no terminal."""
    try:
        saved = termios.tcgetattr(fd)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        # TCSANOW: draining would wait for a terminal that a person has stopped with Ctrl-S.
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, saved)


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """The terminal *fd* in raw mode: every key is a byte for the other side, Ctrl-C included."""
    with restored(fd):
        tty.setraw(fd, termios.TCSANOW)
        yield


def copy_size(source: int, target: int) -> None:
    """Give the terminal *target* the size of *source*; nothing happens if either is no terminal."""
    with suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(_SIZE.size))
        if _SIZE.unpack(size)[:2] != (0, 0):
            fcntl.ioctl(target, termios.TIOCSWINSZ, size)


class Signals:
    """Signals that arrive on a file descriptor instead of interrupting something. For the main thread."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = tuple(numbers)

    def __enter__(self) -> Signals:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # A handler that does nothing: the number reaches us through the descriptor; SIG_IGN would drop it.
        self._handlers = {n: signal.signal(n, lambda *_: None) for n in self._numbers}
        self._descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> tuple[int, ...]:
        """The signals that arrived since the last call, oldest first."""
        with suppress(BlockingIOError):
            return tuple(n for n in self._reader.recv(_CHUNK) if n in self._numbers)
        return ()


class Pump:
    """Moves bytes between a person's terminal and the *master* of a container's pty; owns and closes *master*.

    *keys*: where keystrokes come from, None for a container that gets none. *screen*: where output goes. Both
    directions are registered with *selector*, the action to take as the key's data.
    """

    def __init__(self, selector: selectors.BaseSelector, keys: int | None, screen: int, master: int) -> None:
        self._selector = selector
        self._keys = keys
        self._screen = screen
        self._master = master
        self._pending = b""
        os.set_blocking(master, False)
        selector.register(master, selectors.EVENT_READ, self._master_ready)
        if keys is not None:
            selector.register(keys, selectors.EVENT_READ, self._typed)
        self.resize()

    def resize(self) -> None:
        """Hand on the terminal's size; the kernel tells the container's foreground processes with SIGWINCH."""
        if self._master >= 0:
            copy_size(self._screen if self._keys is None else self._keys, self._master)

    def drain(self) -> None:
        """Show what the container wrote before it ended; not for ever: something it left behind may still write."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._show() and time.monotonic() < deadline:
            pass

    def close(self) -> None:
        """Close *master*: whoever still uses the container's terminal gets SIGHUP from the kernel."""
        if self._master < 0:
            return
        self._selector.unregister(self._master)
        if self._keys is not None:
            self._selector.unregister(self._keys)
        os.close(self._master)
        self._master = -1

    def _typed(self) -> None:
        try:
            data = os.read(self._keys or 0, _CHUNK)
        except OSError:
            data = b""
        if data:
            self._pending += data
            self._write()
        else:
            # The person's terminal went away, and so does the container's.
            self.close()

    def _master_ready(self) -> None:
        if self._pending:
            self._write()
        self._show()

    def _write(self) -> None:
        try:
            self._pending = self._pending[os.write(self._master, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self._pending = b""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._pending else 0)
        self._selector.modify(self._master, events, self._master_ready)

    def _show(self) -> bool:
        """Pass one piece of output on; whether there was one."""
        if self._master < 0:
            return False
        try:
            data = os.read(self._master, _CHUNK)
            write_all(self._screen, data)
        except BlockingIOError:
            return False
        except OSError:
            # EIO: every process that had the other end open is gone (pty(7)), or the screen is.
            data = b""
        if not data:
            self.close()
        return bool(data)


def write_all(fd: int, data: bytes) -> None:
    """Write *data*, also where somebody made *fd* non-blocking: a terminal's mode is shared with whoever started us."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select((), (fd,), ())
