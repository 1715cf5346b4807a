"""``ctrctl start|stop|restart|kill|pause|unpause|rm``: verbs that are systemd jobs, signals and states.

All names are checked first, then all jobs are queued, then all are waited for. Owns no state: what happened is read
back from systemd. Removing is `supervisor.deploy`'s work.
"""

from __future__ import annotations

from supervisor.cli.containers import PATTERN, check_deployed, is_frozen, signal_number
from supervisor.errors import CtrError, HostError, UserError
from supervisor.lifecycle.phase import phase
from supervisor.names import healthy_unit, namespace_unit, scope_unit, service_unit
from supervisor.stats.scopes import scope_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from supervisor.cli.console import Console
    from supervisor.systemd.manager import Job, Manager, UnitStatus

_FAILED = 125

_UP = ("active", "activating", "reloading", "refreshing", "deactivating")

EXAMPLES = {
    "start": (
        "ctrctl start web",
        "ctrctl start db cache web        all at once",
        "ctrctl start --wait db           returns when it is healthy",
    ),
    "stop": (
        "ctrctl stop web",
        "ctrctl stop -t 60 db             SIGKILL after 60 seconds instead of its own StopTimeout=",
        "systemctl stop ctr@db            the same, and what requires db stops as well",
    ),
    "restart": ("ctrctl restart web", "ctrctl restart -t 0 web          without waiting for it to stop by itself"),
    "kill": (
        "ctrctl kill -s HUP web           reload, for many programs",
        "ctrctl kill web                  SIGKILL; systemd then applies the container's Restart=",
    ),
    "pause": ("ctrctl pause web", "ctrctl ps --filter status=paused"),
    "unpause": ("ctrctl unpause web",),
    "rm": (
        "ctrctl rm web                    a stopped container and its writable layer",
        "ctrctl rm -f web                 also when it runs",
        "ctrctl rm -f -v web              with its anonymous volumes",
    ),
}

TIMEOUT_HELP = "seconds until SIGKILL, instead of the container's own stop timeout; -1: never"

#: systemd takes no "never" in EXTEND_TIMEOUT_USEC; ten years will do.
_NEVER_SECONDS = 10 * 365 * 86400.0

#: How long a stop job may take to have begun: a message that extends it is only heard while the unit is stopping.
_BEGUN_SECONDS = 0.2


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of each verb."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a container's name")
    if verb == "start":
        parser.add_argument("-w", "--wait", action="store_true", help="until they are healthy, where that is known")
    elif verb in ("stop", "restart"):
        parser.add_argument("-t", "--time", "--timeout", type=float, dest="time", metavar="SECONDS", help=TIMEOUT_HELP)
    elif verb == "kill":
        parser.add_argument("-s", "--signal", default="KILL", help="name or number (default: KILL)")
    elif verb == "rm":
        parser.add_argument("-f", "--force", action="store_true", help="stop it first if it runs")
        parser.add_argument("-v", "--volumes", action="store_true", help="with its anonymous volumes; named ones stay")
        # For ctr-remove@.service: what `run --rm --detach` asked for, if it still holds.
        from argparse import SUPPRESS

        parser.add_argument("--ended", action="store_true", help=SUPPRESS)


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Do *verb* to every name; prints each name that it was done to."""
    names = tuple(dict.fromkeys(args.names))
    if verb == "rm":
        return _remove(names, args, console)
    check_deployed(names, console.layout)
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        if verb in ("start", "stop", "restart"):
            code = _jobs(manager, verb, names, getattr(args, "time", None), console)
            return code or (_wait_until_healthy(manager, names, console) if getattr(args, "wait", False) else 0)
        return _each(manager, names, _step(manager, verb, args, console), console)


def _jobs(manager: Manager, verb: str, names: Sequence[str], seconds: float | None, console: Console) -> int:
    """Queue *verb* for all *names*, wait for all, explain what failed."""
    before = _states(manager)
    if verb == "stop":
        # As Compose users expect: what depends on it is left alone (DESIGN section 3).
        mode = "ignore-dependencies"
    else:
        mode = "replace"
        for name in names:
            # A person who types start means it: the limit on automatic restarts is not for them.
            if name in before and before[name].active == "failed":
                manager.reset_failed(service_unit(name))
    if verb != "start":
        thaw(manager, names, console)
    if verb == "stop":
        _end_health(manager, names)
    mains = main_processes(manager, names) if seconds is not None else {}
    jobs = [manager.enqueue(verb, service_unit(name), mode) for name in names]
    try:
        results = with_timeout(manager, jobs, mains, seconds) if seconds is not None else manager.wait(jobs)
    except KeyboardInterrupt:
        console.note(f"the {verb} goes on; 'systemctl list-jobs' shows it")
        raise
    if verb == "stop":
        _end_namespaces(manager, names)
    return _results(manager, verb, names, results, console)


def _wait_until_healthy(manager: Manager, names: Sequence[str], console: Console) -> int:
    from supervisor.cli.healthcheck import wait

    try:
        reasons = wait(manager, names, console.layout)
    except KeyboardInterrupt:
        console.note("they run on; 'ctrctl ps' shows their health")
        raise
    for name, reason in reasons.items():
        console.error(f"{name}: {reason}")
    return _FAILED if reasons else 0


def _end_health(manager: Manager, names: Sequence[str]) -> None:
    """Leave alone what requires their health, too: systemd would stop it as ctr-healthy@NAME ends with ctr@NAME."""
    units = [unit.name for unit in manager.units(*map(healthy_unit, names)) if unit.active in _UP]
    manager.wait([manager.enqueue("stop", unit, "ignore-dependencies") for unit in units])


def _end_namespaces(manager: Manager, names: Sequence[str]) -> None:
    """Wait until the addresses and ports of what was stopped are free again; systemd does not, for whoever stops a
    unit that alone needed another. A namespace that others share stays."""
    units = [unit.name for unit in manager.units(*map(namespace_unit, names)) if unit.active != "inactive"]
    jobs = []
    for unit in units:
        needed = manager.properties(unit, "Unit", "RequiredBy")["RequiredBy"]
        # No name at all would mean every unit.
        if not needed or not any(other.active in _UP for other in manager.units(*needed)):
            jobs.append(manager.enqueue("stop", unit))
    manager.wait(jobs)


def _results(manager: Manager, verb: str, names: Sequence[str], results: dict[str, str], console: Console) -> int:
    code = 0
    for name in names:
        result = results[service_unit(name)]
        if result == "done":
            console.line(name)
            continue
        from supervisor.cli.failure import explain

        code = _FAILED
        failure = explain(manager, name, verb, result)
        console.error(f"{name}: {verb} failed: {failure.reason}")
        for line in failure.lines:
            console.note(f"  {line}")
        if result == "failed":
            console.note(f"more: journalctl -u {service_unit(name)}")
    return code


def with_timeout(manager: Manager, jobs: Sequence[Job], mains: dict[str, int], seconds: float) -> dict[str, str]:
    """Wait for *jobs*, SIGKILL the main process of what has not stopped after *seconds*, wait for the rest."""
    limit = _NEVER_SECONDS if seconds < 0 else seconds
    results = manager.wait(jobs, timeout=min(_BEGUN_SECONDS, limit))
    left = [job for job in jobs if job.unit not in results]
    if left and limit > _BEGUN_SECONDS:
        for job in left:
            _extend(mains.get(job.unit, 0), limit)
        results |= manager.wait(left, timeout=limit - _BEGUN_SECONDS)
        left = [job for job in left if job.unit not in results]
    for job in left:
        main = mains.get(job.unit, 0)
        # Of a restart, the process that is there now may be the new one.
        if main and manager.properties(job.unit, "Service", "MainPID")["MainPID"] == main:
            manager.kill(job.unit, "main", signal_number("KILL"))
    return results | manager.wait(left)


def _extend(main: int, seconds: float) -> None:
    """Give the stopping unit whose main process is *main* at least *seconds* more, as the process could ask itself.

    EXTEND_TIMEOUT_USEC= of sd_notify(3); root may speak for another process (SCM_CREDENTIALS, unix(7)), as
    ``systemd-notify --pid=`` does. A margin, so that ours is the SIGKILL that comes on time. Of one whose main process
    has ended meanwhile, nothing is left to kill.
    """
    import socket
    import struct
    from contextlib import suppress

    if not main:
        return
    credentials = struct.pack("iII", main, 0, 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(ProcessLookupError):
        sock.sendmsg(
            [f"EXTEND_TIMEOUT_USEC={int((seconds + 5) * 1e6)}".encode()],
            [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)],
            0,
            "/run/systemd/notify",
        )


def main_processes(manager: Manager, names: Sequence[str]) -> dict[str, int]:
    units = [service_unit(name) for name in names]
    return {unit: manager.properties(unit, "Service", "MainPID")["MainPID"] for unit in units}


def thaw(manager: Manager, names: Sequence[str], console: Console) -> None:
    """A frozen process does not get the stop signal: let it go on first."""
    scopes = scope_directories(console.layout)
    for name in names:
        if name in scopes and is_frozen(scopes[name]):
            freeze(manager, "unpause", name, console)


def freeze(manager: Manager, verb: str, name: str, console: Console) -> None:
    """Pause or unpause, and have the journal know: systemd 252 says so to nobody."""
    from supervisor.events import records
    from supervisor.systemd import journal

    (manager.freeze if verb == "pause" else manager.thaw)(scope_unit(name))
    record = records.PAUSED if verb == "pause" else records.UNPAUSED
    fields = {"MESSAGE_ID": record, "OBJECT_SYSTEMD_UNIT": service_unit(name), records.CONTAINER: name}
    journal.record(f"container {name}: {verb}d", journal.INFO, fields, console.layout.journal)


def _states(manager: Manager) -> dict[str, UnitStatus]:
    prefix, suffix = PATTERN.split("*")
    return {unit.name[len(prefix) : -len(suffix)]: unit for unit in manager.units(PATTERN)}


def _step(manager: Manager, verb: str, args: argparse.Namespace, console: Console) -> Callable[[str], None]:
    if verb == "kill":
        number = signal_number(args.signal)
        return lambda name: manager.kill(service_unit(name), "main", number)
    return lambda name: freeze(manager, verb, name, console)


def _each(manager: Manager, names: Sequence[str], step: Callable[[str], None], console: Console) -> int:
    """Do *step* to every container that is up; the others are errors, said after all were tried."""
    states = _states(manager)
    errors: list[CtrError] = []
    for name in names:
        unit = states.get(name)
        if unit is None or not phase(unit.active, unit.sub).is_up:
            errors.append(UserError(f"{name}: not running; start it with 'ctrctl start {name}'"))
            continue
        try:
            step(name)
            console.line(name)
        except CtrError as error:
            failed = HostError(f"{name}: {error}")
            failed.__cause__ = error
            errors.append(failed)
    return _say(errors, console)


def _remove(names: Sequence[str], args: argparse.Namespace, console: Console) -> int:
    console.need_root("rm")
    from supervisor.deploy.deploy import Deployment
    from supervisor.images.store import Store
    from supervisor.systemd.manager import Manager

    errors: list[CtrError] = []
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)
        for name in names:
            try:
                if args.ended:
                    deployment.remove_ended(name)
                else:
                    check_deployed((name,), console.layout)
                    if args.force:
                        thaw(manager, (name,), console)
                    deployment.remove(name, force=args.force, volumes=args.volumes)
                    console.line(name)
            except CtrError as error:
                errors.append(error)
    return _say(errors, console)


def _say(errors: Sequence[CtrError], console: Console) -> int:
    if not errors:
        return 0
    from supervisor.cli.failure import sentence

    for error in errors:
        console.error(sentence(error))
    return _FAILED
