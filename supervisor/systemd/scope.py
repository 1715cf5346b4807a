"""Create a container's scope: the transient unit that holds its processes, limits and devices; type its properties.

A daemon-reexec in the middle breaks the connection and may or may not have created the scope: an attempt that meets
one looks whether it is ours.
"""

from __future__ import annotations

import _thread
import os
import time

from supervisor.errors import HostError, NotFoundError, RetryError
from supervisor.names import scope_unit, service_unit
from supervisor.systemd.manager import Manager
from supervisor.systemd.sdbus import BusError, BusLostError

_SECONDS = 40.0
#: The first pause, and the longest: systemd answers calls before it runs jobs, so a hundred launchers that ask it again
#: and again keep it from what they wait for (seen with 257, after daemon-reexec in the middle of a hundred starts).
_RETRY_SECONDS, _RETRY_MOST_SECONDS = 0.02, 2.0
_UNSURE_SECONDS = 1.0
_POLL_SECONDS = 0.0005
_POLL_MOST_SECONDS = 0.02


def expect_move() -> None:
    """Prepare the kernel for `create`, some milliseconds ahead of it; returns at once.

    Moving a process between cgroups takes a lock that no fork may be near, and on an idle host the kernel waits for
    RCU grace periods before it can be sure (percpu_down_write): 9 to 22 ms in which PID 1, which does the move, can
    do nothing else. A move that changes nothing, of this process into the cgroup it is in, makes the kernel wait now,
    while we read our plan: measured with 10 ms of lead, a scope is there after 3 ms instead of 14.
    """
    _thread.start_new_thread(_move_nowhere, ())


def _move_nowhere() -> None:
    try:
        with open("/proc/self/cgroup") as file:
            own = next(line.rstrip().removeprefix("0::") for line in file if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{own}/cgroup.procs", "w") as file:
            file.write("0")
    except (OSError, StopIteration):
        return  # it was only to save time


def create(name: str, pid: int, slice_unit: str, properties: list[tuple[str, tuple[str, object]]]) -> None:
    """Put our child *pid* into a new scope of container *name*; returns when it is there.

    *properties*: name and (D-Bus signature, value), added to ours. Raises `HostError` with systemd's own words, or
    `RetryError` when systemd stayed unreachable or an older scope of that name stayed for 40 s.
    """
    unit = scope_unit(name)
    ours: list[tuple[str, tuple[str, object]]] = [
        ("Description", ("s", f"Processes of container {name}")),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("Slice", ("s", slice_unit)),
        # A launcher killed before the hand-over must not leave an orphaned scope behind.
        ("BindsTo", ("as", [service_unit(name)])),
        ("Before", ("as", [service_unit(name)])),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    deadline = time.monotonic() + _SECONDS
    # Not all at the same time: each has a pace of its own.
    pause = _RETRY_SECONDS * (1 + pid % 16 / 16)
    problem = ""
    while time.monotonic() < deadline:
        try:
            with Manager.open() as manager:
                manager.start_transient(unit, ours + properties)
            if _placed(unit, pid):
                return
        except BusLostError as error:
            problem = str(error)
        except BusError as error:
            if not error.name.endswith(".UnitExists"):
                raise HostError(f"{unit}: {error}") from error
            if _holds(unit, pid):
                return
            problem = "a scope of that name still runs"
            # One with a job is not old: it is ours, made before the connection broke, or on its way out. To stop it
            # would take back, each time anew, what a busy systemd has not come to yet.
            if not _has_job(unit):
                _end(unit)
        if _arrives(unit, pid, pause):
            return
        pause = min(2 * pause, _RETRY_MOST_SECONDS)
    raise RetryError(f"{unit}: {problem}")


def typed(lines: tuple[str, ...]) -> list[tuple[str, tuple[str, object]]]:
    """``SIGNATURE NAME VALUE`` lines (`ScopeProperty.lines`) as systemd takes them; those of a list become one list."""
    properties: dict[str, tuple[str, object]] = {}
    pairs: dict[str, list[tuple[str, str | int]]] = {}
    for line in lines:
        signature, name, value = line.split(" ", 2)
        if signature in ("a(ss)", "a(st)"):
            first, _, second = value.rpartition(" ")
            pairs.setdefault(name, []).append((first, int(second) if signature == "a(st)" else second))
            properties[name] = (signature, pairs[name])
        elif signature == "ay":
            properties[name] = (signature, bytes.fromhex(value))
        elif signature == "b":
            properties[name] = (signature, value == "true")
        elif signature == "s":
            properties[name] = (signature, value)
        else:
            properties[name] = (signature, int(value))
    return list(properties.items())


def _placed(unit: str, pid: int) -> bool:
    """Wait for the queued start job to move *pid*; False when systemd cannot be asked. Raises `HostError` if it failed.

    Looks at the kernel instead of waiting for JobRemoved: while the direct connection is open, PID 1 sends every signal
    of every unit down each of them, which for a hundred containers at once is a hundred times a hundred.
    """
    while True:
        if _arrives(unit, pid, _UNSURE_SECONDS):
            return True
        try:
            with Manager.open() as manager:
                state = manager.properties(unit, "Unit", "ActiveState", "Job")
        except BusLostError:
            return False
        # A job that is still queued only waits its turn: systemd is busy, or orders something before the scope.
        ended = not state["Job"][0] and state["ActiveState"] in ("inactive", "failed")
        if ended and not _holds(unit, pid):
            raise HostError(f"{unit}: systemd did not start it; see 'journalctl -u {unit}'")


def _arrives(unit: str, pid: int, seconds: float) -> bool:
    """Whether *pid* is in *unit*'s cgroup within *seconds*; systemd is not asked. Raises `HostError` if *pid* ended."""
    delay, until = _POLL_SECONDS, time.monotonic() + seconds
    while time.monotonic() < until:
        if _holds(unit, pid):
            return True
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise HostError(f"{unit}: process {pid} was killed before it could be put there")
        time.sleep(delay)
        delay = min(delay * 1.5, _POLL_MOST_SECONDS)
    return False


def _has_job(unit: str) -> bool:
    """Whether systemd has still something to do with *unit*; also when it cannot be asked."""
    try:
        with Manager.open() as manager:
            return bool(manager.properties(unit, "Unit", "Job")["Job"][0])
    except (BusLostError, HostError):
        return True


def _end(unit: str) -> None:
    """Stop an older scope of that name: its last process died too early for systemd to hear that it is empty."""
    try:
        with Manager.open() as manager:
            manager.wait([manager.enqueue("stop", unit)], _UNSURE_SECONDS)
    except (BusLostError, HostError, NotFoundError):
        return  # gone meanwhile, or the next attempt tells


def _holds(unit: str, pid: int) -> bool:
    """Whether *pid* is in *unit*'s cgroup; the kernel's word, not systemd's (proc_pid_cgroup(5))."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            return any(line.rstrip().endswith(f"/{unit}") for line in file)
    except FileNotFoundError as error:
        raise HostError(f"{unit}: process {pid} ended before it could be put there") from error
