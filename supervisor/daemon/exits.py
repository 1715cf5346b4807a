"""The ends of main processes at the moment they happen, as the kernel tells who holds a pidfd (pidfd_open(2)).

A doorbell, no source: what has ended, and how, is in the journal and in what systemd signals. But journald tells its
readers of a new entry only every 250 ms, and PID 1, which writes of an end as soon as it is told of it, comes to its
bus only after it has executed ExecStopPost=. A process that is not watched costs these milliseconds, nothing else.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable

#: Descriptors that are left for everything else.
_RESERVE = 256
_RUNG = -1


class Exits:
    """Calls *ring*, in the loop, when a process ends. One main process for each container; `close` at the end."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._held: dict[str, tuple[int, int]] = {}
        """PID and descriptor, or `_RUNG` when that has served."""

    def watch(self, name: str, pid: int) -> None:
        """The main process of container *name* is *pid*; 0: it has none."""
        if self._held.get(name, (0, _RUNG))[0] == pid:
            return
        self._release(name)
        if not pid or len(self._held) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVE:
            return
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return  # it has ended already, or there are no descriptors
        self._held[name] = pid, fd
        asyncio.get_running_loop().add_reader(fd, self._ended, name)

    def close(self) -> None:
        """Give all descriptors back."""
        for name in tuple(self._held):
            self._release(name)

    def _ended(self, name: str) -> None:
        pid = self._held[name][0]
        self._release(name)
        # It stays the main process until systemd has told otherwise, and rings once.
        self._held[name] = pid, _RUNG
        self._ring()

    def _release(self, name: str) -> None:
        _, fd = self._held.pop(name, (0, _RUNG))
        if fd != _RUNG:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
