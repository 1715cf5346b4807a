"""The door: launchers connect, send one datagram with their pipes, and get one answer.

Only what arrives in one piece from uid 0 is looked at, and nobody is waited for: a client that says nothing is
dropped after `PATIENCE` seconds. The answer OK is given when systemd has the descriptors in its fd store, not before.
What a hand-over means is decided by `take`, which the loop passes in; the launcher's half is
`supervisor.logs.handover`.
"""

from __future__ import annotations

import os
import select
import socket
from array import array
from contextlib import suppress
from struct import calcsize, unpack
from time import monotonic

from supervisor.errors import CtrError, UserError
from supervisor.logs import handover
from supervisor.logs.source import LONGEST_DATAGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: Takes a datagram and its descriptors over, or raises a `CtrError`; returns what hangs up once they are safe.
    Take = Callable[[bytes, list[int]], int]
    Note = Callable[[int, str], None]

PATIENCE = 5.0
_MOST_FDS = 4  #: two are used; more are refused, and the kernel closes those that do not fit here
_UCRED = "iII"
_WARNING = 4


class Clients:
    """Everyone who is connected. *take*: what to do with a hand-over; *note*: how to tell the journal of a bad one."""

    def __init__(self, listener: socket.socket, poll: select.epoll, take: Take, note: Note) -> None:
        self._listener = listener
        self._poll = poll
        self._take = take
        self._note = note
        self._silent: dict[int, tuple[socket.socket, float]] = {}  #: by descriptor, oldest first; until when
        self._storing: dict[int, socket.socket] = {}  #: by the barrier's descriptor
        listener.setblocking(False)
        poll.register(listener.fileno(), select.EPOLLIN)

    def handle(self, fd: int) -> bool:
        """Act on an event of *fd*; False when it is none of ours."""
        if fd == self._listener.fileno():
            self._accept()
        elif fd in self._silent:
            self._read(fd)
        elif fd in self._storing:
            self._stored(fd)
        else:
            return False
        return True

    def patience(self) -> float | None:
        """Seconds until somebody has to be dropped; None when nobody is waiting."""
        for _, deadline in self._silent.values():
            return max(0.0, deadline - monotonic())
        return None

    def drop_silent(self) -> None:
        """Hang up on those who connected and said nothing."""
        now = monotonic()
        for fd, (_, deadline) in list(self._silent.items()):
            if deadline > now:
                break
            self._answer(self._leave(fd), f"no hand-over in {PATIENCE:.0f} s")

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # gone already, or no descriptor free: it stays in the backlog and comes up again
        client.setblocking(False)
        pid, uid, _ = unpack(_UCRED, client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, calcsize(_UCRED)))
        if uid != 0:
            self._answer(client, f"uid {uid} (process {pid}) may not hand over; only root may")
            return
        self._silent[client.fileno()] = client, monotonic() + PATIENCE
        self._poll.register(client.fileno(), select.EPOLLIN)

    def _leave(self, fd: int) -> socket.socket:
        client, _ = self._silent.pop(fd)
        self._poll.unregister(fd)
        return client

    def _read(self, fd: int) -> None:
        client = self._leave(fd)
        fds: list[int] = []
        try:
            datagram = _received(client, fds)
            barrier = self._take(datagram, fds)
        except (CtrError, OSError) as error:
            self._answer(client, str(error))
            for received in fds:
                with suppress(OSError):
                    os.close(received)
            return
        self._storing[barrier] = client
        self._poll.register(barrier, select.EPOLLIN)

    def _stored(self, barrier: int) -> None:
        self._poll.unregister(barrier)
        os.close(barrier)
        self._answer(self._storing.pop(barrier))

    def _answer(self, client: socket.socket, error: str = "") -> None:
        if error:
            self._note(_WARNING, f"hand-over refused: {error}")
        with client, suppress(OSError):  # a client that is gone needs no answer
            client.send(f"ERROR {error}".encode() if error else handover.OK.encode())


def _received(client: socket.socket, fds: list[int]) -> bytes:
    """The client's datagram; its descriptors are added to *fds*, so that the caller can close them whatever happens."""
    # One byte more than is allowed, so that `parse` can tell a datagram that is too long.
    datagram, ancillary, flags, _ = client.recvmsg(
        LONGEST_DATAGRAM + 1, socket.CMSG_SPACE(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.extend(array("i", data[: len(data) & ~3]))
    if flags & socket.MSG_CTRUNC:
        raise UserError(f"more than {_MOST_FDS} descriptors; send stdout and stderr, or one terminal")
    if not datagram:
        raise UserError("an empty datagram, or hung up before sending one")
    return datagram
