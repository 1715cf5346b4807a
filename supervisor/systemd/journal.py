"""One entry for the journal from a short-lived program: the native protocol, one datagram, no waiting.

For programs in which every import counts; `supervisor.systemd.writer` is the supervisor's own.
See https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
"""

from __future__ import annotations

import _socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

INFO, NOTICE, WARNING = 6, 5, 4
_SECONDS, _POLL_SECONDS = 0.2, 0.0005
#: unix(7): how much of what was sent is not received yet; as of a terminal (TIOCOUTQ).
_SIOCOUTQ = 0x5411


def record(message: str, priority: int, fields: Mapping[str, str], address: str) -> None:
    """Write *message* with *fields*, whose line breaks become spaces. Without a journal there is nobody to tell, so
    that is no error. *address*: `Layout.journal`.

    Returns when journald has taken it, or after a fifth of a second: of a sender that is gone by then journald cannot
    tell the unit, and nobody would believe it.
    """
    lines = {"MESSAGE": message, "PRIORITY": str(priority), **fields}
    text = "".join(f"{key}={' '.join(value.splitlines())}\n" for key, value in lines.items())
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_SECONDS)
        sock.sendto(text.encode(errors="replace"), address)
        deadline = time.monotonic() + _SECONDS
        while _is_untaken(sock) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    except OSError:
        return
    finally:
        sock.close()


def _is_untaken(sock: _socket.socket) -> bool:
    from fcntl import ioctl

    return ioctl(sock.fileno(), _SIOCOUTQ, bytes(4)) != bytes(4)
