"""``ctr-idle look NAME``: the program of ctr-idle@NAME.service. Stops a container that nobody has used for long enough.

In use is a container that holds a connection of its sockets or has yet to accept one, or at whose sockets something
arrived since the last look. Before it is stopped it is frozen, and looked at once more: what arrives from then on is
not accepted any more but waits in the listening socket, and systemd starts the container for it as soon as this run has
ended.

Imports little: it runs a few times for each period of `StopWhenIdleSec=`.
"""

from __future__ import annotations

import os
import sys
import time

from supervisor.errors import CtrError, UserError
from supervisor.idle import arrivals, connections, record
from supervisor.names import check_name, scope_unit, service_unit
from supervisor.paths import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from supervisor.systemd.manager import Manager

#: In the runtime directory while the container is frozen by us; ctr-idle@.service looks for it.
FROZEN = "idle-frozen"
#: The init of `RunInit=`, as `supervisor.render.mounts` has it.
INIT = "/run/.ctr-init"
_FREEZE_SECONDS, _STOP_SECONDS, _POLL_SECONDS = 2.0, 10.0, 0.002
#: ExecStop= is waited for with the container frozen, but it may be one that needs the container.
_EXEC_STOP_SECONDS = 3.0
#: States of a unit that a stop of another ends.
_UP = ("active", "activating", "reloading", "refreshing")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-idle look NAME``, ``thaw NAME`` (undo what a killed look has left); the exit status is 0 or 1."""
    verb, name = (*arguments, "", "")[:2]
    try:
        if verb == "look":
            look(check_name(name), Layout())
        elif verb == "thaw":
            thaw(check_name(name), Layout())
        else:
            raise UserError("usage: ctr-idle look|thaw NAME")
    except (FileNotFoundError, ProcessLookupError):
        return 0  # the run has ended meanwhile
    except (CtrError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


def look(name: str, layout: Layout) -> None:
    """Note whether container *name* is in use, and stop it if it has not been for its time."""
    places = layout.running(name)
    text = record.read(f"{places}/{record.SOCKETS}")
    scope = scope_of(name, places)
    if not text or not scope or _reads_one(f"{scope}/cgroup.freeze"):
        return  # nothing to go by, over, or paused
    watched = record.loads(text)
    before = record.load_look(record.read(f"{places}/{record.LOOK}"), watched)
    now = time.monotonic()
    if is_used(scope, watched, before):
        _note(places, now, watched)
    elif now - before.last >= watched.timeout and not is_needed(name):
        _end(name, layout, scope, watched, before)


def is_used(scope: str, watched: record.Watched, before: record.Look) -> bool:
    """Whether something arrived since the look *before*, or a connection is open."""
    arrived = arrivals.counted(watched.counter) != before.arrived
    # Always asked, as asking sets it back.
    touched = arrivals.touched(watched.listeners)
    return arrived or touched or connections.is_connected(scope, watched.listeners)


def is_needed(name: str) -> bool:
    """Whether its unit has a job, or another unit that is up or starting requires it: stopping it would stop that one
    too."""
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        found = manager.properties(service_unit(name), "Unit", "Job", "RequiredBy", "RequisiteOf", "BoundBy")
        if found.pop("Job")[0]:
            return True
        others = {unit for units in found.values() for unit in units if not is_companion(unit, name)}
        return any(manager.properties(unit, "Unit", "ActiveState")["ActiveState"] in _UP for unit in others)


def is_companion(unit: str, name: str) -> bool:
    """Whether *unit* is one that ctr itself runs beside container *name*: its scope, its probes, its timers."""
    return unit == scope_unit(name) or (unit.startswith("ctr-") and f"@{name}." in unit)


def scope_of(name: str, places: str) -> str:
    """The control group of the run in *places*; empty when it is over."""
    try:
        with open(f"/proc/{_init(places)}/cgroup", encoding="utf-8") as file:
            group = next(line.rstrip().removeprefix("0::") for line in file if line.startswith("0::"))
    except (OSError, ValueError, StopIteration):
        return ""
    above, found, _ = f"{group}/".partition(f"/{scope_unit(name)}/")
    return f"/sys/fs/cgroup{above}/{scope_unit(name)}" if found else ""


def thaw(name: str, layout: Layout) -> None:
    """Let container *name* run on, if it was frozen by `look`."""
    places = layout.running(name)
    try:
        if os.path.lexists(f"{places}/{FROZEN}"):
            _write(f"{scope_of(name, places)}/cgroup.freeze", "0")
            os.unlink(f"{places}/{FROZEN}")
    except FileNotFoundError:
        return  # it has ended, frozen as it was


def _end(name: str, layout: Layout, scope: str, watched: record.Watched, before: record.Look) -> None:
    from supervisor.systemd.manager import Manager

    places = layout.running(name)
    with Manager.open() as manager:
        record.write(f"{places}/{FROZEN}", "")
        _write(f"{scope}/cgroup.freeze", "1")
        try:
            if not _reaches(lambda: "frozen 1" in _read(f"{scope}/cgroup.events"), _FREEZE_SECONDS):
                return
            if is_used(scope, watched, before):
                _note(places, time.monotonic(), watched)
                return
            # 'fail': somebody else's job wins.
            manager.enqueue("stop", service_unit(name), "fail")
            _tell(name, layout, watched.timeout)
            # Its stop signal has to be there first: it is the first thing that the container sees when it goes on.
            if _is_signalled(manager, name):
                _signal_below_init(manager, name, places, scope)
        finally:
            thaw(name, layout)


def _is_signalled(manager: Manager, name: str) -> bool:
    """Wait until systemd has sent its stop signal: its job may wait for others, and ExecStop= comes before it."""

    def is_state(*states: str) -> bool:
        found = manager.properties(service_unit(name), "Unit", "ActiveState", "SubState")
        return found["ActiveState"] in ("deactivating", "inactive", "failed") and found["SubState"] not in states

    return _reaches(is_state, _STOP_SECONDS) and _reaches(lambda: is_state("stop"), _EXEC_STOP_SECONDS)


def _signal_below_init(manager: Manager, name: str, places: str, scope: str) -> None:
    """The stop signal, also to the program that the init of `RunInit=` has started.

    systemd signals the init, which passes it on when it runs again, when the program runs as well and may accept what
    waits before. So the program gets the signal twice.
    """
    init = _init(places)
    if not _read(f"/proc/{init}/cmdline").startswith(INIT):
        return
    signal = manager.properties(service_unit(name), "Service", "KillSignal")["KillSignal"]
    for pid in connections.processes(scope):
        if is_second(_read(f"/proc/{pid}/status"), init):
            os.kill(pid, signal)


def is_second(status: str, init: int) -> bool:
    """Whether *status*, of proc_pid_status(5), is that of the process which *init*, the first of a container's process
    numbers, has made first."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return fields["PPid"].split() == [str(init)] and fields["NSpid"].split()[-1:] == ["2"]


def _init(places: str) -> int:
    """The first process of the run in *places*. Raises FileNotFoundError when it is over."""
    return int(_read(f"{places}/pid"))


def _note(places: str, now: float, watched: record.Watched) -> None:
    arrived = arrivals.counted(watched.counter)
    record.write(f"{places}/{record.LOOK}", record.dump_look(record.Look(now, arrived)))


def _tell(name: str, layout: Layout, seconds: float) -> None:
    from supervisor.systemd import journal

    fields = {"SYSLOG_IDENTIFIER": name, "CONTAINER_NAME": name, "OBJECT_SYSTEMD_UNIT": service_unit(name)}
    text = f"idle for {seconds:g} s: stopping it until the next connection"
    journal.record(text, journal.NOTICE, fields, layout.journal)


def _reaches(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (reached := condition()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return reached


def _reads_one(path: str) -> bool:
    try:
        return _read(path).startswith("1")
    except OSError:
        return False


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Into a file of the kernel's; makes none. Raises FileNotFoundError when the control group is gone."""
    with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "w", encoding="ascii") as file:
        file.write(text)
