"""Makes a `Graph` of units: a container is one node, its companions (network, health, notify, scope) are folded into
it, and what every unit of a host depends on is left out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.graph.model import NEEDS, Edge, Graph, Kind, Node, Relation, State, Unit
from supervisor.lifecycle.phase import Phase, phase
from supervisor.names import is_name, name_of_service, service_unit
from supervisor.spec.card import Card

#: prefix and suffix of a container's own units -> what a dependency on them from elsewhere means.
COMPANIONS: tuple[tuple[str, str, Relation | None], ...] = (
    ("ctr-healthy@", ".service", Relation.HEALTHY),
    ("ctr-netns@", ".service", Relation.NETWORK),
    ("ctr-health@", ".timer", None),
    ("ctr-health@", ".service", None),
    ("ctr-idle@", ".timer", None),
    ("ctr-idle@", ".service", None),
    ("ctr-notify@", ".socket", None),
    ("ctr-notify@", ".service", None),
    ("ctr-remove@", ".service", None),
    ("ctr-", ".scope", None),
)
#: What a unit has without anybody having asked for it (systemd.service(5), systemd.resource-control(5)), and what of
#: ours every container has.
_EVERYWHERE = frozenset(
    (
        *("sysinit.target", "basic.target", "shutdown.target", "local-fs.target", "umount.target", "-.mount"),
        *("ctr-log.socket", "ctr-dns.service", "ctr-firewall.service", "network-online.target"),
    )
)

_PHASES = {
    Phase.CREATED: State.STOPPED,
    Phase.STARTING: State.STARTING,
    Phase.RUNNING: State.RUNNING,
    Phase.PAUSED: State.PAUSED,
    Phase.RESTARTING: State.RESTARTING,
    Phase.STOPPING: State.STOPPING,
    Phase.EXITED: State.DONE,
    Phase.FAILED: State.FAILED,
}
_HEALTH = {"healthy": State.HEALTHY, "unhealthy": State.UNHEALTHY, "starting": State.STARTING}


def build(units: Mapping[str, Unit], cards: Mapping[str, Card]) -> Graph:
    """The graph of *units*, by name; *cards* by container name. A unit that is referred to and not among them is left
    out, and with it the edge."""
    # A pod is a project that has a network namespace, but no container of its name.
    pods = {service_unit(pod) for name in units if (pod := project_of_unit(name)) and pod not in cards}
    shown = sorted(name for name in units if is_shown(name) and name not in pods)
    nodes = {name: node(units[name], cards) for name in shown}
    edges = (
        Edge(name, target, relations)
        for name in shown
        for target, relations in sorted(dependencies(name, units[name].relations).items())
        if target in nodes
    )
    return Graph(nodes, tuple(edge for edge in edges if _is_told(edge, nodes)))


def dependencies(unit: str, relations: Mapping[Relation, Iterable[str]]) -> dict[str, frozenset[Relation]]:
    """What *unit* depends on, and how, companions folded into their containers; *relations*: its own, as systemd has
    them. Without what every unit of a host depends on."""
    found: dict[str, set[Relation]] = {}
    for relation, names in relations.items():
        for name in names:
            target, more = fold(name)
            if target != unit and is_shown(target):
                found.setdefault(target, set()).update({relation, more} if more else {relation})
    return {target: frozenset(how) for target, how in found.items()}


def fold(name: str) -> tuple[str, Relation | None]:
    """The unit that stands for the unit *name* in the graph, and what depending on *name* means more than depending on
    that one."""
    for prefix, suffix, relation in COMPANIONS:
        if name.startswith(prefix) and name.endswith(suffix):
            container = name[len(prefix) : -len(suffix)]
            if is_name(container):
                return service_unit(container), relation
    return name, None


def is_shown(name: str) -> bool:
    """Whether a unit has a place in the graph."""
    return (
        name not in _EVERYWHERE
        and not name.endswith((".slice", ".scope", ".device"))
        and not name.startswith("systemd-journald")
        and fold(name)[0] == name
    )


def project_unit(project: str) -> str:
    """The unit of a project."""
    return f"ctr@{project}.target"


def project_of_unit(name: str) -> str:
    """The project in ``ctr@PROJECT.target``; empty for any other unit."""
    found = name.removeprefix("ctr@").removesuffix(".target")
    return found if name == project_unit(found) and is_name(found) else ""


def node(unit: Unit, cards: Mapping[str, Card]) -> Node:
    """How *unit* is shown."""
    now = state(unit)
    problem = trouble(unit) if now in (State.FAILED, State.RESTARTING) else ""
    if container := name_of_service(unit.name):
        card = cards.get(container)
        image, project = (card.image, card.project) if card else ("", "")
        return Node(unit.name, Kind.CONTAINER, container, now, image, project, problem)
    if project := project_of_unit(unit.name):
        return Node(unit.name, Kind.PROJECT, project, now, "", project, problem)
    if unit.name.endswith(".mount"):
        return Node(unit.name, Kind.MOUNT, _path(unit.name), now, "", "", problem)
    return Node(unit.name, Kind.UNIT, unit.name, now, unit.description, "", problem)


def state(unit: Unit) -> State:
    """What *unit* is doing."""
    if unit.load in ("not-found", "bad-setting", "error", "masked"):
        return State.MISSING
    if unit.job and unit.active in ("inactive", "failed"):
        return State.WAITING
    now = _PHASES[phase(unit.active, unit.sub, frozen=unit.frozen)]
    if now is State.DONE and (not name_of_service(unit.name) or unit.active != "active"):
        return State.RUNNING if unit.active == "active" else State.STOPPED
    return _HEALTH.get(unit.health, now) if now is State.RUNNING else now


def trouble(unit: Unit) -> str:
    """Why *unit* failed, in a few words."""
    if unit.code in ("killed", "dumped"):
        return f"killed by signal {unit.status}"
    if unit.result == "exit-code":
        return f"exit status {unit.status}"
    return unit.result if unit.result != "success" else ""


def _is_told(edge: Edge, nodes: Mapping[str, Node]) -> bool:
    """Membership of a project is told by the project's side; order counts between containers, elsewhere it is noise."""
    source, target = nodes[edge.source], nodes[edge.target]
    if target.kind is Kind.PROJECT and target.label == source.project:
        return bool(edge.relations & NEEDS)
    if edge.relations & (NEEDS | {Relation.PART_OF}):
        return True
    return source.kind is target.kind is Kind.CONTAINER


def _path(mount: str) -> str:
    """The path of a mount unit's name (systemd-escape(1) ``--unescape --path``)."""
    text, out, at = mount.removesuffix(".mount"), bytearray(b"/"), 0
    while at < len(text):
        code = text[at + 2 : at + 4]
        if text[at] == "\\" and text[at + 1 : at + 2] == "x" and len(code) == 2:
            try:
                out.append(int(code, 16))
                at += 4
                continue
            except ValueError:
                pass
        out += b"/" if text[at] == "-" else text[at].encode()
        at += 1
    return out.decode(errors="replace")
