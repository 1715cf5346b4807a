"""How far a container's network is: told by ``ctr-netns up``, which makes it, to the launcher, which goes on meanwhile.

The namespaces are there when the unit is active; interfaces, rules and names are made while the launcher prepares
everything else. Whoever makes them holds a lock on a file until it has written there how that ended. The kernel takes
the lock from whoever dies, and then nothing is written.
"""

from __future__ import annotations

import fcntl
import os

from supervisor.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = "progress"
_DONE = "done"
_MOST = 4096


class Progress:
    """The file in *directory* (`Layout.networking`), locked until `end` or the end of this process."""

    def __init__(self, directory: str) -> None:
        self._fd = os.open(f"{directory}/{_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def end(self, problem: str = "") -> None:
        """The network is there, or is not for the reason *problem*."""
        os.write(self._fd, (problem or _DONE).encode(errors="replace")[:_MOST])
        os.close(self._fd)


class Follower:
    """Follows what is made in *directory*. Raises `HostError` when nothing is."""

    def __init__(self, directory: str) -> None:
        self._unit = f"ctr-netns@{os.path.basename(directory)}"
        try:
            self._fd = os.open(f"{directory}/{_FILE}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise HostError(f"network: is down again; see 'journalctl -u {self._unit}'") from error

    def wait(self, patience: Callable[[], None]) -> None:
        """Return when the network is there; *patience* is called before this takes time.

        Raises `HostError` in the words of what made it, also when that was killed.
        """
        if not self.check():
            patience()
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            self.check()

    def check(self) -> bool:
        """Whether the network is there already. Raises as `wait` does."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        told = os.pread(self._fd, _MOST, 0).decode(errors="replace")
        if told != _DONE:
            raise HostError(told or f"network: what made it was killed; see 'journalctl -u {self._unit}'")
        return True
