"""Reads units and their dependencies, for ``ctrctl deps``, ``graph``, ``plot`` and ``diagnose``.

One ListUnits for all states. The dependencies of what systemd has loaded are properties of each unit; of containers
that it has not, `supervisor.inventory.dependencies` reads them. What is not a container, a project or a part of one is
read as a neighbour: its state, not its own dependencies. Anybody may ask; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from supervisor.cli.containers import PATTERN, health, is_frozen
from supervisor.graph.build import build, fold, is_shown, project_of_unit
from supervisor.graph.model import NEEDS, SETTINGS, Graph, Kind, Relation, Unit
from supervisor.graph.waiting import Job, queue
from supervisor.inventory import cards
from supervisor.inventory.dependencies import Files, by_relation
from supervisor.names import (
    health_timer,
    healthy_unit,
    name_of_service,
    namespace_unit,
    project_target,
    service_unit,
)
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.stats.scopes import scope_directories
from supervisor.systemd.manager import Manager, UnitStatus

_BACKWARD = ("RequiredBy", "BoundBy", "RequisiteOf", "WantedBy", "UpheldBy", "ConsistsOf")
#: Few, as systemd holds each of its units against each of them.
_PATTERNS = (PATTERN, project_target("*"), healthy_unit("*"), health_timer("*"), namespace_unit("*"))
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


def members(project: str, manager: Manager, known: Mapping[str, Card], layout: Layout) -> tuple[str, ...]:
    """The containers of *project*: those whose cards say so, and what its target consists of or wants."""
    target = project_target(project)
    found = {name for name, card in known.items() if card.project == project}
    if manager.units(target):
        wanted: Iterable[Iterable[str]] = manager.properties(target, "Unit", "ConsistsOf", "Wants", "Requires").values()
    else:
        wanted = Files(layout).links(target).values()
    found |= {name for units in wanted for unit in units if (name := name_of_service(unit))}
    return tuple(sorted(found & known.keys()))


def around(name: str, manager: Manager, layout: Layout) -> Graph:
    """What container *name* depends on and what depends on it, directly or not."""
    host = _Host(manager, layout)
    host.read_forward([service_unit(name)])
    host.read_backward(service_unit(name))
    return host.graph()


def of(names: Iterable[str], manager: Manager, layout: Layout, *, closed: bool = False) -> Graph:
    """The graph of the containers *names* and what they depend on. *closed*: of other containers only those."""
    host = _Host(manager, layout)
    wanted = list(map(service_unit, names))
    host.read_forward(wanted, closed=closed)
    graph = host.graph()
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


class _Host:
    """The units of this host that were looked at, and those that they refer to."""

    def __init__(self, manager: Manager, layout: Layout) -> None:
        self._manager = manager
        self._layout = layout
        self._cards = cards.read_all(layout)
        self._files = Files(layout)
        self._known = {status.name: status for status in manager.units(*_PATTERNS)}
        #: Of containers that systemd has not loaded, and whose files can be read without it.
        self._read = {
            unit: relations
            for name in self._cards
            if (unit := service_unit(name)) not in self._known and (relations := self._from_files(name)) is not None
        }
        self._found: dict[str, Mapping[Relation, tuple[str, ...]]] = {}
        self._neighbours: set[str] = set()

    def read_forward(self, units: Iterable[str], *, closed: bool = False) -> None:
        """Look at *units*, and unless *closed* at every container that they depend on."""
        waiting = list(units)
        while waiting:
            unit = waiting.pop()
            if unit in self._found:
                continue
            self._found[unit] = self._relations(unit)
            for relation, names in self._found[unit].items():
                targets = {fold(name)[0] for name in names if is_shown(fold(name)[0])}
                containers = {target for target in targets if name_of_service(target)}
                if not closed and relation is not Relation.AFTER:
                    waiting += containers
                self._neighbours |= containers if relation is Relation.AFTER else set()
                self._neighbours |= targets - containers if relation in NEEDS | {Relation.PART_OF} else set()

    def read_backward(self, unit: str) -> None:
        """Look at what depends on *unit*, directly or not."""
        users = self._users()
        seen, waiting = {unit}, [unit]
        while waiting:
            dependents = self._dependents(waiting.pop(), users) - seen
            seen |= dependents
            # A target stands for many; what wants that is another story.
            waiting += [other for other in dependents if name_of_service(other) or not other.endswith(".target")]
            for other in dependents - self._found.keys():
                self._found[other] = self._relations(other)

    def graph(self) -> Graph:
        """Of all that was looked at."""
        names = self._found.keys() | self._neighbours
        unknown = names - self._known.keys()
        strangers = [name for name in unknown if not (name_of_service(name) or project_of_unit(name))]
        if strangers:
            # Names hold no wildcards, but backslashes, which escape in patterns.
            found = self._manager.units(*(name.replace("\\", "\\\\") for name in strangers))
            self._known |= {status.name: status for status in found}
        scopes = scope_directories(self._layout)
        return build({name: self._unit(name, scopes) for name in names}, self._cards)

    def _users(self) -> dict[str, set[str]]:
        """What systemd cannot know: the containers it has not loaded, by what they depend on."""
        users: dict[str, set[str]] = {}
        for unit, relations in self._read.items():
            for relation, names in relations.items():
                for name in names if relation is not Relation.AFTER else ():
                    users.setdefault(fold(name)[0], set()).add(unit)
        return users

    def _dependents(self, unit: str, users: Mapping[str, set[str]]) -> set[str]:
        """What depends on *unit*, its health or its network. What systemd has not loaded has none that it has."""
        name = name_of_service(unit)
        found = set(users.get(unit, ()))
        for part in (unit, *((healthy_unit(name), namespace_unit(name)) if name else ())):
            found |= self._files.linked_from(part)
            if part in self._known or not name:
                for others in self._manager.properties(part, "Unit", *_BACKWARD).values():
                    found.update(others)
        return {other for other in found if is_shown(other)} - {unit}

    def _relations(self, unit: str) -> Mapping[Relation, tuple[str, ...]]:
        if unit in self._read:
            return self._read[unit]
        if project_of_unit(unit) and unit not in self._known:
            links = self._files.links(unit)
            # systemd.target(5), "Default Dependencies".
            return by_relation(links | {"After": tuple(chain(*links.values()))})
        # systemd loads a unit from disk for each question about one that it has not loaded: better one large one.
        return by_relation(self._manager.properties(unit, "Unit", *(SETTINGS if unit in self._known else ())))

    def _from_files(self, name: str) -> dict[Relation, tuple[str, ...]] | None:
        found = self._files.relations(name)
        return None if found is None else by_relation(found)

    def _unit(self, name: str, scopes: Mapping[str, str]) -> Unit:
        relations = self._found.get(name, {})
        status = self._known.get(name)
        if status is None:
            has_card = name in self._read or bool(project_of_unit(name))
            return Unit(name, load="loaded" if has_card else self._load_state(name), relations=relations)
        result, code, number = "", "", 0
        if status.active == "failed" or "auto-restart" in status.sub:
            result, code, number = _result(name, self._manager)
        container = name_of_service(name)
        scope = scopes.get(container) if container else None
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
            self._health(container, status) if container else "",
            scope is not None and is_frozen(scope),
            relations,
        )

    def _load_state(self, name: str) -> str:
        return str(self._manager.properties(name, "Unit", "LoadState")["LoadState"])

    def _health(self, container: str, status: UnitStatus) -> str:
        if (status.active, status.sub) != ("active", "running"):
            return ""
        return health(self._known.get(healthy_unit(container)), self._known.get(health_timer(container)))


def _result(name: str, manager: Manager) -> tuple[str, str, int]:
    """Result, and for a service ExecMainCode as a word and ExecMainStatus."""
    interface = _INTERFACES.get(name[name.rfind(".") :], "")
    if interface != "Service":
        return (str(manager.properties(name, interface, "Result")["Result"]) if interface else "", "", 0)
    found = manager.properties(name, "Service", "Result", "ExecMainCode", "ExecMainStatus")
    return str(found["Result"]), _CODES.get(found["ExecMainCode"], ""), int(found["ExecMainStatus"])
