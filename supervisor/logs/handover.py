"""The launcher's half of the log hand-over: one datagram with the container's output pipes, one answer.

The launcher runs on every ``systemctl start``, so this module imports nothing beyond `_socket` (the C
module: `socket` itself would cost it `enum` and `selectors`). The relay's half is `supervisor.relay.clients`.
It never falls back by itself: the caller decides what no answer means.
"""

from __future__ import annotations

import time
from _socket import AF_UNIX, SCM_RIGHTS, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_CLOEXEC, SOCK_SEQPACKET, SOL_SOCKET, socket
from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: The relay's answer when both pipes are in systemd's fd store.
OK = "OK"


def message(*, name: str, unit: str, invocation: str, identifier: str, project: str = "", tty: bool = False) -> bytes:
    """The datagram that introduces a container: ``KEY=value`` lines, UTF-8.

    Raises ValueError when a value holds a line break, which would forge another line.
    """
    fields = (
        ("NAME", name),
        ("UNIT", unit),
        ("INVOCATION_ID", invocation),
        ("IDENTIFIER", identifier),
        ("PROJECT", project),
        *((("TTY", "1"),) if tty else ()),
    )
    for key, value in fields:
        if "\n" in value:
            raise ValueError(f"{key}: {value!r} holds a line break")
    return "".join(f"{key}={value}\n" for key, value in fields).encode()


def offer(path: str, datagram: bytes, fds: Sequence[int], *, timeout: float = 2.0) -> str:
    """Give *fds* (``[stdout, stderr]`` read ends, or one pty master) to the relay listening at *path*.

    Returns its answer, `OK` or ``ERROR text``. A relay that is killed meanwhile is asked again (it takes the
    same pipes only once), until *timeout* seconds have passed. Raises OSError: ConnectionError or
    FileNotFoundError without a relay, BlockingIOError when it did not answer in time.
    The fds stay the caller's to close.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _ask(path, datagram, fds, deadline)
        except ConnectionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)  # a relay being restarted: systemd holds its socket, the next connection reaches it


def _ask(path: str, datagram: bytes, fds: Sequence[int], deadline: float) -> str:
    rights = pack(f"{len(fds)}i", *fds)
    connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    try:
        # A blocking socket with kernel timeouts: connect(2) of a non-blocking one fails at once on a full backlog.
        connection.setsockopt(SOL_SOCKET, SO_SNDTIMEO, _timeval(deadline))
        connection.connect(path)
        connection.sendmsg([datagram], [(SOL_SOCKET, SCM_RIGHTS, rights)])
        connection.setsockopt(SOL_SOCKET, SO_RCVTIMEO, _timeval(deadline))
        answer = connection.recv(4096)
    finally:
        connection.close()
    if not answer:
        raise ConnectionResetError(f"{path}: the relay closed the connection without an answer")
    return answer.decode(errors="replace")


def _timeval(deadline: float) -> bytes:
    """What is left until *deadline* as a ``struct timeval`` (two native longs); zero would mean for ever."""
    microseconds = max(1000, int((deadline - time.monotonic()) * 1e6))
    return pack("@ll", *divmod(microseconds, 1_000_000))
