"""Make and delete named namespaces: network namespaces where ip-netns(8) finds them, others as files of ours.

A name is a bind mount of the namespace's file on an empty one. unshare(2), setns(2), mount(2) and umount2(2) through
ctypes: Python 3.11 has none of them. Namespaces that a container does not share with the host's users are made inside
its user namespace (`supervisor.network.users`), which then has power over them.
"""

from __future__ import annotations

import ctypes
import errno
import os

from supervisor.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_BIND, _REC, _SHARED = 4096, 16384, 1 << 20
_DETACH = 2
_OWN = "/proc/thread-self/ns/net"


def create(path: str, user_namespace: str = "") -> None:
    """A new network namespace at *path*, with nothing but a ``lo`` that is down; it belongs to the user namespace bound
    at *user_namespace*, or to the host's. Raises `HostError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    _make_room(libc, os.path.dirname(path))
    make_file(path)
    if user_namespace:
        capture("net", path, lambda: _enter(user_namespace))
        return
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _unshare()
        try:
            _call(_bind(libc, _OWN, path, _BIND), f"mount network namespace on {path}")
        finally:
            _call(libc.setns(home, _CLONE_NEWNET), "return to the host's network namespace")
    finally:
        os.close(home)


def capture(kind: str, path: str, enter: Callable[[], None], prepare: Callable[[int], None] | None = None) -> None:
    """Bind on the file *path* the namespace *kind* ('net', 'user' …) that a process is in after *enter*, which it calls
    itself; *prepare* is called with its number in between. Nothing of it stays, also when this process is killed.
    Raises `HostError` with what *enter* raised."""
    libc = ctypes.CDLL(None, use_errno=True)
    report_reader, report_writer = os.pipe()
    wait_reader, wait_writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(wait_writer)
        _hold(enter, report_writer, wait_reader)
    os.close(report_writer)
    os.close(wait_reader)
    try:
        report = os.read(report_reader, 4096)
        if report != _ENTERED:
            raise HostError(report.decode(errors="replace") or f"namespace for {path}: its process was killed")
        if prepare:
            prepare(child)
        _call(_bind(libc, f"/proc/{child}/ns/{kind}", path, _BIND), f"mount {kind} namespace on {path}")
    finally:
        os.close(report_reader)
        os.close(wait_writer)
        os.waitpid(child, 0)


_ENTERED = b"entered\n"


def _hold(enter: Callable[[], None], report: int, wait: int) -> None:
    """What the process does that is in the new namespace; never returns. The end of *wait* ends it."""
    try:
        enter()
        os.write(report, _ENTERED)
        os.read(wait, 1)
    except (HostError, OSError) as error:
        os.write(report, str(error).encode())
    finally:
        os._exit(0)


def join(path: str, kind: int = _CLONE_NEWUSER) -> None:
    """Put this process into the namespace bound at *path*, by default a user namespace: then with every capability
    there and none on the host, though the user stays the same. Raises `HostError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(libc.setns(file, kind), f"join namespace {path}")
    finally:
        os.close(file)


def _enter(user_namespace: str) -> None:
    join(user_namespace)
    _unshare()


def _unshare() -> None:
    _call(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET), "unshare network namespace")
    # As podman does (containers.conf(5), default_sysctls): root may ping without CAP_NET_RAW.
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as file:
        file.write("0 0")


def make_file(path: str) -> None:
    """An empty file to mount on."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))


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
    except IsADirectoryError:  # a pod's /dev/shm
        os.rmdir(path)


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
