"""The relay's one thread: whose turn it is, and what to wait for.

Two epoll sets, one inside the other: the streams' and the control set (the door, journald's socket, and the streams'
set itself). While journald takes nothing, the streams' set is masked out, so a full pipe does not spin the loop, and
the door stays open. Streams take turns, each limited in bytes and entries: a flood costs the others milliseconds.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from contextlib import suppress

from supervisor.errors import CtrError, HostError, UserError
from supervisor.logs.source import parse, with_stream
from supervisor.relay.clients import Clients
from supervisor.relay.spool import Spool
from supervisor.relay.stream import Stream, Terminal, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from supervisor.relay.fdstore import FdStore
    from supervisor.relay.outbox import Outbox

#: How often a journald that has no socket at all is tried again, seconds.
_RETRY = 0.1


class Relay:
    """All streams of all containers. Recovered ones come in through `adopt`, new ones through the door."""

    def __init__(self, listener: socket.socket, store: FdStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._control = select.epoll()
        self._watch = select.epoll()
        self._control.register(self._watch.fileno(), select.EPOLLIN)
        self._clients = Clients(listener, self._control, self._take, outbox.note)
        self._streams: dict[int, Stream] = {}  #: by the descriptor that is watched
        self._keys: set[tuple[str, str, int, int]] = set()
        self._turns: deque[Stream] = deque()  #: this round
        self._next: list[Stream] = []  #: those who have more to do in the next

    @property
    def status(self) -> str:
        return f"{len(self._streams)} streams"

    def adopt(self, stream: Stream) -> None:
        """Watch *stream*, which is in the fd store (or on its way there)."""
        self._streams[stream.watched] = stream
        self._keys.add(stream.key)
        self._watch.register(stream.watched, select.EPOLLIN)
        self._next.append(stream)

    def run(self) -> None:
        """Serve for ever; the process ends by a signal, at any point (crash-only)."""
        while True:
            self._attend(self._timeout())
            if self._outbox.push():
                self._round()
            else:
                self._wait_for_journal()

    def _timeout(self) -> float | None:
        if self._turns or self._next:
            return 0.0
        return self._clients.patience()

    def _attend(self, timeout: float | None) -> None:
        for fd, _ in self._control.poll(timeout):
            self._clients.handle(fd)
        self._clients.drop_silent()

    def _round(self) -> None:
        """Give each stream that can do something one turn."""
        if not self._turns:
            ready = dict.fromkeys(self._next)
            ready.update((self._streams[fd], None) for fd, _ in self._watch.poll(0))
            self._turns.extend(ready)
            self._next.clear()
        while self._turns and not self._outbox.blocked:
            stream = self._turns.popleft()
            if stream.turn(self._outbox):
                self._next.append(stream)
            elif stream.finished:
                self._end(stream)
            self._attend(0)

    def _wait_for_journal(self) -> None:
        """Attend to the door alone until journald takes the entry that waits."""
        self._control.modify(self._watch.fileno(), 0)
        while not self._outbox.push():
            journal = self._outbox.fileno()
            if journal < 0:
                self._attend(_RETRY)
            else:
                self._control.register(journal, select.EPOLLOUT)
                self._attend(_RETRY)
                with suppress(OSError):  # a dead connection may have been closed meanwhile, and left the set
                    self._control.unregister(journal)
        self._control.modify(self._watch.fileno(), select.EPOLLIN)

    def _end(self, stream: Stream) -> None:
        self._watch.unregister(stream.watched)
        del self._streams[stream.watched]
        self._keys.discard(stream.key)
        self._store.remove(stream.slot, self.status)
        stream.close()

    def _take(self, datagram: bytes, fds: list[int]) -> int:
        """Store and watch what a launcher hands over; *fds* is emptied of what is ours now (see `clients.Take`)."""
        given = parse(datagram)
        names = ("stdout",) if given.terminal else ("stdout", "stderr")
        if len(fds) != len(names):
            raise UserError(f"{given.name}: {len(fds)} descriptors; {len(names)} are needed ({', '.join(names)})")
        for fd in fds:
            _check_readable(fd, given.terminal)
        if not self._store.has_room(4):
            limit = self._store.limit
            raise HostError(f"{given.name}: fd store full ({limit}); raise FileDescriptorStoreMax= or LimitNOFILE=")
        for name in names:
            fd = fds.pop(0)
            if identity(given.invocation, name, fd) in self._keys:
                os.close(fd)  # asked again, because we died before the answer
                continue
            try:
                stream = self._create(with_stream(datagram, name), fd, given.terminal)
            except BaseException:
                os.close(fd)
                raise
            try:
                self._store.add(stream.slot, stream.fds, f"{len(self._streams) + 1} streams")
            except CtrError:
                stream.close()
                raise
            self.adopt(stream)
        return self._store.barrier()

    def _create(self, metadata: bytes, fd: int, terminal: bool) -> Stream:
        if not terminal:
            return Stream(self._store.slot(), fd, Spool.create(metadata))
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            return Stream(self._store.slot(), reader, Spool.create(metadata), Terminal(fd, writer))
        except BaseException:
            os.close(reader)
            os.close(writer)
            raise


def _check_readable(fd: int, terminal: bool) -> None:
    with suppress(OSError):
        if os.isatty(fd) if terminal else stat.S_ISFIFO(os.fstat(fd).st_mode):
            return
    raise UserError(f"descriptor is not a {'terminal' if terminal else 'pipe'}")
