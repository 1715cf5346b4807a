"""``ctrctl deps``: what a container needs, what needs it, and what it is waiting for now.

Owns how the three are printed; `supervisor.cli.units` reads, `supervisor.graph` thinks. Works for anybody, in any
state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from supervisor.cli import units
from supervisor.cli.console import Console
from supervisor.cli.containers import check_deployed
from supervisor.graph.model import Graph, Kind, Node, Relation, State
from supervisor.graph.tree import Line, backward, forward
from supervisor.graph.waiting import Job, label, why
from supervisor.names import service_unit
from supervisor.systemd.manager import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from supervisor.cli.console import Cell

EXAMPLES = {
    "deps": (
        "ctrctl deps web                                   as trees",
        "ctrctl deps --format json web | jq .waits_for     for a script",
    )
}

STYLES = {
    State.HEALTHY: "green",
    State.RUNNING: "green",
    State.STARTING: "yellow",
    State.WAITING: "yellow",
    State.RESTARTING: "yellow",
    State.PAUSED: "yellow",
    State.STOPPING: "yellow",
    State.UNHEALTHY: "red",
    State.FAILED: "red",
    State.MISSING: "red",
    State.STOPPED: "dim",
    State.DONE: "dim",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``deps``."""
    parser.add_argument("name", metavar="NAME", help="a container's name")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the three parts."""
    check_deployed([args.name], console.layout)
    with Manager.open() as manager:
        graph = units.around(args.name, manager, console.layout)
        waits = units.queued(args.name, manager)
    unit = service_unit(args.name)
    needs = forward(needed(graph), unit)
    users = backward(without_far_projects(needed(graph), unit), unit)
    if args.format == "json":
        console.json(document(args.name, graph, needs, users, waits))
    else:
        show(args.name, graph, needs, users, waits, console)
    return 0


def needed(graph: Graph) -> Graph:
    """*graph* without what is order only between containers that do not need each other."""
    return Graph(graph.nodes, tuple(edge for edge in graph.edges if edge.relations - {Relation.AFTER}))


def without_far_projects(graph: Graph, unit: str) -> Graph:
    """*graph* with the projects, and other targets, that want *unit* itself; those of its dependents go without
    saying."""
    edges = (edge for edge in graph.edges if edge.target == unit or not edge.source.endswith(".target"))
    return Graph(graph.nodes, tuple(edges))


def show(
    name: str,
    graph: Graph,
    needs: tuple[Line, ...],
    users: tuple[Line, ...],
    waits: tuple[tuple[int, Job], ...],
    console: Console,
) -> None:
    """As tables."""
    console.table((f"{name} NEEDS", "STATE", "HOW"), rows(graph, needs))
    console.line()
    console.table((f"{name} IS NEEDED BY", "STATE", "HOW"), rows(graph, users))
    console.line()
    if waits:
        console.table((f"{name} WAITS FOR", "JOB", "WHY"), (job_row(depth, job) for depth, job in waits))
    else:
        console.line(f"{name} waits for nothing.")


def rows(graph: Graph, lines: Iterable[Line]) -> list[tuple[Cell, ...]]:
    """Name, state and how, of what is below the first line; one that says 'nothing' when that is all."""
    found: list[tuple[Cell, ...]] = []
    for line in lines:
        if line.edge is None:
            continue
        node = graph.nodes[line.unit]
        words = line.edge.words + (" (see above)" if line.seen else "")
        found.append((line.branch + called(node), (STYLES[node.state], state(node)), words))
    return found or [(("dim", "nothing"), "", "")]


def called(node: Node) -> str:
    """A node's name, with what it is unless that is a container."""
    return f"project {node.label}" if node.kind is Kind.PROJECT else node.label


def state(node: Node) -> str:
    """A node's state, with why where it failed."""
    return f"{node.state.value}: {node.problem}" if node.problem else node.state.value


def job_row(depth: int, job: Job) -> tuple[Cell, ...]:
    """One job in the queue."""
    return ("   " * (depth - 1) + "└─ " if depth else "") + label(job.unit), f"{job.type} {job.state}", why(job)


def document(
    name: str, graph: Graph, needs: tuple[Line, ...], users: tuple[Line, ...], waits: tuple[tuple[int, Job], ...]
) -> dict[str, Any]:
    """The same for programs."""

    def listed(lines: tuple[Line, ...]) -> list[dict[str, Any]]:
        return [
            {
                **node_document(graph.nodes[line.unit]),
                "depth": len(line.branch) // 3,
                "relations": sorted(relation.value for relation in line.edge.relations),
            }
            for line in lines
            if line.edge
        ]

    return {
        **node_document(graph.nodes[service_unit(name)]),
        "needs": listed(needs),
        "needed_by": listed(users),
        "waits_for": [
            {"depth": depth, "job": job.id, "unit": job.unit, "type": job.type, "state": job.state, "why": why(job)}
            for depth, job in waits
        ],
    }


def node_document(node: Node) -> dict[str, Any]:
    """One node."""
    return {
        "name": node.label,
        "kind": node.kind.value,
        "unit": node.unit,
        "state": node.state.value,
        "problem": node.problem or None,
        "project": node.project or None,
        "detail": node.detail,
    }
