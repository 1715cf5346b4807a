"""Where the container's stdin, stdout and stderr go: the log relay, journald's own socket, or whoever runs it in the
foreground. Hands file descriptors over, keeps none.
"""

from __future__ import annotations

import _socket
import os
from struct import iter_unpack, pack

from supervisor.errors import HostError
from supervisor.launcher.plan import Plan
from supervisor.logs import handover
from supervisor.names import service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

_RELAY_SECONDS = 2.0
_ATTACH_SECONDS = 10.0


def stdio(plan: Plan, log_socket: str, invocation: str) -> tuple[int, int, int]:
    """The three descriptors the container starts with.

    Raises `HostError` or OSError when the relay does not take them over; passthrough is what is left then.
    """
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    if plan.log == "passthrough":
        return null, 1, 2
    if plan.log == "none" or plan.terminal:
        return null, null, null
    out_reader, out_writer = os.pipe()
    err_reader, err_writer = os.pipe()
    try:
        to_relay(plan, log_socket, invocation, (out_reader, err_reader))
    except (HostError, OSError):
        os.close(out_writer)
        os.close(err_writer)
        raise
    finally:
        os.close(out_reader)
        os.close(err_reader)
    return null, out_writer, err_writer


def to_relay(plan: Plan, log_socket: str, invocation: str, fds: tuple[int, ...], tty: bool = False) -> None:
    """Hand *fds* (pipe read ends, or one pty master) to the log relay; returns when it has them safe.

    Raises `HostError` when it refuses, OSError when it is not there or gives no answer in 2 s.
    """
    message = handover.message(
        name=plan.name,
        unit=service_unit(plan.name),
        invocation=invocation,
        identifier=plan.identifier,
        project=plan.project,
        tty=tty,
    )
    answer = handover.offer(log_socket, message, fds, timeout=_RELAY_SECONDS)
    if answer != "OK":
        raise HostError(f"log relay: {answer}")


def _place(directory: str) -> str:
    """A short name of *directory*: sun_path has 108 bytes (unix(7)), and a container's name alone may have 128."""
    return f"/proc/self/fd/{os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}"


def connect_attach(directory: str) -> _socket.socket | None:
    """The connection to a ``ctrctl run`` in the foreground that waits in *directory*, or None when there is none."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    sock.settimeout(_ATTACH_SECONDS)
    try:
        sock.connect(f"{_place(directory)}/attach.sock")
    except OSError:
        sock.close()
        return None
    return sock


def from_foreground(attach: _socket.socket) -> tuple[int, int, int]:
    """The standard streams of the waiting ``ctrctl run``. Raises `HostError` when it went away."""
    attach.send(b"FDS")
    fds = _received_fds(attach, 3)
    if len(fds) != 3:
        raise HostError("attach: 'ctrctl run' went away before it handed over its standard streams")
    return fds[0], fds[1], fds[2]


def terminal_to_foreground(attach: _socket.socket, master: int) -> None:
    """Give the pty master to the waiting ``ctrctl run``; returns when it has taken it."""
    attach.sendmsg([b"TTY"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("i", master))])
    if attach.recv(16) != b"OK":
        raise HostError("attach: 'ctrctl run' went away before it took the terminal")


def console_listener(directory: str) -> socket.socket:
    """A listening socket in *directory* for the runtime's ``--console-socket``."""
    import socket

    sock = socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    sock.bind(f"{_place(directory)}/console.sock")
    sock.listen(1)
    sock.settimeout(_ATTACH_SECONDS)
    return sock


def console_master(listener: socket.socket) -> int:
    """The pty master the runtime sent to *listener*."""
    connection, _ = listener.accept()
    with connection:
        fds = _received_fds(connection, 1)
    if not fds:
        raise HostError("console socket: the runtime sent no terminal")
    return fds[0]


def _received_fds(sock: _socket.socket, most: int) -> list[int]:
    _, ancillary, _, _ = sock.recvmsg(4096, _socket.CMSG_SPACE(most * 4), _socket.MSG_CMSG_CLOEXEC)
    return [fd for _, _, data in ancillary for (fd,) in iter_unpack("i", data)]
