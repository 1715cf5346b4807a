"""The dependency graph: units as systemd tells of them, and the nodes and edges that people think in. Pure.

`Unit` is what was read, one for each systemd unit; `supervisor.graph.build` makes a `Graph` of them, in which a
container is one node, whatever number of units serve it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Relation(Enum):
    """How one unit depends on another: the words of ``ctrctl deps``. Names of systemd.unit(5) in comments."""

    REQUIRES = "requires"
    BINDS = "bound to"
    """BindsTo="""
    REQUISITE = "requires started"
    """Requisite="""
    NETWORK = "shares network"
    """It lives in the other's network namespace (Network=NAME.container)."""
    WANTS = "wants"
    UPHOLDS = "upholds"
    PART_OF = "part of"
    """PartOf=: stops and restarts with it."""
    HEALTHY = "when healthy"
    """The dependency is on the other's health: on its ctr-healthy@ unit."""
    AFTER = "after"
    """After=: order only."""


#: By setting of systemd.unit(5), which is the name of the property of org.freedesktop.systemd1(5) as well.
SETTINGS = {
    "Requires": Relation.REQUIRES,
    "BindsTo": Relation.BINDS,
    "Requisite": Relation.REQUISITE,
    "Wants": Relation.WANTS,
    "Upholds": Relation.UPHOLDS,
    "PartOf": Relation.PART_OF,
    "After": Relation.AFTER,
}
#: The start fails, or is undone, when the other one fails.
STRONG = frozenset((Relation.REQUIRES, Relation.BINDS, Relation.REQUISITE, Relation.NETWORK))
#: A start of the one starts the other, or needs it started.
NEEDS = STRONG | {Relation.WANTS, Relation.UPHOLDS}


class Kind(Enum):
    """What a node stands for."""

    CONTAINER = "container"
    PROJECT = "project"
    MOUNT = "mount"
    UNIT = "unit"
    """Any other unit of this host."""


class State(Enum):
    """What a node is doing: its colour."""

    HEALTHY = "healthy"
    RUNNING = "running"
    """Up; for a unit of the host: active."""
    DONE = "done"
    """It ran to completion, and well."""
    STARTING = "starting"
    """Including a container that runs and is not healthy yet."""
    WAITING = "waiting"
    """Its start is queued."""
    RESTARTING = "restarting"
    PAUSED = "paused"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    FAILED = "failed"
    STOPPED = "stopped"
    MISSING = "missing"
    """Needed, and there is no such unit."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One systemd unit; property names of org.freedesktop.systemd1(5) where ours differ."""

    name: str
    description: str = ""
    load: str = "loaded"
    """LoadState"""
    active: str = "inactive"
    """ActiveState"""
    sub: str = "dead"
    """SubState"""
    job: int = 0
    """Number of its queued job, 0: none."""
    result: str = ""
    """Result, where it failed."""
    code: str = ""
    """ExecMainCode where it failed: 'exited', 'killed', 'dumped'."""
    status: int = 0
    """ExecMainStatus where it failed"""
    health: str = ""
    """Of a container: 'starting', 'healthy', 'unhealthy'; empty when there is none to tell."""
    frozen: bool = False
    relations: Mapping[Relation, tuple[str, ...]] = field(default_factory=dict)
    """The units that it depends on."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in the graph."""

    unit: str
    kind: Kind
    label: str
    """A container's or project's name, a mount's path, a unit's name."""
    state: State
    detail: str = ""
    """A container's image; of others, the description."""
    project: str = ""
    problem: str = ""
    """Why it failed, in a few words; empty unless it did."""


@dataclass(frozen=True, slots=True)
class Edge:
    """*source* depends on *target*; both are names of units."""

    source: str
    target: str
    relations: frozenset[Relation]

    @property
    def words(self) -> str:
        """As in 'requires, when healthy'; plain order goes without saying where there is more."""
        found = [relation for relation in Relation if relation in self.relations]
        if len(found) > 1:
            found = [relation for relation in found if relation is not Relation.AFTER]
        if Relation.HEALTHY in found and Relation.REQUIRES in found:
            found = [relation for relation in found if relation is not Relation.WANTS]
        return ", ".join(relation.value for relation in found)

    @property
    def is_strong(self) -> bool:
        return bool(self.relations & STRONG)

    @property
    def is_need(self) -> bool:
        """More than order, or stopping together."""
        return bool(self.relations & NEEDS)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by unit name, and edges, both sorted; every edge's ends are among the nodes."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]

    def only(self, units: frozenset[str]) -> Graph:
        """The part that consists of *units*."""
        nodes = {name: node for name, node in self.nodes.items() if name in units}
        return Graph(nodes, tuple(e for e in self.edges if e.source in nodes and e.target in nodes))
