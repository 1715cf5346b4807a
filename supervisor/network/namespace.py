"""Make and delete named network namespaces, where ip-netns(8) and the OCI runtimes find them.

A name is a bind mount of the namespace's file on an empty one. unshare(2), setns(2), mount(2) and umount2(2) through
ctypes: Python 3.11 has none of them.
"""

from __future__ import annotations

import ctypes
import errno
import os

from supervisor.errors import HostError

_CLONE_NEWNET = 0x40000000
_BIND, _REC, _SHARED = 4096, 16384, 1 << 20
_DETACH = 2
_OWN = "/proc/thread-self/ns/net"


def create(path: str) -> None:
    """A new namespace at *path*, with nothing but a ``lo`` that is down. Raises `HostError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    _make_room(libc, os.path.dirname(path))
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(libc.unshare(_CLONE_NEWNET), "unshare network namespace")
        try:
            # As podman does (containers.conf(5), default_sysctls): root may ping without CAP_NET_RAW.
            with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as file:
                file.write("0 0")
            _call(_bind(libc, _OWN, path, _BIND), f"mount network namespace on {path}")
        finally:
            _call(libc.setns(home, _CLONE_NEWNET), "return to the host's network namespace")
    finally:
        os.close(home)


def exists(path: str) -> bool:
    """Whether a namespace is mounted at *path*: then the file is not on the file system of its directory."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False


def delete(path: str) -> None:
    """No namespace at *path*; missing is fine. Processes in it keep it alive until they end."""
    libc = ctypes.CDLL(None, use_errno=True)
    while libc.umount2(os.fsencode(path), _DETACH) == 0:
        pass
    if (error := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOENT):
        raise HostError(f"umount {path}: {os.strerror(error)}")
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _make_room(libc: ctypes.CDLL, directory: str) -> None:
    """As ip-netns(8) and podman do: the directory is a shared mount, so that names go away everywhere at once. Were it
    made one later, by them, each name that exists then would be mounted twice, and live on when it is deleted."""
    os.makedirs(directory, 0o755, exist_ok=True)
    if libc.mount(b"", os.fsencode(directory), b"none", ctypes.c_ulong(_SHARED | _REC), None) == 0:
        return
    if (error := ctypes.get_errno()) != errno.EINVAL:
        raise HostError(f"mount --make-shared {directory}: {os.strerror(error)}")
    _call(_bind(libc, directory, directory, _BIND | _REC), f"mount {directory}")
    _call(libc.mount(b"", os.fsencode(directory), b"none", ctypes.c_ulong(_SHARED | _REC), None), f"share {directory}")


def _bind(libc: ctypes.CDLL, source: str, target: str, flags: int) -> int:
    return int(libc.mount(os.fsencode(source), os.fsencode(target), b"none", ctypes.c_ulong(flags), None))


def _call(code: int, doing: str) -> None:
    if code < 0:
        raise HostError(f"{doing}: {os.strerror(ctypes.get_errno())}")
