"""``ctr-notify NAME``: forward a container's sd_notify(3) messages to systemd in the name of its init, until none come.

systemd attributes a message to the unit of the process that its credentials name (SCM_CREDENTIALS in unix(7)). The
container's processes lie in its scope, and the messages are for its service, whose main process is init: so that is the
process named, as ``systemd-notify --pid=`` does it. Any process of the container may send, a child of init or one that
has ended already. The socket is nobody else's: no other user of the host can reach it.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
import time
from struct import iter_unpack, pack

from supervisor.errors import CtrError
from supervisor.forwarder.messages import LONGEST, allowed, has_barrier
from supervisor.names import check_name, scope_unit
from supervisor.paths import Layout
from supervisor.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SYSTEMD = "/run/systemd/notify"
_LISTENING_FD = 3  # sd_listen_fds(3)
_IDLE_SECONDS = 2.0
#: Between two messages: systemd has other things to do than to listen to a container that floods it.
_PAUSE_SECONDS = 0.005
_MOST_FDS = 253  # SCM_MAX_FD


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 once nothing has come for 2 s, or the container has ended; systemd starts it again with the next message."""
    name = arguments[0] if arguments else ""
    try:
        check_name(name)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM, 0, _LISTENING_FD)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        if init := _init(name, Layout()):
            poll.register(os.pidfd_open(init), select.POLLIN)
        while listener.fileno() in dict(poll.poll(_IDLE_SECONDS * 1000)):
            _forward(listener, name, Layout())
            time.sleep(_PAUSE_SECONDS)
    except (CtrError, OSError) as error:
        print(f"{name}: notifications: {error}", file=sys.stderr)
        return 1
    return 0


def _forward(listener: _socket.socket, name: str, layout: Layout) -> None:
    """Take one message and pass on what may pass."""
    message, ancillary, _, _ = listener.recvmsg(
        LONGEST + 1, _socket.CMSG_SPACE(_MOST_FDS * 4), _socket.MSG_CMSG_CLOEXEC
    )
    fds = [fd for level, kind, data in ancillary if kind == _socket.SCM_RIGHTS for (fd,) in iter_unpack("i", data)]
    try:
        if (state := allowed(message)) and (init := _init(name, layout)):
            _send(state, init)
        if fds and has_barrier(message):
            notify.barrier(_SYSTEMD)
    finally:
        # Which is the answer to a barrier, and all that anybody gets for descriptors.
        for fd in fds:
            os.close(fd)


def _send(state: str, pid: int) -> None:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        credentials = (_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, pack("iII", pid, 0, 0))
        sock.sendmsg([state.encode()], [credentials], 0, _SYSTEMD)
    except ProcessLookupError:
        return  # the container ended just now
    finally:
        sock.close()


def _init(name: str, layout: Layout) -> int:
    """The container's init, 0 when it does not run."""
    try:
        with open(f"{layout.running(name)}/pid", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return pid if f"/{scope_unit(name)}" in file.read() else 0
    except (OSError, ValueError):
        return 0
