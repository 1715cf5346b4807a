"""A control group inside a container's scope for one command from outside, so that all it starts can be killed at once.

Shared by the health probes and ``ctr-reload``. What is in it counts against the container's limits, ends with it and is
frozen with it. Owns no process; starting one in the group is `entry`'s.
"""

from __future__ import annotations

import os
import select
import time

from supervisor.errors import HostError

_SIGKILL = 9
#: How long the runtime may take to collect a command that was killed.
_REAP_SECONDS = 1.0
_POLL_SECONDS = 0.002


def of_scope(group: str, scope: str) -> str:
    """The control group of the unit *scope*, in which *group* lies; '' when it lies elsewhere."""
    above, found, _ = f"{group}/".partition(f"/{scope}/")
    return f"{above}/{scope}" if found else ""


def wait(child: int, seconds: float) -> bool:
    """Whether the process *child*, ours, has ended after *seconds* (0: as long as it takes). Does not collect it."""
    handle = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000 or None))
    finally:
        os.close(handle)


def kill(group: str, child: int) -> None:
    """Kill what is in *group*: first the others, so that the runtime *child* collects its command. A process whose
    runtime is gone becomes a child of the container's init, which may never collect it."""
    for pid in _members(group):
        if pid != child:
            try:
                os.kill(pid, _SIGKILL)
            except ProcessLookupError:
                continue
    wait(child, _REAP_SECONDS)
    _kill_all(group)


def remove(group: str) -> None:
    """Have no control group *group* any more, and none of its processes. Raises `HostError` when it stays."""
    deadline = time.monotonic() + _REAP_SECONDS
    while not _is_gone(group):
        if time.monotonic() > deadline:
            raise HostError(f"{group}: its processes cannot be killed; see 'systemd-cgls'")
        _kill_all(group)
        time.sleep(_POLL_SECONDS)


def dissolve(group: str, into: str) -> None:
    """Have no control group *group* any more, and its processes in *into*. Raises `HostError` when it stays."""
    deadline = time.monotonic() + _REAP_SECONDS
    while not _is_gone(group):
        if time.monotonic() > deadline:
            raise HostError(f"{group}: its processes cannot be moved to {into}; see 'systemd-cgls'")
        for pid in _members(group):
            _write(f"{into}/cgroup.procs", str(pid))


def _is_gone(group: str) -> bool:
    """Remove the directory *group*; False while there are processes in it."""
    try:
        os.rmdir(group)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _members(group: str) -> list[int]:
    try:
        with open(f"{group}/cgroup.procs", encoding="ascii") as file:
            return [int(line) for line in file]
    except OSError:
        return []


def _kill_all(group: str) -> None:
    _write(f"{group}/cgroup.kill", "1")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return  # it went away
