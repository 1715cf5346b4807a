"""systemd's fd store (FileDescriptorStoreMax= in systemd.service(5)): what the relay would lose by dying lies here.

Everything of one stream goes under one name in one message, so the store has all of it or nothing. The names are
short on purpose: after a restart all of them come back in one environment variable, LISTEN_FDNAMES, which the kernel
limits to 128 KiB (execve(2)), and a relay whose variable is longer could never be started again.
"""

from __future__ import annotations

import os
import resource

from supervisor.errors import HostError
from supervisor.systemd.notify import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_FD = 3  #: sd_listen_fds(3)
_SLOTS = 1 << 16
#: What FileDescriptorStoreMax= is assumed to be when systemd (before 254) does not say so in $FDSTORE.
_DEFAULT_LIMIT = 16384
#: Descriptors for clients, sockets and the like, ours and PID 1's.
_OWN_FDS = 256


class FdStore:
    """*address*: $NOTIFY_SOCKET; *limit*: how many descriptors may be stored; *used*: how many are."""

    __slots__ = ("_address", "_next", "_slots", "limit", "used")

    def __init__(self, address: str, limit: int) -> None:
        self._address = address
        self._slots: dict[str, int] = {}
        self._next = 0
        self.limit = limit
        self.used = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> FdStore:
        """Raises `HostError` when systemd did not start us (no $NOTIFY_SOCKET)."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address:
            raise HostError("log relay: NOTIFY_SOCKET is not set; systemctl start ctr-log.socket starts it")
        # For each two in the store we have three open (mmap keeps its own), and PID 1 of systemd >= 254 four while it
        # starts us: past its limit we could never be started again. Ours is no higher than that.
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return cls(address, min(int(environ.get("FDSTORE") or _DEFAULT_LIMIT), (open_files - _OWN_FDS) // 3))

    def has_room(self, fds: int) -> bool:
        """Whether *fds* more fit. systemd drops what does not, and tells nobody."""
        return self.used + fds <= self.limit

    def slot(self) -> str:
        """A name that is not in use."""
        while (slot := f"s{self._next:x}") in self._slots:
            self._next = (self._next + 1) % _SLOTS
        return slot

    def adopt(self, slot: str, fds: int) -> None:
        """*fds* descriptors came back under the name *slot*."""
        self._slots[slot] = fds
        self.used += fds

    def add(self, slot: str, fds: tuple[int, ...], status: str) -> None:
        """Store *fds* as *slot*; they are in the store once a `barrier` sent later has been answered.

        FDPOLL=0, or systemd would drop a pipe when its writers are gone, together with what is still in it.
        """
        notify(self._address, f"FDSTORE=1\nFDPOLL=0\nFDNAME={slot}\nSTATUS={status}", fds)
        self.adopt(slot, len(fds))

    def remove(self, slot: str, status: str) -> None:
        """Take everything named *slot* out of the store."""
        notify(self._address, f"FDSTOREREMOVE=1\nFDNAME={slot}\nSTATUS={status}")
        self.used -= self._slots.pop(slot, 0)

    def ready(self, status: str) -> None:
        notify(self._address, f"READY=1\nSTATUS={status}")

    def barrier(self) -> int:
        """A descriptor that hangs up when systemd has processed all messages before (sd_notify_barrier(3))."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            notify(self._address, "BARRIER=1", (writer,))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader


def received(environ: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """(name, descriptor) of everything systemd passed: sockets under FileDescriptorName=, stored ones under FDNAME=."""
    count = int(environ.get("LISTEN_FDS") or 0)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (count - len(names))
    return tuple((names[index], _FIRST_FD + index) for index in range(count))
