"""A graph in graphviz's language (https://graphviz.org/doc/info/lang.html), coloured by state. Pure.

Arrows lead from what needs to what is needed, left to right; a project is a box around its containers. Nodes are called
n0, n1 …: what comes from images and descriptions is in labels only, and escaped there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.palette import (
    ALARM,
    BACKGROUND,
    DASHED,
    GROUP,
    GROUP_LINE,
    INK,
    MUTED,
    STATES,
    shortened,
    xml,
)

_WIDTH = 34
_SHAPES = {Kind.PROJECT: "folder", Kind.MOUNT: "cylinder", Kind.UNIT: "box"}
_FONT = "Helvetica,Arial,sans-serif"
#: Nodes are about this much wider than high, and a screen is wider than high as well.
_COLUMNS = 0.55
#: With more arrows of a kind, their labels would lie on each other; the legend explains the colours.
_LABELS = 10

_GREEN, _VIOLET, _DARK, _GREY, _PALE = "#2b9a57", "#8f5fd0", "#4a5565", "#8d98a7", "#b3bcc8"

_LOOKS = {
    Relation.NETWORK: {"color": _VIOLET, "fontcolor": _VIOLET, "label": '"network"', "penwidth": "1.8"},
    Relation.HEALTHY: {"color": _GREEN, "fontcolor": _GREEN, "label": '"healthy"'},
    Relation.REQUIRES: {"color": _DARK},
    Relation.WANTS: {"color": _GREY, "style": "dashed"},
    Relation.PART_OF: {"color": _GREY, "style": "dashed", "arrowhead": "odiamond"},
    Relation.AFTER: {"color": _PALE, "style": "dotted", "arrowhead": "open"},
}
_MEANINGS = {
    Relation.REQUIRES: f'<FONT COLOR="{_DARK}">&#8594;</FONT>&#160;&#160;requires',
    Relation.WANTS: "&#8674; wants (dashed)",
    Relation.HEALTHY: f'<FONT COLOR="{_GREEN}">&#8594;</FONT>&#160;&#160;starts when it is healthy',
    Relation.NETWORK: f'<FONT COLOR="{_VIOLET}">&#8594;</FONT>&#160;&#160;shares its network',
    Relation.PART_OF: "&#9671; stops and restarts with it",
    Relation.AFTER: "&#8943; order only (dotted)",
}


def dot(graph: Graph, title: str) -> str:
    """The graph as a whole document."""
    names = {unit: f"n{number}" for number, unit in enumerate(graph.nodes)}
    return "\n".join([*_head(graph, title), *_groups(graph, names), *_edges(graph, names), "}", ""])


def _head(graph: Graph, title: str) -> Iterator[str]:
    yield "digraph ctr {"
    yield f'  graph [rankdir=LR, bgcolor="{BACKGROUND}", fontname="{_FONT}", fontsize=11, fontcolor="{INK}",'
    yield "    pad=0.35, nodesep=0.18, ranksep=0.75, labelloc=t, labeljust=l,"
    yield f"    label=<{_legend(graph, title)}>];"
    yield f'  node [shape=box, style="rounded,filled", fontname="{_FONT}", fontsize=11, margin="0.16,0.07",'
    yield "    penwidth=1.3];"
    yield f'  edge [fontname="{_FONT}", fontsize=9, fontcolor="{MUTED}", arrowsize=0.7, penwidth=1.3];'


def _groups(graph: Graph, names: dict[str, str]) -> Iterator[str]:
    """Nodes, those of a project in its box; nodes without edges in a grid instead of one long column.

    In reverse: with rankdir=LR, what comes first is drawn at the bottom.
    """
    projects = sorted({node.project for node in graph.nodes.values()}, reverse=True)
    tied = {end for edge in graph.edges for end in (edge.source, edge.target)}
    for number, project in enumerate(projects):
        indent = "    " if project else "  "
        if project:
            yield f"  subgraph cluster_{number} {{"
            yield f'    graph [label=<<B>{xml(project)}</B>>, labelloc=t, labeljust=l, style="rounded,filled",'
            yield f'      margin=14, fillcolor="{GROUP}", color="{GROUP_LINE}", fontcolor="{MUTED}", fontsize=12];'
        own = [node for _, node in sorted(graph.nodes.items(), reverse=True) if node.project == project]
        yield from (f"{indent}{names[node.unit]} {_node(node)};" for node in own)
        loose = [names[node.unit] for node in own if node.unit not in tied]
        yield from (f"{indent}{left} -> {right} [style=invis, weight=0];" for left, right in _grid(loose))
        if project:
            yield "  }"


def _grid(loose: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Invisible edges that put *loose* nodes into rows."""
    if len(loose) < 4:
        return
    columns = max(2, round(math.sqrt(len(loose) * _COLUMNS)))
    rows = math.ceil(len(loose) / columns)
    # The last column is the one that may be shorter.
    yield from zip(reversed(loose), reversed(loose[: len(loose) - rows]), strict=False)


def _node(node: Node) -> str:
    paint = STATES[node.state]
    style = ', style="rounded,filled,dashed"' if node.state in DASHED else ""
    words = f"{node.state.value}: {node.problem}" if node.problem else node.state.value
    small = shortened(node.detail, _WIDTH)
    name = shortened(node.label, _WIDTH)
    lines = [f'<B><FONT COLOR="{INK if node.state is not State.STOPPED else paint.text}">{xml(name)}</FONT></B>']
    if small and small != name:
        lines.append(f'<FONT POINT-SIZE="9" COLOR="{MUTED}">{xml(small)}</FONT>')
    lines.append(f'<FONT POINT-SIZE="9" COLOR="{paint.text}">{xml(words)}</FONT>')
    look = style
    if node.kind is not Kind.CONTAINER:
        look = f', shape={_SHAPES[node.kind]}, style="filled{",dashed" if style else ""}"'
    label = "<BR/>".join(lines)
    return f'[label=<{label}>, fillcolor="{paint.fill}", color="{paint.line}", tooltip="{xml(node.unit)}"{look}]'


def _edges(graph: Graph, names: dict[str, str]) -> Iterator[str]:
    crowded = sum(Relation.HEALTHY in edge.relations for edge in graph.edges) > _LABELS
    for edge in graph.edges:
        looks = _look(edge, graph.nodes[edge.target])
        if crowded and Relation.HEALTHY in edge.relations:
            del looks["label"]
        look = ", ".join(f"{key}={value}" for key, value in looks.items())
        yield f'  {names[edge.source]} -> {names[edge.target]} [{look}, tooltip="{xml(edge.words)}"];'


def _meaning(edge: Edge) -> Relation:
    """What is drawn of all that *edge* means."""
    if found := edge.relations & {Relation.NETWORK, Relation.HEALTHY}:
        return Relation.NETWORK if Relation.NETWORK in found else Relation.HEALTHY
    if edge.is_need:
        return Relation.REQUIRES if edge.is_strong else Relation.WANTS
    return Relation.PART_OF if Relation.PART_OF in edge.relations else Relation.AFTER


def _look(edge: Edge, target: Node) -> dict[str, str]:
    """Colour, line and arrow."""
    look = dict(_LOOKS[_meaning(edge)])
    if Relation.HEALTHY in edge.relations and not edge.is_strong:
        look["style"] = "dashed"
    if edge.is_strong and target.state in (State.FAILED, State.MISSING):
        look |= {"color": ALARM, "penwidth": "1.9"}
    return {key: f'"{value}"' if value.startswith("#") else value for key, value in look.items()}


def _legend(graph: Graph, title: str) -> str:
    """The title, and what the colours and lines that occur mean."""
    present = {node.state for node in graph.nodes.values()}
    states = [
        f'<FONT COLOR="{STATES[state].line}">&#9632;</FONT>&#160;&#160;{state.value}'
        for state in State
        if state in present
    ]
    drawn = {_meaning(edge) for edge in graph.edges}
    if any(edge.is_need and not edge.is_strong for edge in graph.edges):
        drawn.add(Relation.WANTS)
    lines = [words for meaning, words in _MEANINGS.items() if meaning in drawn]
    gap = "&#160;&#160;&#160;&#160;"
    parts = [f'<FONT POINT-SIZE="15"><B>{xml(title)}</B></FONT>']
    parts += [f'<FONT POINT-SIZE="10" COLOR="{MUTED}">{gap.join(words)}</FONT>' for words in (states, lines) if words]
    left = '<BR ALIGN="LEFT"/>'
    return left.join(parts) + left + left
