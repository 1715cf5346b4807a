"""A graph in mermaid's language (https://mermaid.js.org/syntax/flowchart.html), for Markdown pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.palette import DASHED, STATES

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._/:@-…")
_SHAPES = {Kind.CONTAINER: ("(", ")"), Kind.PROJECT: ("[[", "]]"), Kind.MOUNT: ("[(", ")]"), Kind.UNIT: ("[", "]")}


def mermaid(graph: Graph) -> str:
    """The graph as a whole document."""
    names = {unit: f"n{number}" for number, unit in enumerate(graph.nodes)}
    return "\n".join(["flowchart LR", *_nodes(graph, names), *_edges(graph, names), *_classes(graph), ""])


def quoted(text: str) -> str:
    """*text* as it may stand between quotes: everything but plain characters as a decimal entity."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text)


def _nodes(graph: Graph, names: dict[str, str]) -> Iterator[str]:
    for number, project in enumerate(sorted({node.project for node in graph.nodes.values()})):
        if project:
            yield f'  subgraph p{number}["{quoted(project)}"]'
        for node in graph.nodes.values():
            if node.project == project:
                yield f"  {'  ' if project else ''}{names[node.unit]}{_shape(node)}"
        if project:
            yield "  end"


def _shape(node: Node) -> str:
    before, after = _SHAPES[node.kind]
    words = f"{node.state.value}: {node.problem}" if node.problem else node.state.value
    parts = [f"<b>{quoted(node.label)}</b>", *([f"<small>{quoted(node.detail)}</small>"] if node.detail else [])]
    return f'{before}"{"<br/>".join([*parts, quoted(words)])}"{after}:::{node.state.value}'


def _edges(graph: Graph, names: dict[str, str]) -> Iterator[str]:
    for edge in graph.edges:
        yield f"  {names[edge.source]} {_arrow(edge)}|{quoted(edge.words)}| {names[edge.target]}"


def _arrow(edge: Edge) -> str:
    if Relation.NETWORK in edge.relations:
        return "==>"
    return "-->" if edge.is_strong else "-.->"


def _classes(graph: Graph) -> Iterator[str]:
    for state in State:
        if any(node.state is state for node in graph.nodes.values()):
            paint = STATES[state]
            dashes = ",stroke-dasharray:4 3" if state in DASHED else ""
            yield f"  classDef {state.value} fill:{paint.fill},stroke:{paint.line},color:{paint.text}{dashes}"
