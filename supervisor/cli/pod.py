"""``ctrctl pod``: list, show, start, stop and remove pods.

Owns the words, the table and the JSON form of a pod. A pod is made by a ``.pod`` file and ``ctrctl apply``; starting
and stopping it is a job of systemd on its target, ``ctr@POD.target``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from supervisor.cli import listing
from supervisor.cli.console import Console
from supervisor.cli.containers import Listing, listings
from supervisor.cli.failure import explain
from supervisor.cli.ports import column, published
from supervisor.cli.ps import duration
from supervisor.deploy import state
from supervisor.deploy.deploy import Deployment
from supervisor.deploy.state import DeployedPod
from supervisor.errors import HostError, NotFoundError
from supervisor.images.store import Store
from supervisor.lifecycle.phase import Phase
from supervisor.names import namespace_unit, project_slice, project_target, service_unit
from supervisor.paths import Layout
from supervisor.spec.container import Container
from supervisor.systemd.manager import Manager

EXAMPLES = {
    "pod": (
        "ctrctl pod ls",
        "ctrctl pod start shop           the same as 'systemctl start ctr@shop.target'",
        "ctrctl pod stop shop            and wait until its containers are down",
        "ctrctl pod inspect shop",
        "ctrctl pod rm --force shop      with its containers; its definition stays",
    )
}

def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-command each."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing.configure(actions.add_parser("ls", help="list pods"))
    helps = {
        "inspect": "show everything known about a pod, as JSON",
        "start": "start pods and wait until their containers run",
        "stop": "stop pods and wait until their containers are down",
        "restart": "stop and start pods, with new namespaces",
    }
    for action, meaning in helps.items():
        actions.add_parser(action, help=meaning).add_argument("name", nargs="+", metavar="POD")
    remove = actions.add_parser("rm", help="remove pods")
    remove.add_argument("name", nargs="+", metavar="POD")
    remove.add_argument("-f", "--force", action="store_true", help="with the containers that are in it, stopped first")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when it failed for one of several pods."""
    console.need_root(f"pod {args.action}")
    with Manager.open() as manager:
        return _ACTIONS[args.action](args, manager, console)


# what there is


def _list(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    now = time.time()
    found = documents(manager, console.layout)
    listing.show(found, args, console, ("NAME", "STATE", "CONTAINERS", "PORTS", "CREATED"), lambda one: row(one, now))
    return 0


def row(one: Mapping[str, Any], now: float) -> tuple[str, ...]:
    """The cells of one line."""
    members = one["containers"].values()
    up = sum(member["up"] for member in members)
    ports = column(published({"ports": one["ports"]}))
    return one["name"], one["state"], f"{up}/{len(members)}", ports or "-", f"{duration(now - one['created'])} ago"


def _inspect(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    known = {one["name"]: one for one in documents(manager, console.layout)}
    found = []

    def inspect(name: str) -> None:
        check(name, known)
        found.append(known[name])

    status = listing.each(args.name, console, inspect)
    console.json(found)
    return status


def check(name: str, known: Iterable[str]) -> None:
    """Raise `NotFoundError` for a *name* that is none of the *known* pods."""
    if name not in known:
        raise NotFoundError(f"pod {name}: not deployed; 'ctrctl pod ls' lists those that are")


def documents(manager: Manager, layout: Layout) -> list[dict[str, Any]]:
    """Every pod by name, as ``inspect`` prints it."""
    containers = [deployed.container for deployed in state.read_all(layout)]
    known = {item.name: item for item in listings(manager, layout, everything=True, details=False)}
    active = {unit.name for unit in manager.units(namespace_unit("*")) if unit.active == "active"}
    found = []
    for deployed in state.read_pods(layout):
        members = [container for container in containers if container.pod == deployed.name]
        created = os.stat(f"{layout.container(deployed.name)}/{state.POD_FILE}").st_mtime
        kept = namespace_unit(deployed.name) in active
        found.append(document(deployed, members, known, created, kept=kept))
    return found


def document(
    deployed: DeployedPod, members: Sequence[Container], known: Mapping[str, Listing], created: float, *, kept: bool
) -> dict[str, Any]:
    """One pod with its *members*; *known*: states of containers by name; *created*: seconds since the epoch; *kept*:
    whether its namespaces are there. Pure."""
    target = project_target(deployed.name)
    containers = {member.name: _membership(member, target, known.get(member.name)) for member in members}
    return {
        "name": deployed.name,
        "state": summary([container["up"] for container in containers.values()], kept=kept),
        "unit": target,
        "slice": project_slice(deployed.name),
        "created": created,
        "source": deployed.pod.source,
        "hostname": deployed.pod.hostname or deployed.name,
        "exit_policy": deployed.pod.exit_policy.value,
        "network": deployed.pod.network.value,
        "networks": [dataclasses.asdict(lease) for lease in deployed.record.leases],
        "ports": [{**dataclasses.asdict(port), "protocol": port.protocol.value} for port in deployed.record.ports],
        "shm_size": deployed.pod.shm_size,
        "mounts": [{**dataclasses.asdict(mount), "type": mount.type.value} for mount in deployed.pod.mounts],
        "labels": dict(deployed.pod.labels),
        "containers": containers,
    }


def summary(up: Sequence[bool], *, kept: bool) -> str:
    """A pod's state, in podman's words: 'running', also without a container (*kept*: its namespaces are there),
    'degraded' when only some of its containers run, 'stopped'. *up*: whether each of them runs."""
    if any(up):
        return "running" if all(up) else "degraded"
    return "running" if kept else "stopped"


def _membership(member: Container, target: str, item: Listing | None) -> dict[str, Any]:
    now = item.phase if item else Phase.CREATED
    return {"state": now.value, "up": now.is_up, "starts_with_pod": _starts_with(member, target)}


def _starts_with(member: Container, target: str) -> bool:
    return any(entry.key == "WantedBy" and target in entry.value.split() for entry in member.unit.install)


# what happens to them


def _start(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    return _each(args, manager, console, lambda name, members: _up(manager, "start", name, members, console))


def _restart(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    return _each(args, manager, console, lambda name, members: _up(manager, "restart", name, members, console))


def _stop(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    return _each(args, manager, console, lambda name, members: _down(manager, name, members))


def _each(
    args: argparse.Namespace,
    manager: Manager,
    console: Console,
    action: Callable[[str, tuple[Container, ...]], None],
) -> int:
    known = state.pod_names(console.layout)
    containers = [deployed.container for deployed in state.read_all(console.layout)]

    def act(name: str) -> None:
        check(name, known)
        action(name, tuple(container for container in containers if container.pod == name))
        console.line(name)

    return listing.each(args.name, console, act)


def _up(manager: Manager, verb: str, name: str, members: tuple[Container, ...], console: Console) -> None:
    """The target is there once every container is that starts with it, or failed to."""
    target = project_target(name)
    starting = [member.name for member in members if _starts_with(member, target)]
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


def _down(manager: Manager, name: str, members: tuple[Container, ...]) -> None:
    """A target is gone before its containers are; the addresses and ports are free once the namespaces are."""
    units = [project_target(name), *(service_unit(member.name) for member in members), namespace_unit(name)]
    active = {unit.name for unit in manager.units(*units) if unit.active != "inactive"}
    jobs = [manager.enqueue("stop", unit) for unit in units if unit in active]
    stuck = [f"{unit}: {result}" for unit, result in manager.wait(jobs).items() if result != "done"]
    if stuck:
        raise HostError(f"pod {name}: does not stop: {', '.join(stuck)}; see 'systemctl status {project_slice(name)}'")


def _remove(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    deployment = Deployment(console.layout, Store(console.layout), manager)

    def remove(name: str) -> None:
        check(name, state.pod_names(console.layout))
        deployment.remove_pod(name, force=args.force)
        console.line(name)

    return listing.each(args.name, console, remove)


_ACTIONS: dict[str, Callable[[argparse.Namespace, Manager, Console], int]] = {
    "ls": _list,
    "inspect": _inspect,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "rm": _remove,
}
