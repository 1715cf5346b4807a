"""The program ctr-relay: put together what systemd kept for us, then serve.

Started by ctr-log.socket, restarted by systemd whenever it dies; it is meant to be killed at any point (upgrade it with
``systemctl kill ctr-log.service``), so there is no orderly end.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys

from supervisor.errors import CtrError, HostError
from supervisor.relay.fdstore import FdStore, received
from supervisor.relay.loop import Relay
from supervisor.relay.outbox import Outbox
from supervisor.relay.spool import Spool
from supervisor.relay.stream import Stream, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

JOURNAL = "/run/systemd/journal/socket"
_LISTENER, _OUTBOX = "listen", "outbox"
_ERROR = 3


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until killed; 1 when systemd did not start us, or gave us no socket."""
    try:
        relay, store = assemble(environ)
    except CtrError as error:
        print(error, file=sys.stderr)
        return 1
    store.ready(relay.status)
    relay.run()
    return 0


def assemble(environ: Mapping[str, str]) -> tuple[Relay, FdStore]:
    """The relay as it was when its predecessor died. Raises `HostError`."""
    kept: dict[str, list[int]] = {}
    for name, fd in received(environ):
        kept.setdefault(name, []).append(fd)
    listeners = kept.pop(_LISTENER, [])
    if len(listeners) != 1:
        raise HostError(f"log relay: {len(listeners)} sockets from systemd; ctr-log.socket passes one, '{_LISTENER}'")
    store = FdStore.from_environment(environ)
    pipe = kept.pop(_OUTBOX, [])
    outbox = _outbox(store, pipe)
    streams = [stream for slot, fds in kept.items() if (stream := _stream(store, outbox, slot, fds))]
    resume(streams, outbox, known=bool(pipe))
    relay = Relay(socket.socket(fileno=listeners[0]), store, outbox)
    for stream in streams:
        relay.adopt(stream)
    return relay, store


def resume(streams: Iterable[Stream], outbox: Outbox, *, known: bool) -> None:
    """Go on where a predecessor died (the argument is in `supervisor.logs.ledger`).

    *known*: *outbox* is the one it used. If it is not, a line may arrive twice, which is better than not at all.
    """
    sent_off = known and outbox.is_empty()
    for stream in streams:
        stream.spool.ledger.repair(stream.spool.offset, sent_off=sent_off)
    outbox.clear()


def _outbox(store: FdStore, fds: list[int]) -> Outbox:
    if fds:
        store.adopt(_OUTBOX, len(fds))
        reader, writer = sorted(fds, key=_access)
        return Outbox(reader, writer, JOURNAL)
    outbox = Outbox.create(JOURNAL)
    store.add(_OUTBOX, (outbox.reader, outbox.writer), "0 streams")
    os.close(store.barrier())
    return outbox


def _stream(store: FdStore, outbox: Outbox, slot: str, fds: list[int]) -> Stream | None:
    """What was kept as *slot*, or None (said in the journal, and taken out of the store) when it makes no stream."""
    store.adopt(slot, len(fds))
    kinds = {_kind(fd): fd for fd in fds}
    try:
        if not {"reader", "spool"} <= kinds.keys():
            raise HostError(f"log relay: fd store {slot}: {', '.join(kinds)} alone is no stream")
        terminal = Terminal(kinds["terminal"], kinds["writer"]) if "terminal" in kinds else None
        return Stream(slot, kinds["reader"], Spool(kinds["spool"]), terminal)
    except CtrError as error:
        outbox.note(_ERROR, str(error))
        store.remove(slot, "")
        for fd in fds:
            os.close(fd)
        return None


def _kind(fd: int) -> str:
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        return "reader" if _access(fd) == os.O_RDONLY else "writer"
    return "terminal" if stat.S_ISCHR(mode) else "spool"


def _access(fd: int) -> int:
    """O_RDONLY (0) or O_WRONLY (1)."""
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
