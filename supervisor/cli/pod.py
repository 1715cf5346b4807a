"""``ctrctl pod``: list and show pods; what is done to them is in `pod_actions` and `pod_logs`.

Owns the words, the table and the JSON form of a pod. A pod is made by a ``.pod`` file and ``ctrctl apply``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from supervisor.cli import listing, pod_actions, pod_logs
from supervisor.cli.console import Console
from supervisor.cli.containers import Listing, listings
from supervisor.cli.lifecycle import TIMEOUT_HELP
from supervisor.cli.parser import refuse
from supervisor.cli.ports import column, published
from supervisor.cli.ps import duration
from supervisor.deploy import state
from supervisor.deploy.state import DeployedPod
from supervisor.errors import UserError
from supervisor.lifecycle.phase import Phase
from supervisor.names import namespace_unit, project_slice, project_target
from supervisor.paths import Layout
from supervisor.spec.container import Container
from supervisor.systemd.manager import Manager

EXAMPLES = {
    "pod": (
        "ctrctl pod ls                   and 'ctrctl ps -a --filter pod=shop' for the containers of one",
        "ctrctl pod start shop           the same as 'systemctl start ctr@shop.target'",
        "ctrctl pod stop shop            and wait until its containers are down",
        "ctrctl pod logs -f shop         what all its containers write",
        "ctrctl pod inspect shop",
        "ctrctl pod rm --force shop      with its containers; its definition stays",
    )
}

#: What ``ls --filter`` knows, with an example each.
_FILTERS = {"name": "name=TEXT", "status": "status=STATUS", "label": "label=KEY[=VALUE]"}
_STATUSES = ("running", "degraded", "paused", "stopped")

#: What podman has and this has not, and what to do instead.
_REFUSED = {
    "clone": "not supported; copy its definition and those of its containers, then 'ctrctl apply'",
    "create": "a pod is made by its definition: write /etc/ctr/NAME.pod, which may be just '[Pod]', and Pod=NAME.pod "
    "in the definitions of its containers, then 'ctrctl apply'",
    "exists": "not supported; the exit status of 'ctrctl pod inspect NAME' tells",
    "prune": "not supported; 'ctrctl pod ls -q --filter status=stopped' lists what does not run, 'ctrctl pod rm' "
    "removes it, and what is still defined comes back with the next 'ctrctl apply'",
    "stats": "not supported; use 'ctrctl stats $(ctrctl ps -q --filter pod=NAME)', or systemd-cgtop for the sum",
    "top": "not supported; 'ctrctl top CONTAINER' shows the processes of one container, and 'systemd-cgls --unit "
    "ctr-NAME.slice' those of all",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-command each."""
    refuse(parser, _REFUSED)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ls = actions.add_parser("ls", aliases=("ps", "list"), help="list pods")
    listing.configure(ls)
    listing.configure_filters(
        ls,
        "only those whose name contains, whose status is, or that carry the label: name=shop, status=running, "
        "label=tier; the same key twice means either",
    )
    helps = {
        "inspect": "show everything known about a pod, as JSON",
        "start": "start pods and wait until their containers run",
        "stop": "stop pods and wait until their containers are down",
        "restart": "stop and start pods, with new namespaces",
        "kill": "send a signal to the main process of each container",
        "pause": "freeze every process of the containers",
        "unpause": "let frozen containers go on",
        "rm": "remove pods",
    }
    made = {action: actions.add_parser(action, help=meaning) for action, meaning in helps.items()}
    for sub in made.values():
        sub.add_argument("name", nargs="+", metavar="POD")
    made["stop"].add_argument(
        "-t", "--time", "--timeout", type=float, dest="time", metavar="SECONDS", help=TIMEOUT_HELP
    )
    made["kill"].add_argument("-s", "--signal", default="KILL", help="name or number (default: KILL)")
    made["rm"].add_argument(
        "-f", "--force", action="store_true", help="with the containers that are in it, stopped first"
    )
    pod_logs.configure(actions.add_parser("logs", help="show what the containers of a pod wrote"))


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when it failed for one of several pods."""
    console.need_root(f"pod {args.action}")
    with Manager.open() as manager:
        return _ACTIONS[args.action](args, manager, console)


# what there is


def _list(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    now = time.time()
    wanted = listing.parse_filters(args.filter, _FILTERS)
    for status in wanted.get("status", ()):
        if status not in _STATUSES:
            raise UserError(f"filter 'status={status}': status is one of {', '.join(_STATUSES)}")
    every = documents(manager, console.layout)
    found = [one for one in every if listing.matches({**one, "status": one["state"]}, wanted)]
    listing.show(found, args, console, ("NAME", "STATUS", "CONTAINERS", "PORTS", "CREATED"), lambda one: row(one, now))
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
        pod_actions.check(name, known, console.layout)
        found.append(known[name])

    status = listing.each(args.name, console, inspect)
    console.json(found)
    return status


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
        "state": summary([Phase(container["state"]) for container in containers.values()], kept=kept),
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


def summary(phases: Sequence[Phase], *, kept: bool) -> str:
    """A pod's state, in podman's words: 'running', also without a container (*kept*: its namespaces are there),
    'degraded' when only some of its containers run, 'paused' when all are, 'stopped'. *phases*: of its containers."""
    up = [now for now in phases if now.is_up]
    if not up:
        return "running" if kept else "stopped"
    if len(up) < len(phases):
        return "degraded"
    return "paused" if set(up) == {Phase.PAUSED} else "running"


def _membership(member: Container, target: str, item: Listing | None) -> dict[str, Any]:
    now = item.phase if item else Phase.CREATED
    return {"state": now.value, "up": now.is_up, "starts_with_pod": pod_actions.starts_with(member, target)}


_ACTIONS: dict[str, Callable[[argparse.Namespace, Manager, Console], int]] = {
    "ls": _list,
    "list": _list,
    "ps": _list,
    "inspect": _inspect,
    "start": pod_actions.start,
    "stop": pod_actions.stop,
    "restart": pod_actions.restart,
    "kill": pod_actions.kill,
    "pause": pod_actions.pause,
    "unpause": pod_actions.unpause,
    "logs": pod_logs.show,
    "rm": pod_actions.remove,
}
