"""Whether somebody uses one of a container's sockets at this moment: a connection is open, or something waits in it.

What waits counts, because the program may just be slow to start: stopped now, it would be started at once for what
waits, and again be too slow.

TCP is asked of the kernel by sock_diag(7), which picks the port itself, so that a busy host costs little. Unix
connections are found in proc_net_unix(5): an accepted one bears the listener's name, but is listed in the network
namespace of whoever connected, which may be any container's, where that name may also mean another socket; so it counts
when a process of the container holds it, in whatever list it is. One that waits is held by nobody and counts by its
name alone, rather too often than not. A datagram that waits is seen in proc_net_udp(5); in a unix socket nothing shows
it.
"""

from __future__ import annotations

import _socket
import os
from struct import Struct, unpack

from supervisor.errors import HostError
from supervisor.idle.record import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_TCP = 6
#: Every state but LISTEN and TIME_WAIT (include/net/tcp_states.h), as bits.
_STATES = 0xFFF & ~(1 << 10) & ~(1 << 6)
_SECONDS = 5.0
_HEADER = Struct("=IHHII")
#: inet_diag_req_v2: family, protocol, extensions, padding, states; then the socket's source port, network order.
_REQUEST = Struct("=BBBxI2s46x")
#: inet_diag_msg: family, state, source port, source address, inode.
_ANSWER = Struct("=BB2x2s2x16s16x4x8x4x4x4x4xI")
_WILDCARDS = ("0.0.0.0", "::")
#: ESTABLISHED, CLOSE_WAIT: a connection that no program holds waits to be accepted if it is in one of these, as closing
#: it would have ended them.
_WAITING = (1, 8)
#: Of the unix family in proc_net_unix(5): connected, and connected but not accepted.
_CONNECTED, _CONNECTING = "03", "02"
_SO_PROTOCOL, _SO_NETNS_COOKIE = 38, 71


def is_connected(scope: str, listeners: Sequence[Listener]) -> bool:
    """Whether a connection to one of *listeners* is open, or something waits in one; *scope*: the container's control
    group. Raises `HostError` or OSError when that cannot be told."""
    streams = [listener for listener in listeners if listener.kind != _socket.SOCK_DGRAM]
    if any(_has_datagram(listener) for listener in listeners if listener.port and listener.kind == _socket.SOCK_DGRAM):
        return True
    if any(_is_tcp_connected(listener) for listener in streams if listener.port):
        return True
    names = {shown(listener.address) for listener in streams if listener.family == _socket.AF_UNIX}
    if not names:
        return False
    held = {inode for pid in processes(scope) for inode in _inodes(pid)}
    return any(waits(text, names) or not held.isdisjoint(connected(text, names)) for text in _tables())


def named(sock: _socket.socket) -> Listener | None:
    """Where *sock* is; None for one that is neither TCP, UDP nor unix, or that `is_connected` would look for in vain:
    not in this program's network namespace (systemd.socket(5), NetworkNamespacePath=)."""
    name = sock.getsockname()
    if sock.family == _socket.AF_UNIX:
        return Listener(sock.family, sock.type, name if isinstance(name, str) else os.fsdecode(name))
    if sock.family in (_socket.AF_INET, _socket.AF_INET6):
        known = sock.getsockopt(_socket.SOL_SOCKET, _SO_PROTOCOL) in (_TCP, _socket.IPPROTO_UDP)
        return Listener(sock.family, sock.type, name[0], name[1]) if known and _is_here(sock) else None
    return None


def _is_here(sock: _socket.socket) -> bool:
    own = _socket.socket(_socket.AF_UNIX)
    try:
        here, there = (one.getsockopt(_socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8) for one in (own, sock))
        return here == there
    except OSError:
        return True  # Linux before 5.14
    finally:
        own.close()


def shown(address: str) -> str:
    """A unix socket's name as proc_net_unix(5) shows it."""
    return address.replace("\0", "@")


def request(listener: Listener) -> bytes:
    """The sock_diag message that asks for the connections at the port of *listener*."""
    body = _REQUEST.pack(listener.family, _TCP, 0, _STATES, listener.port.to_bytes(2, "big"))
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body


def local_addresses(messages: bytes) -> Iterator[tuple[str, int] | None]:
    """Own address and port of each connection in *messages* that a program holds or has yet to accept; None at the end
    of the answer.

    Raises `HostError` when the kernel refuses.
    """
    while len(messages) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(messages)
        if kind == _NLMSG_DONE:
            yield None
            return
        if kind == _NLMSG_ERROR:
            code = -int.from_bytes(messages[_HEADER.size : _HEADER.size + 4], "little", signed=True)
            raise HostError(f"sock_diag: {os.strerror(code)}")
        family, state, port, address, inode = _ANSWER.unpack_from(messages, _HEADER.size)
        if inode or state in _WAITING:
            size = 4 if family == _socket.AF_INET else 16
            yield _socket.inet_ntop(family, address[:size]), int.from_bytes(port, "big")
        messages = messages[(length + 3) & ~3 :]


def connected(table: str, names: Iterable[str]) -> set[str]:
    """Inodes of the connected sockets in *table*, the text of a /proc/PID/net/unix, that bear one of *names*."""
    return {inode for state, inode in _sockets(table, names) if state == _CONNECTED}


def waits(table: str, names: Iterable[str]) -> bool:
    """Whether a connection to one of *names* in *table* is yet to be accepted."""
    return any(state == _CONNECTING for state, _ in _sockets(table, names))


def queued(table: str, listener: Listener) -> bool:
    """Whether a datagram waits in *listener*; *table*: the text of /proc/net/udp, or udp6."""
    packed = _socket.inet_pton(listener.family, listener.address)
    # In words of four bytes, each printed as the number that it is to this processor.
    address = "".join(f"{word:08X}" for word in unpack(f"={len(packed) // 4}I", packed))
    # sl local_address rem_address st tx_queue:rx_queue …
    lines = (line.split(None, 5) for line in table.splitlines()[1:])
    waiting = {words[1] for words in lines if int(words[4].partition(":")[2], 16)}
    return f"{address}:{listener.port:04X}" in waiting


def processes(scope: str) -> Iterator[int]:
    """The processes in *scope* and below; none when it is gone."""
    for directory, _, _ in os.walk(scope):
        try:
            with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except OSError:
            continue


def _sockets(table: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """State and inode of the sockets in *table* that bear one of *names*."""
    for line in table.splitlines()[1:]:
        # Num RefCount Protocol Flags Type St Inode Path, and the path may have spaces.
        words = line.split(None, 7)
        if len(words) == 8 and words[7] in names:
            yield words[5], words[6]


def _has_datagram(listener: Listener) -> bool:
    with open("/proc/net/udp6" if listener.family == _socket.AF_INET6 else "/proc/net/udp", encoding="ascii") as file:
        return queued(file.read(), listener)


def _is_tcp_connected(listener: Listener) -> bool:
    sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    try:
        sock.settimeout(_SECONDS)
        sock.send(request(listener))
        while True:
            for local in local_addresses(sock.recv(1 << 16)):
                if local is None:
                    return False
                if local[1] == listener.port and listener.address in (local[0], *_WILDCARDS):
                    return True
    finally:
        sock.close()


def _inodes(pid: int) -> Iterator[str]:
    """Inodes of the sockets that *pid* has open."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return  # it has ended
    for number in numbers:
        target = _target(f"/proc/{pid}/fd/{number}")
        if target.startswith("socket:["):
            yield target[8:-1]


def _tables() -> Iterator[str]:
    """proc_net_unix(5) of every network namespace that a process is in."""
    seen = {""}
    for pid in os.listdir("/proc"):
        namespace = _target(f"/proc/{pid}/ns/net") if pid.isdigit() else ""
        if namespace not in seen:
            try:
                with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="surrogateescape") as file:
                    yield file.read()
            except OSError:
                continue  # it has ended; another may be there
            seen.add(namespace)


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # closed, or ended, meanwhile
