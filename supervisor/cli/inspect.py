"""``ctrctl inspect``: everything known about a container as one JSON document, or one member of it.

Joins systemd's properties with the deployed files; interprets little and hides nothing. What the caller may not read is
null, and said.
"""

from __future__ import annotations

import os

from supervisor.cli.containers import check_deployed, is_frozen, is_oneshot, oom_kills, read_exit, read_json
from supervisor.cli.ports import published
from supervisor.cli.ps import rfc3339
from supervisor.errors import UserError
from supervisor.lifecycle.phase import Phase, phase
from supervisor.names import scope_unit, service_unit
from supervisor.stats.scopes import scope_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any

    from supervisor.cli.console import Console
    from supervisor.cli.containers import Exit
    from supervisor.paths import Layout
    from supervisor.systemd.manager import Manager

EXAMPLES = {
    "inspect": (
        "ctrctl inspect web",
        "ctrctl inspect --field state.pid web           one member, as plain text",
        "ctrctl inspect --field state.exit_code a b     one line for each",
    )
}

_UNIT = ("ActiveState", "SubState", "InvocationID", "ActiveEnterTimestamp", "UnitFileState", "Description")
_SERVICE = ("MainPID", "NRestarts", "Result", "ExecMainCode", "ExecMainStatus")
_LIMITS = (
    *("MemoryMax", "MemoryHigh", "MemoryLow", "MemoryMin", "MemorySwapMax"),
    *("TasksMax", "CPUQuotaPerSecUSec", "CPUWeight", "IOWeight"),
)
_USAGE = ("MemoryCurrent", "TasksCurrent", "CPUUsageNSec")
_INFINITY = 2**64 - 1


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``inspect``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a container's name")
    parser.add_argument("-f", "--field", metavar="PATH", help="print only this member: a dotted path such as state.pid")
    parser.add_argument("--format", choices=("json",), default="json", help="what to print (default, and only: json)")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print a JSON array with one document per name, or one line per name with ``--field``."""
    from supervisor.systemd.manager import Manager

    check_deployed(args.names, console.layout)
    with Manager.open() as manager:
        documents = [document(manager, name, console.layout) for name in args.names]
    if any(found["spec"] is None for found in documents):
        console.warn("only root may read a container's spec; those members are null")
    if args.field is None:
        console.json(documents)
        return 0
    for found in documents:
        value = member(found, args.field)
        if isinstance(value, (dict, list, bool)) or value is None:
            console.json(value)
        else:
            console.line(str(value))
    return 0


def member(value: Any, path: str) -> Any:
    """The member of *value* at dotted *path*; list members by number. Raises `UserError` naming what there is."""
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            known = ", ".join(value) if isinstance(value, dict) else "no members"
            raise UserError(f"field '{path}': no '{key}' here; there is {known}")
    return value


def document(manager: Manager, name: str, layout: Layout) -> dict[str, Any]:
    """The whole document of one container. Sizes are bytes, times RFC 3339 in UTC; null where there is none."""
    unit = manager.properties(service_unit(name), "Unit", *_UNIT)
    service = manager.properties(service_unit(name), "Service", *_SERVICE)
    directory = layout.container(name)
    spec = read_json(f"{directory}/spec.json")
    deployed = read_json(f"{directory}/deployed.json") or {}
    config = read_json(f"{directory}/config.json") or {}
    shared, given = in_pod(spec, layout) or (spec, deployed)
    scope = scope_directories(layout).get(name)
    reference = spec.get("image") if spec else None
    return {
        "name": name,
        "description": unit["Description"],
        "created_at": _created(f"{directory}/spec.json"),
        "source": spec.get("source") if spec else None,
        "pod": spec.get("pod") or None if spec else None,
        "state": state(
            unit,
            service,
            read_exit(name, layout),
            oneshot=is_oneshot(name, layout) if spec is None else spec.get("oneshot", False),
            frozen=scope is not None and is_frozen(scope),
            oom=oom_kills(scope),
        ),
        "health": health(name, layout),
        "unit": service_unit(name),
        "enabled": unit["UnitFileState"],
        "scope": scope_unit(name),
        "cgroup": scope.removeprefix(f"{layout.root}/sys/fs/cgroup") if scope else None,
        "invocation": bytes(unit["InvocationID"]).hex() or None,
        "image": {"reference": reference, "id": deployed.get("image") or None},
        "command": config.get("process", {}).get("args"),
        "mounts": config.get("mounts"),
        "network_mode": _network_mode(spec) if spec else None,
        "networks": networks(shared, given, layout) if shared else None,
        "ports": [port.document() for port in published(given)] if spec else None,
        "users": deployed.get("id_maps"),
        "limits": _numbers(manager, name, _LIMITS) if scope else None,
        "usage": _numbers(manager, name, _USAGE) if scope else None,
        "log": {
            "driver": spec.get("log_driver", "journald") if spec else None,
            "command": f"journalctl -u {service_unit(name)}",
        },
        "files": {"directory": directory, "drop_in": f"{layout.units}/{service_unit(name)}.d/50-ctr.conf"},
        "spec": spec,
    }


def health(name: str, layout: Layout) -> dict[str, Any] | None:
    """The member "health" of a running container: its state, and the last results, oldest first."""
    from supervisor.probe.run import read

    state = read(name, layout)
    if state is None:
        return None
    return {
        "status": state.status,
        "failing_streak": state.failures,
        "log": [
            {"start": rfc3339(r.start), "end": rfc3339(r.end), "exit_code": r.code, "output": r.output}
            for r in state.results
        ],
    }


def in_pod(spec: Mapping[str, Any] | None, layout: Layout) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Of a container with *spec* that is in a pod, the pod's definition and record: what leads to it is the pod's."""
    pod = spec.get("pod") if spec else None
    if not pod:
        return None
    directory = layout.container(pod)
    return read_json(f"{directory}/pod.json") or {}, read_json(f"{directory}/deployed.json") or {}


def _network_mode(spec: Mapping[str, Any]) -> str:
    mode = str(spec.get("network", "networks"))
    return f"{mode}:{spec.get('network_container', '')}" if mode == "container" else mode


def networks(spec: Mapping[str, Any], deployed: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The member "networks": what the container was given in each, from its *spec* and its *deployed* record."""
    wishes = {wish["network"]: wish for wish in spec.get("attachments", ())}
    found = {}
    for lease in deployed.get("leases", ()):
        name = lease["network"]
        network = (read_json(f"{layout.networks}/{name}.json") or {}).get("network", {})
        gateways = [subnet["gateway"] for subnet in network.get("subnets", ()) if subnet.get("gateway")]
        found[name] = {
            "interface": lease["interface"],
            "addresses": lease["addresses"],
            "gateways": gateways,
            "mac": lease["mac"],
            "aliases": wishes.get(name, {}).get("aliases", []),
        }
    return found


def state(
    unit: Mapping[str, Any],
    service: Mapping[str, Any],
    last: Exit | None,
    *,
    oneshot: bool = False,
    frozen: bool = False,
    oom: int = 0,
) -> dict[str, Any]:
    """The member "state" from systemd's properties; docker's State in our spelling. *oom*: kills in the run that goes
    on. Pure."""
    active, sub, main = unit["ActiveState"], unit["SubState"], int(service["MainPID"])
    is_over = last is not None and last.is_an_end
    now = phase(active, sub, frozen=frozen, oneshot=oneshot, ended=is_over)
    running = now in (Phase.RUNNING, Phase.PAUSED)
    ended = last.number if last else None
    kills = oom if running else last.oom if last else 0
    return {
        "status": now.value,
        "running": running,
        "paused": now is Phase.PAUSED,
        "restarting": now is Phase.RESTARTING,
        "pid": main or None,
        "exit_code": 0 if (active, sub) == ("active", "exited") else None if running else ended,
        "oom_killed": kills > 0,
        "oom_kills": kills,
        "result": service["Result"],
        "started_at": rfc3339(unit["ActiveEnterTimestamp"] / 1e6) if running else None,
        "finished_at": rfc3339(last.time) if last and not running else None,
        "restarts": service["NRestarts"],
        "systemd": f"{active} ({sub})",
    }


def _numbers(manager: Manager, name: str, names: Sequence[str]) -> dict[str, int | None]:
    values = manager.properties(scope_unit(name), "Scope", *names)
    return {key: None if value == _INFINITY else value for key, value in values.items()}


def _created(path: str) -> str | None:
    try:
        return rfc3339(os.stat(path).st_mtime)
    except OSError:
        return None
