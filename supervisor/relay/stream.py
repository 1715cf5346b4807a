"""One output stream of one container: from its pipe through its spool to the outbox, a turn at a time."""

from __future__ import annotations

import os

from supervisor.logs import entry, source
from supervisor.logs.framing import frame
from supervisor.relay.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.relay.outbox import Outbox

#: What one stream may do before the others have their turn: a few milliseconds' work.
TURN_BYTES = 16 * 1024
TURN_ENTRIES = 256


class Terminal:
    """A pty master and the pipe it is emptied into. splice(2) needs a pipe on one side, and this pipe lies in the fd
    store too, so what has left the terminal is never in this process alone."""

    __slots__ = ("ended", "fd", "writer")

    def __init__(self, fd: int, writer: int) -> None:
        self.fd = fd
        self.writer = writer
        self.ended = False
        os.set_blocking(fd, False)

    def pump(self) -> None:
        """Move what the terminal has into the pipe. No slave open any more (EIO) is its end."""
        if self.ended:
            return
        try:
            self.ended = not os.splice(self.fd, self.writer, TURN_BYTES, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True


class Stream:
    """*slot*: its name in the fd store. *pipe*: where bytes come from. *terminal*: what fills the pipe, if one does."""

    __slots__ = ("_constant", "_priority", "_waits", "ended", "pipe", "slot", "source", "spool", "terminal")

    def __init__(self, slot: str, pipe: int, spool: Spool, terminal: Terminal | None = None) -> None:
        self.slot = slot
        self.pipe = pipe
        self.spool = spool
        self.terminal = terminal
        self.source = source.parse(spool.metadata)
        self._constant = entry.constant(self.source)
        self._priority = entry.priority(self.source)
        self.ended = False  #: all writers are gone, and the spool has everything
        self._waits = True  #: whole lines may be in the spool

    @property
    def fds(self) -> tuple[int, ...]:
        """What has to be in the fd store."""
        return (self.pipe, self.spool.fd, *((self.terminal.fd, self.terminal.writer) if self.terminal else ()))

    @property
    def watched(self) -> int:
        """What becomes readable when the container writes."""
        return self.terminal.fd if self.terminal else self.pipe

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Which pipe of which run: the same when a launcher asks a second time."""
        return identity(self.source.invocation, self.source.stream, self.watched)

    @property
    def finished(self) -> bool:
        """The container has closed the stream, and the journal has all of it."""
        return self.ended and not self._waits

    def turn(self, outbox: Outbox) -> bool:
        """Read and send a turn's worth; False when only the container can bring more. May leave *outbox* blocked."""
        if not self._waits:
            idle = self._fill()
            if idle and not self.ended:
                self.spool.trim()
                return False
            self._waits = True
        self._waits = not self._send(outbox)
        if not self._waits:
            self.spool.compact()
        return not self.finished

    def _fill(self) -> bool:
        """Take a turn's bytes from the pipe; whether there were none."""
        if self.terminal:
            self.terminal.pump()
        try:
            self.ended = not self.spool.fill(self.pipe, TURN_BYTES)
        except BlockingIOError:
            # A terminal's pipe never ends by itself: we hold its writing end.
            self.ended = self.terminal is not None and self.terminal.ended
            return True
        return False

    def _send(self, outbox: Outbox) -> bool:
        """Send whole lines; whether all of them are on their way."""
        ledger, constant, default, send = self.spool.ledger, self._constant, self._priority, outbox.send
        base, left = ledger.sent, TURN_ENTRIES
        pieces = frame(self.spool.unsent(), ledger.part, final=self.ended, terminal=self.terminal is not None)
        for end, text, part, more in pieces:
            if not left:
                return False
            left -= 1
            if not send(entry.encode(constant, default, text, part, more), ledger, base + end, part if more else 0):
                return False
        return True

    def close(self) -> None:
        os.close(self.pipe)
        self.spool.close()
        if self.terminal:
            os.close(self.terminal.fd)
            os.close(self.terminal.writer)


def identity(invocation: str, stream: str, fd: int) -> tuple[str, str, int, int]:
    """What tells one stream from another, also before it is a `Stream`."""
    status = os.fstat(fd)
    return invocation, stream, status.st_dev, status.st_ino
