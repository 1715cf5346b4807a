"""Acting on the files of a container whose users are others on the host (user_namespaces(7)), as the host's root.

Imports nothing that the launcher could not afford: it does so, too, for such containers.
"""

from __future__ import annotations

import ctypes
import os

from supervisor.errors import HostError
from supervisor.spec.mapping import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisor.spec.mapping import Range

_PR_GET_SECUREBITS, _PR_SET_SECUREBITS = 27, 28
_NO_SETUID_FIXUP = 1 << 2


class FilesAs:
    """Within it files are made as *uid* and *gid*, by a process that keeps every capability.

    The host's root does not exist on a mount that shows other owners: it could not make a file there.
    """

    def __init__(self, uid: int, gid: int) -> None:
        self._ids = uid, gid
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> None:
        self._bits = self._prctl(_PR_GET_SECUREBITS, 0)
        self._prctl(_PR_SET_SECUREBITS, self._bits | _NO_SETUID_FIXUP)
        self._libc.setfsgid(self._ids[1])
        self._libc.setfsuid(self._ids[0])

    def __exit__(self, *_: object) -> None:
        self._libc.setfsuid(0)
        self._libc.setfsgid(0)
        self._prctl(_PR_SET_SECUREBITS, self._bits)

    def _prctl(self, option: int, value: int) -> int:
        result = self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)
        if result < 0:
            raise HostError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")
        return int(result)


def give_pipes(streams: Iterable[int], uid: int, gid: int) -> None:
    """Let *uid*, a container's root, open /dev/stdout anew, as nginx does: give it the pipes among *streams*. Not a
    FIFO, which has a name on the host and is whoever's made it."""
    for fd in streams:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            os.fchown(fd, uid, gid)


class Numbers:
    """The host's numbers of the users and groups of the process *pid* (/proc/PID/uid_map, gid_map)."""

    def __init__(self, pid: int, proc: str = "/proc") -> None:
        self._users = _map(f"{proc}/{pid}/uid_map")
        self._groups = _map(f"{proc}/{pid}/gid_map")

    @property
    def root(self) -> tuple[int, int]:
        """Who the container's root is on the host."""
        return self.outside(0, 0)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """The host's numbers of the container's. Raises `HostError` for one that is nobody's there."""
        return _outside(uid, self._users, "user"), _outside(gid, self._groups, "group")

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """The container's numbers of the host's; nobody's, as the kernel has it, for those it does not know."""
        return _inside(uid, self._users), _inside(gid, self._groups)


_NOBODY = 65534


def _map(path: str) -> tuple[Range, ...]:
    with open(path, encoding="ascii") as file:
        rows = [tuple(int(word) for word in line.split()) for line in file]
    return tuple((row[0], row[1], row[2]) for row in rows)


def _outside(number: int, mapped: tuple[Range, ...], what: str) -> int:
    host = outside(number, mapped)
    if host < 0:
        raise HostError(f"{what} {number}: the container's user namespace does not have it")
    return host


def _inside(number: int, mapped: tuple[Range, ...]) -> int:
    return next((first + number - host for first, host, length in mapped if host <= number < host + length), _NOBODY)
