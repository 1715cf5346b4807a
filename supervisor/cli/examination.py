"""Looks at one container from every side, for ``ctrctl diagnose``: systemd, the journal, the kernel, our own files.

What the caller may not read is left out and never an error. Draws no conclusions: `supervisor.cli.verdict` does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from supervisor.cli import failure, units
from supervisor.cli.console import printable
from supervisor.cli.containers import health as health_of
from supervisor.cli.containers import is_frozen, oom_kills, read_exit, read_text, signal_words
from supervisor.cli.symptoms import Culprit, Symptoms
from supervisor.errors import HostError
from supervisor.events import records
from supervisor.graph.build import fold
from supervisor.graph.model import Graph, Relation
from supervisor.graph.model import State as NodeState
from supervisor.health.record import State
from supervisor.inventory import cards
from supervisor.lifecycle.phase import Phase, phase
from supervisor.names import health_timer, healthy_unit, name_of_scope, name_of_service, scope_unit, service_unit
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.stats.scopes import scope_directories
from supervisor.systemd.manager import Manager

_UNIT = (
    *("LoadState", "ActiveState", "SubState", "InvocationID", "SourcePath"),
    *("ConditionResult", "ConditionTimestamp", "ActiveEnterTimestamp", "InactiveEnterTimestamp"),
)
_SERVICE = (
    *("Type", "Result", "ExecMainCode", "ExecMainStatus", "NRestarts", "Restart"),
    *("ExecMainStartTimestamp", "ExecMainExitTimestamp"),
)
_LIMITS = ("MemoryMax", "MemoryHigh", "TasksMax", "CPUQuotaPerSecUSec")
_CODES = {1: "exited", 2: "killed", 3: "dumped"}
_EXITS, _EXITS_READ = 5, 20
#: systemd's catalog: "Process exited" (SD_MESSAGE_UNIT_PROCESS_EXIT).
_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
#: What stood before it was about another container.
_BEGINS_ANEW = (records.DEPLOYED, records.REMOVED)
_LAUNCHER, _CREDENTIALS = (125, 126, 127), 243
_UNLIMITED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Ending:
    """One run's end: *at* in seconds since the epoch, the rest as in `supervisor.lifecycle.model.Exit`."""

    at: float
    code: str
    status: int
    result: str = ""
    oom: int = 0

    @property
    def words(self) -> str:
        """For people."""
        if self.code == "exited":
            how = f"exited with status {self.status}"
        elif self.code:
            how = f"killed by {signal_words(self.status)}{', core dumped' if self.code == 'dumped' else ''}"
        else:
            how = "never ran"
        extra = [self.result] if self.result not in ("", "success", "exit-code", "signal", "core-dump") else []
        extra += ["out of memory"] if self.oom else []
        return f"{how} ({', '.join(extra)})" if extra else how


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that the page shows, and the symptoms."""

    card: Card
    unit: dict[str, Any]
    service: dict[str, Any]
    seen: Symptoms
    graph: Graph
    probes: State | None
    exits: tuple[Ending, ...]
    lines: tuple[str, ...]
    limits: dict[str, int]
    """Numbers that there are: 'memory', 'memory_max', 'pids' …, as in `_usage`."""


def examine(name: str, manager: Manager, layout: Layout) -> Examination:
    """Look at container *name*, which is deployed."""
    unit = manager.properties(service_unit(name), "Unit", *_UNIT)
    service = manager.properties(service_unit(name), "Service", *_SERVICE)
    card = cards.read(name, layout) or Card(name)
    scope = scope_directories(layout).get(name)
    # First: it has journald write down what it was sent.
    culprits = _culprits(name, unit, manager)
    invocation = bytes(unit["InvocationID"]).hex()
    logged = failure.last_lines(invocation, name, service["ExecMainStartTimestamp"]) if invocation else ()
    exits = _exits(name)
    lived = life(name, unit, service, scope, layout, exits)
    limits = _usage(name, scope, manager) if scope else left(lived["oom"])
    graph = units.of([name], manager, layout)
    probes = _probes(name, layout)
    seen = Symptoms(
        name=name,
        load=str(unit["LoadState"]),
        result=str(service["Result"]),
        restarts=int(service["NRestarts"]),
        policy=str(service["Restart"]),
        jobs=units.queued(name, manager),
        condition=bool(unit["ConditionResult"]) or not unit["ConditionTimestamp"],
        image=card.image,
        image_missing=_is_image_missing(card, layout),
        pids=limits.get("pids_hits", 0),
        memory_max=limits.get("memory_max_hits", 0),
        memory_high=limits.get("memory_high_hits", 0),
        throttled=limits.get("throttled_percent", 0) / 100,
        **lived,
        **_words(name, service, logged, manager),
        **_health(name, manager, probes),
        culprits=culprits,
        ailing=ailing(name, graph),
    )
    return Examination(
        card, unit, service, seen, graph, probes, exits[-_EXITS:], tuple(text for text, _ in logged), limits
    )


def life(
    name: str,
    unit: dict[str, Any],
    service: dict[str, Any],
    scope: str | None,
    layout: Layout,
    exits: tuple[Ending, ...],
) -> dict[str, Any]:
    """Phase, and how and how fast the last run ended; *unit*, *service*: systemd's properties."""
    code = _CODES.get(service["ExecMainCode"], "")
    status, last = int(service["ExecMainStatus"]), read_exit(name, layout)
    if not code and exits:
        code, status = exits[-1].code, exits[-1].status
    ended = bool(code) and service["Result"] not in ("protocol", "resources")
    frozen = scope is not None and is_frozen(scope)
    now = phase(unit["ActiveState"], unit["SubState"], frozen=frozen, oneshot=service["Type"] == "oneshot", ended=ended)
    began, over = service["ExecMainStartTimestamp"], service["ExecMainExitTimestamp"]
    seconds = (over - began) / 1e6 if 0 < began <= over else None
    if now in (Phase.RUNNING, Phase.PAUSED) and unit["ActiveEnterTimestamp"]:
        seconds = max(0.0, time.time() - unit["ActiveEnterTimestamp"] / 1e6)
    return {
        "phase": now,
        "code": code,
        "status": status,
        "signal": signal_words(status) if code in ("killed", "dumped") else "",
        "seconds": seconds,
        "oom": oom_kills(scope) if scope else last.oom if last else exits[-1].oom if exits else 0,
    }


def _words(
    name: str, service: dict[str, Any], logged: tuple[tuple[str, bool], ...], manager: Manager
) -> dict[str, Any]:
    """What the launcher said when it failed, what the container said last, what systemd says of the secrets."""
    failed = service["Result"] == "exit-code"
    own = [text for text, ours in logged if ours]
    said = [text for text, ours in logged if not ours and text.strip()]
    launcher = own[-1] if failed and service["ExecMainStatus"] in _LAUNCHER and own else ""
    credentials = ""
    if failed and service["ExecMainStatus"] == _CREDENTIALS:
        credentials = failure.explain(manager, name, "start", "failed").reason
    return {"launcher": launcher, "output": said[-1] if said else "", "credentials": credentials}


def _health(name: str, manager: Manager, probes: State | None) -> dict[str, Any]:
    found = {status.name: status for status in manager.units(healthy_unit(name), health_timer(name))}
    health = health_of(found.get(healthy_unit(name)), found.get(health_timer(name)))
    failed = [result for result in probes.results if result.code] if probes else []
    words = printable(" ".join(failed[-1].output.split())) if failed else ""
    return {"health": health, "streak": probes.failures if probes else 0, "probe": words}


def _probes(name: str, layout: Layout) -> State | None:
    from supervisor.probe.run import read

    return read(name, layout)


def _culprits(name: str, own: dict[str, Any], manager: Manager) -> tuple[Culprit, ...]:
    """What failed and so keeps it from starting, or what failed while it runs; nothing when its last start failed
    otherwise, or it was stopped since. *own*: the properties of its unit."""
    unit = service_unit(name)
    starts = failure.last_starts([unit])
    is_victim = starts[unit][0] in ("dependency", "") if starts else not own["ActiveEnterTimestamp"]
    if not is_victim and own["ActiveState"] != "active":
        return ()
    found = []
    for way, invocation in failure.root_causes(manager, unit):
        service, relation = fold(way[-1])
        container = name_of_service(service)
        if container and service == way[-1]:
            words = failure.explain(manager, container, "start", "failed").reason
        else:
            words = failure.last_words(invocation)
        words = words.removeprefix("the launcher said: ").removeprefix(f"{container}: ")
        if relation is Relation.HEALTHY:
            words = f"it did not become healthy: {words.removeprefix('unhealthy: ')}"
        found.append(Culprit(container or way[-1], way[-1], way, words))
    return tuple(found)


def ailing(name: str, graph: Graph) -> tuple[str, ...]:
    """The containers that container *name* requires itself, and that are unhealthy. Pure."""
    required = (e.target for e in graph.edges if e.source == service_unit(name) and e.is_strong)
    return tuple(graph.nodes[unit].label for unit in required if graph.nodes[unit].state is NodeState.UNHEALTHY)


def _exits(name: str) -> tuple[Ending, ...]:
    """How the last runs ended, oldest first: PID 1's records, and cleanup's, which also tell of ends without failure.

    Each run once; only what root wrote outside of a container counts, as anybody may send such fields; and nothing of
    an earlier container of the same name.
    """
    from supervisor.cli.journal import read

    said = (f"MESSAGE_ID={message_id}" for message_id in (records.RUN_ENDED, *_BEGINS_ANEW))
    ours = (*said, f"{records.CONTAINER}={name}", "_UID=0")
    theirs = ("_PID=1", f"MESSAGE_ID={_PROCESS_EXIT}", f"UNIT={service_unit(name)}", "COMMAND=ExecStart")
    fields = (
        *("MESSAGE_ID", "INVOCATION_ID", "EXIT_CODE", "EXIT_STATUS", "_SYSTEMD_UNIT"),
        *(records.INVOCATION, records.EXIT_CODE, records.EXIT_STATUS, records.RESULT, records.OOM),
    )
    found: dict[str, Ending] = {}
    try:
        for entry in read(("-n", str(_EXITS_READ), *ours, "+", *theirs), fields):
            text = {key: value.decode(errors="replace") for key, value in entry.items()}
            at = int(text.get("__REALTIME_TIMESTAMP", "0")) / 1e6
            if name_of_scope(text.get("_SYSTEMD_UNIT", "")):
                continue
            if text.get("MESSAGE_ID") in _BEGINS_ANEW:
                found.clear()
            elif text.get("MESSAGE_ID") == records.RUN_ENDED:
                run, code = text.get(records.INVOCATION, ""), text.get(records.EXIT_CODE, "")
                number, result = text.get(records.EXIT_STATUS, "0"), text.get(records.RESULT, "")
                found[run] = Ending(at, code, _number(number), result, _number(text.get(records.OOM, "0")))
            else:
                run, code = text.get("INVOCATION_ID", ""), text.get("EXIT_CODE", "")
                found.setdefault(run, Ending(at, code, _number(text.get("EXIT_STATUS", "0"))))
    except HostError:
        return ()
    return tuple(sorted(found.values(), key=lambda ending: ending.at))


def left(oom: int) -> dict[str, int]:
    """What is still known of the limits when the scope is gone: *oom* as in `Symptoms`. Pure."""
    return {"oom_kills": oom} if oom else {}


def _usage(name: str, scope: str, manager: Manager) -> dict[str, int]:
    """Numbers of the scope's cgroup (cgroups(7)) and its limits; those that this host has. Bytes, processes, hits."""
    limits = manager.properties(scope_unit(name), "Scope", *_LIMITS)
    events, pids = _pairs(f"{scope}/memory.events"), _pairs(f"{scope}/pids.events")
    cpu = _pairs(f"{scope}/cpu.stat")
    found = {
        "memory": _number(read_text(f"{scope}/memory.current", 64), -1),
        "pids": _number(read_text(f"{scope}/pids.current", 64), -1),
        "memory_max": _limit(limits["MemoryMax"]),
        "memory_high": _limit(limits["MemoryHigh"]),
        "pids_max": _limit(limits["TasksMax"]),
        "cpu_quota_usec": _limit(limits["CPUQuotaPerSecUSec"]),
        "memory_max_hits": events.get("max", -1),
        "memory_high_hits": events.get("high", -1),
        "oom_kills": events.get("oom_kill", -1),
        "pids_hits": pids.get("max", -1),
    }
    if cpu.get("nr_periods"):
        found["throttled_percent"] = 100 * cpu.get("nr_throttled", 0) // cpu["nr_periods"]
    return {key: value for key, value in found.items() if value >= 0}


def _is_image_missing(card: Card, layout: Layout) -> bool:
    """Whether the image that it was deployed with is gone; False where that cannot be seen."""
    import os

    digest = card.image_digest.removeprefix("sha256:")
    try:
        return bool(digest) and digest not in os.listdir(f"{layout.images}/blobs")
    except FileNotFoundError:
        return bool(digest)
    except OSError:
        return False


def _pairs(path: str) -> dict[str, int]:
    words = (line.split() for line in read_text(path, 4096).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


def _limit(value: int) -> int:
    return -1 if value == _UNLIMITED else value


def _number(text: str, otherwise: int = 0) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else otherwise
