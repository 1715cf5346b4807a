"""One entry for the journal from a short-lived program: the native protocol, one datagram, no waiting.

For programs in which every import counts; `supervisor.systemd.writer` is the supervisor's own.
See https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
"""

from __future__ import annotations

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

INFO, NOTICE, WARNING = 6, 5, 4


def record(message: str, priority: int, fields: Mapping[str, str], address: str) -> None:
    """Write *message* with *fields*, whose line breaks become spaces. Without a journal there is nobody to tell, so
    that is no error. *address*: `Layout.journal`."""
    lines = {"MESSAGE": message, "PRIORITY": str(priority), **fields}
    text = "".join(f"{key}={' '.join(value.splitlines())}\n" for key, value in lines.items())
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.sendto(text.encode(errors="replace"), address)
    except OSError:
        return
    finally:
        sock.close()
