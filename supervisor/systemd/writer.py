"""Entries for the journal, without ever waiting for journald (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).

What journald does not take now (it is stopped, or its queue is full) is kept in order and tried again; past a limit
it is counted as lost. `encode` is pure, and no value can pass for a field.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Mapping
from struct import pack

import anyio

from supervisor.errors import InternalError

SOCKET = "/run/systemd/journal/socket"
#: Entries that wait at most; about 1 kB each.
BACKLOG = 10_000
#: Bytes of a value that are kept: with the few values of an entry, it still is one datagram.
MOST = 32 * 1024
_SOONEST_SECONDS, _LATEST_SECONDS = 0.02, 1.0
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Writer:
    """A sender of entries. *lost*: how many entries journald never got."""

    def __init__(self, path: str = SOCKET, backlog: int = BACKLOG) -> None:
        self.lost = 0
        self._path = path
        self._most = backlog
        self._waiting: deque[bytes] = deque()
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

    def write(self, fields: Mapping[str, str | bytes]) -> None:
        """Send one entry, or keep it for later. Raises `InternalError` for a field that journald would refuse."""
        datagram = encode(fields)
        if self._waiting or not self._send(datagram):
            if len(self._waiting) >= self._most:
                self.lost += 1
                return
            self._waiting.append(datagram)
            self._arrived.set()

    async def flush(self) -> None:
        """Return once nothing waits any more."""
        delay = _SOONEST_SECONDS
        while self._waiting:
            if self._send(self._waiting[0]):
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

    def _send(self, datagram: bytes) -> bool:
        """Whether *datagram* needs no further try."""
        try:
            self._socket.sendto(datagram, self._path)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return False
            self.lost += 1
        return True


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
