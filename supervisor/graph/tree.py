"""A graph seen from one node, as lines of a tree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supervisor.graph.model import Edge, Graph


@dataclass(frozen=True, slots=True)
class Line:
    """One node in a tree; *edge* leads to it, None for the root. *seen*: what is below it was shown before."""

    unit: str
    branch: str
    """What is drawn before it: '│  └─ '."""
    edge: Edge | None = None
    seen: bool = False


def forward(graph: Graph, unit: str) -> tuple[Line, ...]:
    """What *unit* depends on, directly or not; itself first."""
    return _lines(_children((edge.source, edge.target, edge) for edge in graph.edges), unit)


def backward(graph: Graph, unit: str) -> tuple[Line, ...]:
    """What depends on *unit*, directly or not; itself first."""
    return _lines(_children((edge.target, edge.source, edge) for edge in graph.edges), unit)


_Children = Mapping[str, list[tuple[str, Edge]]]


def _children(links: Iterable[tuple[str, str, Edge]]) -> _Children:
    """By parent, of (parent, child, edge): what matters most first."""
    children: dict[str, list[tuple[str, Edge]]] = {}
    for parent, child, edge in links:
        children.setdefault(parent, []).append((child, edge))
    for found in children.values():
        found.sort(key=lambda pair: (not pair[1].is_strong, not pair[1].is_need, pair[0]))
    return children


def _lines(children: _Children, root: str) -> tuple[Line, ...]:
    """Depth first, without recursion: a chain may be as long as there are containers."""
    lines = [Line(root, "")]
    shown = {root}
    waiting = _pushed(children, root, "")
    while waiting:
        unit, edge, branch, indent = waiting.pop()
        again = unit in shown
        lines.append(Line(unit, branch, edge, again and bool(children.get(unit))))
        if not again:
            shown.add(unit)
            waiting += _pushed(children, unit, indent)
    return tuple(lines)


def _pushed(children: _Children, unit: str, indent: str) -> list[tuple[str, Edge, str, str]]:
    """The children of *unit*, the last one first, each with its branch and the indent of what is below it."""
    found = children.get(unit, [])
    pushed = []
    for number, (child, edge) in enumerate(found):
        last = number == len(found) - 1
        pushed.append((child, edge, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  ")))
    return pushed[::-1]
