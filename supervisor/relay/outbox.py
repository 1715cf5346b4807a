"""The way out: one entry at a time, through a pipe in systemd's fd store, into journald's socket.

Why a pipe: splice(2) from it sends the datagram and empties it in one step, so whether an entry was sent can be read
off after a death (`supervisor.logs.ledger` has the argument). When journald does not take it (stopped, restarted, its
queue full), the entry stays in the pipe and `blocked` is true; nothing else is sent, streams are not read, and the
containers' own pipes hold back their writers, as on any full pipe.

Linux before 6.5 splices one datagram per page of the pipe. There an entry of more than a page is sent past the pipe and
without intent: if the relay dies in the microseconds between sending and settling, that long line arrives twice.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import socket
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.logs.ledger import Ledger

#: Room for the longest entry however the kernel lays it out.
_CAPACITY = 128 * 1024
_LONGEST_DATAGRAM = 64 * 1024


class Outbox:
    """*reader* and *writer*: the pipe. *address*: journald's native socket."""

    __slots__ = ("_address", "_direct", "_socket", "_waiting", "_whole", "reader", "writer")

    def __init__(self, reader: int, writer: int, address: str) -> None:
        self.reader = reader
        self.writer = writer
        self._address = address
        whole = _LONGEST_DATAGRAM if _splices_whole() else mmap.PAGESIZE
        self._whole = min(whole, fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))  #: longest entry that takes the pipe
        self._socket: socket.socket | None = None
        self._waiting: tuple[Ledger, int, int] | None = None
        self._direct = b""  #: a waiting entry that does not go through the pipe

    @classmethod
    def create(cls, address: str) -> Outbox:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        with suppress(PermissionError):  # root's pipes are past pipe-user-pages-soft (pipe(7)); then this one is small
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _CAPACITY)
        return cls(reader, writer, address)

    @property
    def blocked(self) -> bool:
        """An entry waits for journald."""
        return self._waiting is not None

    def is_empty(self) -> bool:
        """Whether no entry is in the pipe: after a death, that what was intended has been sent."""
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        return not poll.poll(0)

    def clear(self) -> None:
        """Forget what is in the pipe; the ledgers no longer intend it."""
        while not self.is_empty():
            os.read(self.reader, _CAPACITY)

    def send(self, entry: bytes, ledger: Ledger, offset: int, part: int) -> bool:
        """Send *entry*, which ends at *offset* of its spool, and settle it; False when it has to wait.

        Must not be called while `blocked`.
        """
        if len(entry) <= self._whole:
            os.write(self.writer, entry)
            ledger.intend(offset, part)
        else:
            self._direct = entry
        self._waiting = (ledger, offset, part)
        return self.push()

    def push(self) -> bool:
        """Try to send what waits; whether nothing waits any more."""
        if self._waiting is None:
            return True
        try:
            if self._socket is None:
                self._socket = self._connect()
            if self._direct:
                self._socket.send(self._direct)
                self._direct = b""
            else:
                os.splice(self.reader, self._socket.fileno(), _LONGEST_DATAGRAM)
        except BlockingIOError:
            return False
        except OSError:
            # ECONNREFUSED, ENOENT, ENOTCONN: journald's socket is gone, or another one now; the next try connects anew.
            self._disconnect()
            return False
        ledger, offset, part = self._waiting
        ledger.settle(offset, part)
        self._waiting = None
        return True

    def note(self, priority: int, text: str) -> None:
        """The relay's own message; dropped when journald does not take it now, for nothing may wait for it."""
        try:
            if self._socket is None:
                self._socket = self._connect()
            flat = text.replace("\n", " ")
            self._socket.send(f"PRIORITY={priority}\nSYSLOG_IDENTIFIER=ctr-relay\nMESSAGE={flat}\n".encode())
        except BlockingIOError:
            pass
        except OSError:
            self._disconnect()

    def fileno(self) -> int:
        """What becomes writable when journald takes entries again, or -1 while there is no connection."""
        return -1 if self._socket is None else self._socket.fileno()

    def _connect(self) -> socket.socket:
        # SO_SNDBUF stays as it is: at the default our own limit (about 280 entries) comes before that of journald's
        # queue (512), and then poll(2) wakes us when three quarters are read instead of at every entry.
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            journal.connect(self._address)
        except OSError:
            journal.close()
            raise
        return journal

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _splices_whole() -> bool:
    """Whether this kernel makes one datagram of several pages in a pipe (Linux >= 6.5)."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        size = 2 * mmap.PAGESIZE
        os.write(writer, bytes(size))
        os.splice(reader, near.fileno(), size)
        return len(far.recv(size)) == size
    finally:
        near.close()
        far.close()
        os.close(reader)
        os.close(writer)
