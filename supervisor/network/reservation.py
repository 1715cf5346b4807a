"""Hold a container's published ports on the host, so that nobody else takes them while it is up.

Each is a socket that is bound and does nothing else, kept in the fd store of the container's namespace unit: no process
of ours stays for it, and systemd closes it when the unit stops. Packets never reach it, netavark's rules are before it.
"""

from __future__ import annotations

import _socket
import errno
import os
import time

from supervisor.errors import ConflictError
from supervisor.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from supervisor.network.record import Port, Record

#: FileDescriptorStoreMax= of ctr-netns@.service; ports beyond are only checked.
_MOST = 4096
_FDNAME = "port"
_LEAVING_SECONDS = 10.0
_POLL_SECONDS = 0.02
#: SCM_MAX_FD is 253.
_BATCH = 128
_FREEBIND = {_socket.AF_INET: (0, 15), _socket.AF_INET6: (41, 78)}
_SCTP = 132


def reserve(record: Record, others: Callable[[], Iterable[Record]], environ: Mapping[str, str]) -> None:
    """Bind every port of *record* and hand the sockets to systemd. *others*: records of the other containers, read only
    when a port is taken. Raises `ConflictError` that names who has it."""
    address = environ.get("NOTIFY_SOCKET", "")
    if environ.get("LISTEN_FDS"):
        _drop_inherited(int(environ["LISTEN_FDS"]), address)
    sockets: list[_socket.socket] = []
    for port in record.ports:
        for number in range(port.first, port.first + port.length):
            held = _bound(port, number, others)
            if held and len(sockets) < _MOST:
                sockets.append(held)
    if address:
        for start in range(0, len(sockets), _BATCH):
            batch = tuple(sock.fileno() for sock in sockets[start : start + _BATCH])
            # FDPOLL=0: an idle socket must not count as one whose other end is gone.
            notify.notify(address, f"FDSTORE=1\nFDNAME={_FDNAME}\nFDPOLL=0", batch)
        if sockets:
            notify.barrier(address)


def _drop_inherited(count: int, address: str) -> None:
    """A restart of the unit keeps its fd store: these would be in the way of the same ports."""
    notify.notify(address, f"FDSTOREREMOVE=1\nFDNAME={_FDNAME}")
    notify.barrier(address)
    for fd in range(3, 3 + count):
        os.close(fd)


def _bound(port: Port, number: int, others: Callable[[], Iterable[Record]]) -> _socket.socket | None:
    """A socket on that port; None when the kernel lacks the protocol."""
    try:
        return _bind(port, number)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        if error.errno != errno.EADDRINUSE:
            raise ConflictError(f"port {words(port, number)}: {error.strerror}") from error
    from supervisor.network import holders

    deadline = time.monotonic() + _LEAVING_SECONDS
    while True:
        try:
            # Connections of one who is gone linger (TIME_WAIT); they are no reason to wait a minute.
            return _bind(port, number, reuse=not holders.find(port, number, others()))
        except OSError as error:
            # systemd takes down a namespace that nobody needs any more in its own time.
            holder = holders.find(port, number, others())
            if time.monotonic() < deadline and (not holder or holders.is_leaving(holder)):
                time.sleep(_POLL_SECONDS)
                continue
            who = holders.described(holder) if holder else "a socket that does not listen"
            text = f"port {words(port, number)}: held by {who}; stop it or publish another port"
            raise ConflictError(text) from error


def _bind(port: Port, number: int, *, reuse: bool = False) -> _socket.socket:
    for family, address in _families(port.address):
        try:
            return _bind_one(port.protocol, family, address, number, both=not port.address, reuse=reuse)
        except OSError as error:
            if family == _socket.AF_INET or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    raise OSError(errno.EAFNOSUPPORT, "this host has no IPv6")


def _families(address: str) -> Iterator[tuple[int, str]]:
    """How to listen on *address*: on all of them by one IPv6 socket, or by an IPv4 one where there is no IPv6."""
    if not address or ":" in address:
        yield _socket.AF_INET6, address or "::"
    if not address or ":" not in address:
        yield _socket.AF_INET, address or "0.0.0.0"


def _bind_one(protocol: str, family: int, address: str, number: int, *, both: bool, reuse: bool) -> _socket.socket:
    kind = _socket.SOCK_DGRAM if protocol == "udp" else _socket.SOCK_STREAM
    sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, _SCTP if protocol == "sctp" else 0)
    try:
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(not both))
        if reuse:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        # An address that the host does not have yet.
        sock.setsockopt(*_FREEBIND[family], 1)
        if protocol == "udp":
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, 0)
        sock.bind((address, number))
        return sock
    except OSError:
        sock.close()
        raise


def words(port: Port, number: int) -> str:
    """'127.0.0.1:8080/tcp'."""
    host = f"[{port.address}]:" if ":" in port.address else f"{port.address}:" if port.address else ""
    return f"{host}{number}/{port.protocol}"
