"""What ``ctrctl pod`` does to pods: start, stop, restart, kill, pause, unpause and remove them.

Starting and stopping is a job of systemd on the pod's target, ``ctr@POD.target``; the rest is done to each container.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from supervisor.cli import listing
from supervisor.cli.console import Console
from supervisor.cli.containers import is_deployed, listings, signal_number
from supervisor.cli.failure import explain
from supervisor.cli.lifecycle import freeze, main_processes, thaw, with_timeout
from supervisor.deploy import state
from supervisor.deploy.deploy import Deployment
from supervisor.errors import CtrError, HostError, NotFoundError, UserError
from supervisor.images.store import Store
from supervisor.lifecycle.phase import Phase
from supervisor.names import namespace_unit, project_slice, project_target, service_unit
from supervisor.paths import Layout
from supervisor.spec.container import Container
from supervisor.systemd.manager import Manager

Members = tuple[Container, ...]

#: In which phases a container has processes that take a signal.
_ALIVE = frozenset((Phase.STARTING, Phase.RUNNING, Phase.PAUSED, Phase.STOPPING))


def check(name: str, known: Iterable[str], layout: Layout) -> None:
    """Raise `NotFoundError` for a *name* that is none of the *known* pods."""
    if name in known:
        return
    if is_deployed(name, layout):
        raise NotFoundError(f"pod {name}: is a container, no pod; leave out the word 'pod'")
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=2)
    advice = f"did you mean {' or '.join(near)}?" if near else "'ctrctl pod ls' lists those that are"
    raise NotFoundError(f"pod {name}: not deployed; {advice}")


def members(name: str, layout: Layout) -> Members:
    """The containers of pod *name*. Raises `NotFoundError`."""
    check(name, state.pod_names(layout), layout)
    return tuple(one.container for one in state.read_all(layout) if one.container.pod == name)


def starts_with(member: Container, target: str) -> bool:
    """Whether *target* starts it."""
    return any(entry.key == "WantedBy" and target in entry.value.split() for entry in member.unit.install)


def start(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """Until its containers run, or have failed."""
    return _each(args, console, lambda name, found: _up(manager, "start", name, found))


def restart(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """With new namespaces."""

    def step(name: str, found: Members) -> None:
        thaw(manager, _names(found), console)
        _up(manager, "restart", name, found)

    return _each(args, console, step)


def stop(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """Until its addresses and ports are free."""
    return _each(args, console, lambda name, found: _down(manager, name, found, args.time, console))


def kill(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """A signal to the main process of each container that has one."""
    number = signal_number(args.signal)

    def step(name: str) -> None:
        manager.kill(service_unit(name), "main", number)

    return _each(args, console, lambda pod, found: _to_those(pod, found, _ALIVE, "running", step, manager, console))


def pause(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """Each that runs."""
    phases = frozenset((Phase.RUNNING,))

    def step(name: str) -> None:
        freeze(manager, "pause", name, console)

    return _each(args, console, lambda pod, found: _to_those(pod, found, phases, "running", step, manager, console))


def unpause(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """Each that is paused."""
    phases = frozenset((Phase.PAUSED,))

    def step(name: str) -> None:
        freeze(manager, "unpause", name, console)

    return _each(args, console, lambda pod, found: _to_those(pod, found, phases, "paused", step, manager, console))


def remove(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """With ``--force`` its containers, too."""
    deployment = Deployment(console.layout, Store(console.layout), manager)

    def step(name: str, found: Members) -> None:
        if args.force:
            thaw(manager, _names(found), console)
        deployment.remove_pod(name, force=args.force)

    return _each(args, console, step)


def _each(args: argparse.Namespace, console: Console, action: Callable[[str, Members], None]) -> int:
    def act(name: str) -> None:
        action(name, members(name, console.layout))
        console.line(name)

    return listing.each(args.name, console, act)


def _names(found: Members) -> list[str]:
    return [member.name for member in found]


def _to_those(
    pod: str,
    found: Members,
    phases: frozenset[Phase],
    word: str,
    step: Callable[[str], None],
    manager: Manager,
    console: Console,
) -> None:
    """Do *step* to each of *found* that is in one of *phases*. Raises `UserError` when none is, `HostError` when it
    failed for one."""
    up = {item.name: item.phase for item in listings(manager, console.layout, everything=False, details=False)}
    names = [name for name in _names(found) if up.get(name) in phases]
    if not names:
        raise UserError(f"pod {pod}: none of its containers is {word}; 'ctrctl ps -a --filter pod={pod}' lists them")
    failed = []
    for name in names:
        try:
            step(name)
        except CtrError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise HostError(f"pod {pod}: {'; '.join(failed)}")


def _up(manager: Manager, verb: str, name: str, found: Members) -> None:
    """The target is there once every container is that starts with it, or failed to."""
    target = project_target(name)
    starting = [member.name for member in found if starts_with(member, target)]
    units = manager.units(*map(service_unit, starting)) if starting else ()
    for unit in units:
        # A person who types start means it: the limit on automatic restarts is not for them.
        if unit.active == "failed":
            manager.reset_failed(unit.name)
    result = manager.wait([manager.enqueue(verb, target)])[target]
    if result != "done":
        # Its namespaces, as a rule, which its containers need just so.
        why = explain(manager, starting[0], verb, result).reason if starting else f"see 'systemctl status {target}'"
        raise HostError(f"pod {name}: {verb} failed: {why}")
    units = manager.units(*map(service_unit, starting)) if starting else ()
    down = {unit.name for unit in units if unit.active == "failed"}
    failed = [member for member in starting if service_unit(member) in down]
    if failed:
        reasons = (f"{member}: {explain(manager, member, verb, 'failed').reason}" for member in failed)
        raise HostError(f"pod {name}: {verb} failed: {'; '.join(reasons)}")


def _down(manager: Manager, name: str, found: Members, seconds: float | None, console: Console) -> None:
    """A target is gone before its containers are; the addresses and ports are free once the namespaces are. *seconds*:
    until SIGKILL, None for each container's own."""
    thaw(manager, _names(found), console)
    services = [service_unit(member) for member in _names(found)]
    units = [project_target(name), *services, namespace_unit(name)]
    active = {unit.name for unit in manager.units(*units) if unit.active != "inactive"}
    running = [member for member in _names(found) if service_unit(member) in active]
    mains = main_processes(manager, running) if seconds is not None else {}
    jobs = [manager.enqueue("stop", unit) for unit in units if unit in active]
    results = manager.wait(jobs) if seconds is None else with_timeout(manager, jobs, mains, seconds)
    stuck = [f"{unit}: {result}" for unit, result in results.items() if result != "done"]
    if stuck:
        raise HostError(f"pod {name}: does not stop: {', '.join(stuck)}; see 'systemctl status {project_slice(name)}'")
