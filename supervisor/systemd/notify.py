"""The sd_notify(3) protocol: datagrams to the service manager, with file descriptors and barriers.

On `_socket`, the C half of the standard library's socket module: the launcher imports this, and `socket` would cost
it 6 ms; likewise `struct` packs what `array` would, at 1 ms less.
"""

from __future__ import annotations

import _socket
import os
import select
from struct import pack

from supervisor.errors import HostError

_BARRIER_SECONDS = 30


def notify(address: str, state: str, fds: tuple[int, ...] = ()) -> None:
    """Send *state* (newline-separated assignments) to $NOTIFY_SOCKET's *address*, with *fds* attached.

    Raises `HostError` when the manager does not listen.
    """
    target = "\0" + address[1:] if address.startswith("@") else address
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack(f"{len(fds)}i", *fds))] if fds else []
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.sendmsg([state.encode()], ancillary, 0, target)
    except OSError as error:
        raise HostError(f"notify socket {address}: {error.strerror}") from error
    finally:
        sock.close()


def barrier(address: str) -> None:
    """Return once the manager has processed every message sent before (sd_notify_barrier(3))."""
    reader, writer = os.pipe()
    try:
        try:
            notify(address, "BARRIER=1", (writer,))
        finally:
            os.close(writer)
        poll = select.poll()
        poll.register(reader, select.POLLHUP)
        if not poll.poll(_BARRIER_SECONDS * 1000):
            raise HostError(f"notify socket {address}: no answer to BARRIER=1 in {_BARRIER_SECONDS} s")
    finally:
        os.close(reader)
