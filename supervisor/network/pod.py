"""Make what the containers of a pod share beside a network: ipc and uts namespaces, and /dev/shm. Decides nothing.

Called by `supervisor.network.runtime`, which also takes it down: everything is mounted in one directory. Imported only
for pods.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import os

from supervisor.errors import HostError
from supervisor.network import namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.network.record import Record
    from supervisor.paths import Layout

_CLONE_NEWNET = 0x40000000
_FLAGS = {"ipc": 0x08000000, "uts": 0x04000000}
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def create(wanted: Record, layout: Layout, user_namespace: str) -> None:
    """The namespaces of the pod, owned by the user namespace bound at *user_namespace*, or by the host's. Raises
    `HostError`, OSError."""
    hostname, shm_size, network = wanted.pod
    directory = layout.namespaces(wanted.name)
    os.makedirs(directory, 0o755, exist_ok=True)
    for kind in _FLAGS:
        _make(kind, f"{directory}/{kind}", user_namespace, hostname)
    _mount_shm(f"{directory}/shm", shm_size)
    if network == "none":
        path = layout.namespace(wanted.name)
        namespace.create(path, user_namespace)
        _raise_loopback(path)


def hosts(wanted: Record, layout: Layout) -> tuple[str, ...]:
    """Lines of /etc/hosts: the containers of the pod call each other by name, as with podman."""
    with open(f"{layout.container(wanted.name)}/current/members", encoding="utf-8") as file:
        return tuple(f"127.0.0.1\t{name}" for name in file.read().split()) if wanted.hosts else ()


def _make(kind: str, path: str, user_namespace: str, hostname: str) -> None:
    namespace.make_file(path)
    namespace.capture(kind, path, lambda: _enter(kind, user_namespace, hostname))


def _enter(kind: str, user_namespace: str, hostname: str) -> None:
    if user_namespace:
        namespace.join(user_namespace)
    if ctypes.CDLL(None, use_errno=True).unshare(_FLAGS[kind]) < 0:
        raise HostError(f"unshare {kind} namespace: {os.strerror(ctypes.get_errno())}")
    if kind == "uts":
        _socket.sethostname(hostname)


def _mount_shm(path: str, size: str) -> None:
    os.mkdir(path, 0o755)
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_NOSUID | _NODEV | _NOEXEC)
    if libc.mount(b"shm", os.fsencode(path), b"tmpfs", flags, f"mode=1777,size={size}".encode()) < 0:
        raise HostError(f"mount {path}: {os.strerror(ctypes.get_errno())}")


def _raise_loopback(path: str) -> None:
    """The runtimes do so in a namespace that they make, and netavark in one that it connects."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace.join(path, _CLONE_NEWNET)
        try:
            sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            # struct ifreq (netdevice(7))
            fcntl.ioctl(sock.fileno(), _SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + bytes((_IFF_UP, 0)).ljust(24, b"\0"))
            sock.close()
        finally:
            namespace.join(f"/proc/self/fd/{home}", _CLONE_NEWNET)
    finally:
        os.close(home)
