"""Entries for the journal, without ever waiting for journald (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).

What journald does not take now (it is stopped, or its queue is full) is kept in order and tried again; past a limit
it is counted as lost. `encode` is pure, and no value can pass for a field.

What was sent waits in the socket until journald reads it, and is gone with it when the socket is closed (systemctl stop
systemd-journald.socket), of which a sender hears nothing. So who cares for an entry gives a note with it, and gets it
back when that may have happened (`Writer.doubtful`); whether it did, the journal knows.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Mapping
from struct import pack
from typing import Any

import anyio

from supervisor.errors import InternalError

SOCKET = "/run/systemd/journal/socket"
#: Entries that wait at most; about 1 kB each.
BACKLOG = 10_000
#: Bytes of a value that are kept: with the few values of an entry, it still is one datagram.
MOST = 32 * 1024
#: So many notes are kept: more entries than a socket holds (512, net.unix.max_dgram_qlen of systemd's hosts).
_NOTES = 1000
_SOONEST_SECONDS, _LATEST_SECONDS = 0.02, 1.0
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Writer:
    """A sender of entries. *lost*: how many entries journald never got."""

    def __init__(self, path: str = SOCKET, backlog: int = BACKLOG) -> None:
        self.lost = 0
        self._path = path
        self._most = backlog
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._noted: deque[tuple[int, Any]] = deque(maxlen=_NOTES)  # to which socket it was sent, what for
        self._arrived = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def close(self) -> None:
        """Give the socket back; what still waits is lost."""
        self.lost += len(self._waiting)
        self._waiting.clear()
        self._socket.close()

    @property
    def backlog(self) -> int:
        """Entries that wait for journald."""
        return len(self._waiting)

    def write(self, fields: Mapping[str, str | bytes], note: Any = None) -> None:
        """Send one entry, or keep it for later. *note*: what `doubtful` is to say of it. Raises `InternalError` for a
        field that journald would refuse."""
        datagram = encode(fields)
        if self._waiting or not self._send(datagram, note):
            if len(self._waiting) >= self._most:
                self.lost += 1
                return
            self._waiting.append((datagram, note))
            self._arrived.set()

    def doubtful(self) -> list[Any]:
        """The notes of entries that were sent to a socket in whose place there is another one now; each is told once.
        By then the journal has what journald did get of them."""
        place = self._place()
        found = [note for sent_to, note in self._noted if place not in (0, sent_to)]
        if found:
            kept = [(sent_to, note) for sent_to, note in self._noted if sent_to == place]
            self._noted = deque(kept, maxlen=_NOTES)
        return found

    async def flush(self) -> None:
        """Return once nothing waits any more."""
        delay = _SOONEST_SECONDS
        while self._waiting:
            if self._send(*self._waiting[0]):
                self._waiting.popleft()
                delay = _SOONEST_SECONDS
            else:
                await anyio.sleep(delay)
                delay = min(delay * 2, _LATEST_SECONDS)

    async def run(self) -> None:
        """Flush whenever something waits, until cancelled."""
        while True:
            await self.flush()
            self._arrived = asyncio.Event()
            if not self._waiting:
                await self._arrived.wait()

    def _send(self, datagram: bytes, note: Any) -> bool:
        """Whether *datagram* needs no further try."""
        place = self._place() if note is not None else 0
        try:
            self._socket.sendto(datagram, self._path)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return False
            self.lost += 1
            return True
        if note is not None:
            self._noted.append((place, note))
        return True

    def _place(self) -> int:
        """Which socket is there, told by when it was made; 0 for none. One that is closed is there until there is
        another."""
        try:
            return os.stat(self._path).st_mtime_ns
        except OSError:
            return 0


def encode(fields: Mapping[str, str | bytes]) -> bytes:
    """One datagram. A value with a newline takes the protocol's binary form, which carries any bytes; what
    os.fsdecode made of any bytes goes as those bytes. Raises `InternalError` for a name that journald would refuse."""
    parts: list[bytes] = []
    for name, value in fields.items():
        if not name or len(name) > 64 or name[0] in "_0123456789" or not _NAME.issuperset(name):
            raise InternalError(f"journal entry: {name!r} cannot name a field")
        key, data = name.encode(), (value if isinstance(value, bytes) else _bytes(value))[:MOST]
        if b"\n" in data:
            parts += (key, b"\n", pack("<Q", len(data)), data, b"\n")
        else:
            parts += (key, b"=", data, b"\n")
    return b"".join(parts)


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
