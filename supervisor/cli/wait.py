"""``ctrctl wait``: until containers are in a state; sleeps on systemd's signals, and on the kernel's for a removal.

Owns the conditions. They are docker's and podman's where those have one; what is true already counts, except that
'exited' without any run to wait for is an error, as it would be for ever.
"""

from __future__ import annotations

import os
import time

from supervisor.cli.containers import check_deployed, health, invocation_of, is_deployed, is_oneshot, read_exit
from supervisor.errors import HostError, UserError
from supervisor.lifecycle.phase import Phase, phase
from supervisor.names import check_name, health_timer, healthy_unit, service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from supervisor.cli.console import Console
    from supervisor.paths import Layout
    from supervisor.systemd.manager import Manager, UnitStatus
    from supervisor.systemd.sdbus import Message

EXAMPLES = {
    "wait": (
        "ctrctl wait job                               prints 0 when job has ended well",
        "ctrctl wait --condition healthy db            for scripts; units say After=ctr-healthy@db.service",
        "ctrctl wait --condition removed --timeout 60 old",
    )
}

CONDITIONS = ("running", "healthy", "unhealthy", "stopped", "exited", "removed")
#: As timeout(1).
TIMED_OUT = 124

_LOOK_SECONDS = 60.0
#: inotify(7); a directory that goes.
_IN_DELETE, _IN_MOVED_FROM, _IN_CLOEXEC = 0x200, 0x40, 0o2000000


class _TimedOutError(Exception):
    """The time is over."""


class Deadline:
    """When to give up; *seconds* None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float:
        """Seconds to sleep at most. Raises `_TimedOutError` when none are left."""
        if self._end is None:
            return _LOOK_SECONDS
        left = self._end - time.monotonic()
        if left <= 0:
            raise _TimedOutError
        return min(left, _LOOK_SECONDS)


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``wait``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a container's name")
    parser.add_argument(
        "--condition", choices=CONDITIONS, default="exited", help="what to wait for (default: exited, the end of a run)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=f"give up then, with exit status {TIMED_OUT}")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Wait for all; prints exit codes in the order of the names (exited), else each name when it has come so far."""
    names = tuple(dict.fromkeys(args.names))
    if args.condition == "removed":
        # What is gone already is what was waited for; only a word that can be no name is a mistake.
        for name in names:
            check_name(name)
    else:
        check_deployed(names, console.layout)
    if args.timeout is not None and not args.timeout >= 0:
        raise UserError(f"--timeout {args.timeout:g}: less than nothing; use seconds, or leave it out to wait for ever")
    deadline = Deadline(args.timeout)
    try:
        if args.condition == "removed":
            _removed(names, deadline, console)
            return 0
        from supervisor.systemd.manager import Manager

        with Manager.open() as manager:
            wait = _exited if args.condition == "exited" else _Reached(args.condition).wait
            wait(manager, names, deadline, console)
    except _TimedOutError:
        console.error(f"wait: not {args.condition} within {args.timeout:g} s: {', '.join(names)}")
        return TIMED_OUT
    return 0


def _exited(manager: Manager, names: Sequence[str], deadline: Deadline, console: Console) -> None:
    """Print, in the order of *names*, the exit code of each run that is under way, or else of the last one."""
    for name in names:
        manager.watch(service_unit(name))
    runs = [(name, invocation_of(name, console.layout)) for name in names]
    for name, invocation in runs:
        while (code := exit_code(manager, name, invocation, console)) is None:
            manager.next_signal(deadline.left())
        console.line(str(code))
        console.stdout.flush()
        last = read_exit(name, console.layout)
        if last and last.oom:
            from supervisor.cli.failure import OUT_OF_MEMORY

            console.note(f"{name}: {OUT_OF_MEMORY}")


def exit_code(manager: Manager, name: str, invocation: str, console: Console) -> int | None:
    """The exit code of run *invocation* of *name*, None while it goes on. Raises `UserError` if it never ran."""
    unit = service_unit(name)
    states = manager.units(unit)
    active, sub = (states[0].active, states[0].sub) if states else ("inactive", "dead")
    if (active, sub) == ("active", "exited"):
        return 0
    last = read_exit(name, console.layout)
    # With Restart= the next run may be up before we look: its own end is on record all the same.
    ended = last is not None and last.invocation == invocation and active not in ("active", "deactivating")
    if last and (ended or active in ("inactive", "failed") or "auto-restart" in sub):
        return last.number
    if active in ("inactive", "failed"):
        state = manager.properties(unit, "Service", "ExecMainCode", "ExecMainStatus")
        if not state["ExecMainCode"]:
            raise UserError(f"{name}: has never run, so there is nothing to wait for; start it first")
        status = int(state["ExecMainStatus"])
        return status if state["ExecMainCode"] == 1 else 128 + status
    return None


class _Reached:
    """Waits until every container has been in a state, at the same time or one after the other."""

    def __init__(self, condition: str) -> None:
        self._holds = HOLDS[condition]
        self._needs_health = condition in ("healthy", "unhealthy")

    def wait(self, manager: Manager, names: Sequence[str], deadline: Deadline, console: Console) -> None:
        """Print each name when it holds. Raises `UserError`, before it waits, for what can never hold."""
        if self._needs_health:
            _check_health(names, console.layout)
        for name in names:
            manager.watch(service_unit(name))
            if self._needs_health:
                manager.watch(healthy_unit(name))
                manager.watch(health_timer(name))
        oneshots = {name for name in names if is_oneshot(name, console.layout)}
        pending = list(names)
        signal: Message | None = None
        while True:
            states = {unit.name: unit for unit in manager.units(*map("ctr*@{}.*".format, pending))}
            for name in tuple(pending):
                now = seen(name, states, oneshot=name in oneshots)
                if self._holds(*now) or passed(name, signal, self._holds, oneshot=name in oneshots):
                    pending.remove(name)
                    console.line(name)
                    console.stdout.flush()
            if not pending:
                return
            signal = manager.next_signal(deadline.left())


def seen(name: str, states: dict[str, UnitStatus], *, oneshot: bool) -> tuple[Phase, str]:
    """The phase of *name* and, while it runs, its health, by the *states* of its units. Pure."""
    unit = states.get(service_unit(name))
    now = phase(unit.active, unit.sub, oneshot=oneshot) if unit else Phase.CREATED
    gate, timer = states.get(healthy_unit(name)), states.get(health_timer(name))
    return now, health(gate, timer) if now is Phase.RUNNING else ""


def passed(name: str, signal: Message | None, holds: Callable[[Phase, str], bool], *, oneshot: bool) -> bool:
    """Whether *signal* tells of a state of *name* in which *holds* was true, though it may be over by now. Pure."""
    from supervisor.systemd.manager import unit_path

    if signal is None or signal.member != "PropertiesChanged" or signal.path != unit_path(service_unit(name)):
        return False
    changed = signal.args[1]
    active = changed.get("ActiveState")
    return active is not None and holds(phase(active, changed.get("SubState", ""), oneshot=oneshot), "")


#: Condition -> whether it holds in a phase, with that health.
HOLDS: dict[str, Callable[[Phase, str], bool]] = {
    "running": lambda now, _: now is Phase.RUNNING,
    "healthy": lambda _, health: health == "healthy",
    "unhealthy": lambda _, health: health == "unhealthy",
    "stopped": lambda now, _: not now.is_up,
}


def _check_health(names: Sequence[str], layout: Layout) -> None:
    from supervisor.cli.healthcheck import has_health_check

    for name in names:
        if not has_health_check(name, layout):
            raise UserError(f"{name}: has no health check that repeats, so it never gets healthy or unhealthy")


def _removed(names: Sequence[str], deadline: Deadline, console: Console) -> None:
    """Print each name when the container is gone, as the kernel tells of its directories (inotify(7)).

    systemd has no word for it: the unit of a container that is down is not loaded.
    """
    import select

    fd, complete = _watch((console.layout.units, console.layout.containers))
    try:
        pending = list(names)
        while True:
            for name in tuple(pending):
                if not is_deployed(name, console.layout):
                    pending.remove(name)
                    console.line(name)
                    console.stdout.flush()
            if not pending:
                return
            if select.select([fd], [], [], min(deadline.left(), _LOOK_SECONDS if complete else 1.0))[0]:
                os.read(fd, 65536)
    finally:
        os.close(fd)


def _watch(directories: Sequence[str]) -> tuple[int, bool]:
    """A descriptor that gets readable when something in *directories* is removed, and whether that is true of all of
    them: only root may read /var/lib/ctr/containers. Raises `HostError`."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(_IN_CLOEXEC)
    if fd < 0:
        raise HostError(f"inotify: {os.strerror(ctypes.get_errno())}")
    watched = [libc.inotify_add_watch(fd, os.fsencode(path), _IN_DELETE | _IN_MOVED_FROM) for path in directories]
    return fd, min(watched) >= 0
