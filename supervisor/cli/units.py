"""Reads units and their dependencies from systemd, for ``ctrctl deps``, ``graph``, ``plot`` and ``diagnose``.

One ListUnits for all states; the dependencies are properties of each unit. What is not a container, a project or a part
of one is read as a neighbour: its state, not its own dependencies. Anybody may ask; changes nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from supervisor.cli.containers import PATTERN, health, is_frozen
from supervisor.graph.build import build, fold, is_shown, project_of_unit
from supervisor.graph.model import NEEDS, Graph, Kind, Relation, Unit
from supervisor.graph.waiting import Job, queue
from supervisor.inventory import cards
from supervisor.names import health_timer, healthy_unit, name_of_service, namespace_unit, service_unit
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.stats.scopes import scope_directories
from supervisor.systemd.manager import Manager, UnitStatus

_FORWARD = {
    "Requires": Relation.REQUIRES,
    "BindsTo": Relation.BINDS,
    "Requisite": Relation.REQUISITE,
    "Wants": Relation.WANTS,
    "Upholds": Relation.UPHOLDS,
    "PartOf": Relation.PART_OF,
    "After": Relation.AFTER,
}
_BACKWARD = ("RequiredBy", "BoundBy", "RequisiteOf", "WantedBy", "UpheldBy", "ConsistsOf")
#: Where the property Result is, by the unit's suffix.
_INTERFACES = {".service": "Service", ".mount": "Mount", ".scope": "Scope", ".socket": "Socket", ".timer": "Timer"}
#: SIGCHLD's si_code (waitid(2)), as ExecMainCode has it.
_CODES = {1: "exited", 2: "killed", 3: "dumped"}


def deployed(layout: Layout) -> dict[str, Card]:
    """The cards of every deployed container."""
    return cards.read_all(layout)


def is_project(name: str, known: Mapping[str, Card]) -> bool:
    """Whether a container says that it belongs to the project *name*."""
    return any(card.project == name for card in known.values())


def members(project: str, manager: Manager, known: Mapping[str, Card]) -> tuple[str, ...]:
    """The containers of *project*: those whose cards say so, and what its target consists of or wants."""
    found = {name for name, card in known.items() if card.project == project}
    properties = manager.properties(f"ctr@{project}.target", "Unit", "ConsistsOf", "Wants", "Requires")
    found |= {name for units in properties.values() for unit in units if (name := name_of_service(unit))}
    return tuple(sorted(found & known.keys()))


def around(name: str, manager: Manager, layout: Layout) -> Graph:
    """What container *name* depends on and what depends on it, directly or not."""
    found: dict[str, Mapping[Relation, tuple[str, ...]]] = {}
    neighbours: set[str] = set()
    # All of them: systemd knows who needs a unit only from units that it has loaded.
    _read_forward([service_unit(name), *map(service_unit, cards.names(layout))], manager, found, neighbours)
    seen, waiting = {service_unit(name)}, [service_unit(name)]
    while waiting:
        dependents = _dependents(waiting.pop(), manager) - seen
        seen |= dependents
        # A target stands for many; what wants that is another story.
        waiting += [unit for unit in dependents if name_of_service(unit) or not unit.endswith(".target")]
        for unit in dependents - found.keys():
            found[unit] = _relations(unit, manager, dependents)
    return _graph(found, neighbours, manager, layout)


def of(names: Iterable[str], manager: Manager, layout: Layout, *, closed: bool = False) -> Graph:
    """The graph of the containers *names* and what they depend on. *closed*: of other containers only those."""
    found: dict[str, Mapping[Relation, tuple[str, ...]]] = {}
    neighbours: set[str] = set()
    wanted = list(map(service_unit, names))
    _read_forward(wanted, manager, found, neighbours, closed=closed)
    graph = _graph(found, neighbours, manager, layout)
    if not closed:
        return graph
    kept = {unit for unit, node in graph.nodes.items() if node.kind is not Kind.CONTAINER} | set(wanted)
    return graph.only(frozenset(kept))


def queued(name: str, manager: Manager) -> tuple[tuple[int, Job], ...]:
    """The job of container *name* and what it waits for, as `graph.waiting.queue`; of its health, when it has none of
    its own."""
    jobs = {job.id: Job(job.id, job.unit, job.type, job.state) for job in manager.jobs()}
    before: dict[int, tuple[int, ...]] = {}
    units = {job.unit: job.id for job in jobs.values()}
    for unit in (service_unit(name), healthy_unit(name)):
        waiting = [units[unit]] if unit in units else []
        while waiting:
            number = waiting.pop()
            if number not in before:
                before[number] = manager.jobs_before(number)
                waiting += before[number]
        if unit in units:
            return queue(unit, jobs, before)
    return ()


def _read_forward(
    units: Iterable[str],
    manager: Manager,
    found: dict[str, Mapping[Relation, tuple[str, ...]]],
    neighbours: set[str],
    *,
    closed: bool = False,
) -> None:
    """The relations of *units*, and unless *closed* of every container that they depend on, into *found*; the names of
    the rest into *neighbours*."""
    waiting = list(units)
    loaded = {status.name for status in manager.units(PATTERN)}
    while waiting:
        unit = waiting.pop()
        if unit in found:
            continue
        found[unit] = _relations(unit, manager, loaded)
        for relation, names in found[unit].items():
            targets = {fold(name)[0] for name in names if is_shown(fold(name)[0])}
            containers = {target for target in targets if name_of_service(target)}
            if not closed and relation is not Relation.AFTER:
                waiting += containers
            neighbours |= containers if relation is Relation.AFTER else set()
            neighbours |= targets - containers if relation in NEEDS | {Relation.PART_OF} else set()


def _dependents(unit: str, manager: Manager) -> set[str]:
    """What depends on *unit*, its health or its network."""
    name = name_of_service(unit)
    found: set[str] = set()
    for part in (unit, *((healthy_unit(name), namespace_unit(name)) if name else ())):
        for units in manager.properties(part, "Unit", *_BACKWARD).values():
            found |= {other for other in units if is_shown(other)}
    return found - {unit}


def _relations(unit: str, manager: Manager, loaded: Container[str]) -> dict[Relation, tuple[str, ...]]:
    # systemd loads a unit from disk for each question about one that it has not loaded: better one large one.
    names = _FORWARD if unit in loaded else ()
    properties = manager.properties(unit, "Unit", *names)
    return {relation: tuple(properties[key]) for key, relation in _FORWARD.items() if properties.get(key)}


def _graph(
    found: Mapping[str, Mapping[Relation, tuple[str, ...]]], neighbours: set[str], manager: Manager, layout: Layout
) -> Graph:
    names = found.keys() | neighbours
    containers = {name for unit in names if (name := name_of_service(unit))}
    companions = [part for name in containers for part in (healthy_unit(name), health_timer(name))]
    known = {status.name: status for status in manager.units(*names, *companions)} if names else {}
    scopes = scope_directories(layout)
    units = {name: _unit(name, known, found.get(name, {}), scopes, manager) for name in names}
    everything = cards.read_all(layout)
    return build(units, everything)


def _unit(
    name: str,
    known: Mapping[str, UnitStatus],
    relations: Mapping[Relation, tuple[str, ...]],
    scopes: Mapping[str, str],
    manager: Manager,
) -> Unit:
    status = known.get(name)
    if status is None:
        load = "loaded" if project_of_unit(name) else str(manager.properties(name, "Unit", "LoadState")["LoadState"])
        return Unit(name, load=load, relations=relations)
    result, code, number = "", "", 0
    if status.active == "failed" or "auto-restart" in status.sub:
        result, code, number = _result(name, manager)
    container = name_of_service(name)
    scope = scopes.get(container) if container else None
    is_up = container is not None and status.active == "active" and status.sub == "running"
    return Unit(
        name,
        status.description,
        status.load,
        status.active,
        status.sub,
        status.job,
        result,
        code,
        number,
        health(known.get(healthy_unit(container)), known.get(health_timer(container))) if container and is_up else "",
        scope is not None and is_frozen(scope),
        relations,
    )


def _result(name: str, manager: Manager) -> tuple[str, str, int]:
    """Result, and for a service ExecMainCode as a word and ExecMainStatus."""
    interface = _INTERFACES.get(name[name.rfind(".") :], "")
    if interface != "Service":
        return (str(manager.properties(name, interface, "Result")["Result"]) if interface else "", "", 0)
    found = manager.properties(name, "Service", "Result", "ExecMainCode", "ExecMainStatus")
    return str(found["Result"]), _CODES.get(found["ExecMainCode"], ""), int(found["ExecMainStatus"])
