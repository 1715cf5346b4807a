"""``ctrctl graph``: the containers of this host, or of one project, and what they depend on, as a picture.

Owns the choice of the part and where the picture goes; `supervisor.graph` draws, graphviz lays out. Works for anybody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from supervisor.cli import units
from supervisor.cli.console import Console
from supervisor.cli.deps import node_document
from supervisor.errors import HostError, NotFoundError, UserError
from supervisor.graph.dot import dot
from supervisor.graph.mermaid import mermaid
from supervisor.graph.model import Edge, Graph, Kind
from supervisor.names import check_name
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.systemd.manager import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLES = {
    "graph": (
        "ctrctl graph --output host.svg             every container of this host",
        "ctrctl graph shop --format mermaid         one project, to paste into Markdown",
        "ctrctl graph --format dot | dot -Tpng > host.png",
    )
}

_SECONDS = 60.0
#: More projects than these are counted in a message.
_NAMED = 10


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``graph``."""
    parser.add_argument("project", nargs="?", metavar="PROJECT", help="only the containers of this project")
    parser.add_argument(
        "--format", choices=("svg", "dot", "mermaid", "json"), default="svg", help="what to print (default: svg)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Draw it."""
    known = units.deployed(console.layout)
    with Manager.open() as manager:
        names = tuple(known) if args.project is None else project_members(args.project, manager, known, console.layout)
        graph = without_frames(units.of(names, manager, console.layout))
    if args.format == "json":
        import json

        text = json.dumps(document(graph), indent=2, ensure_ascii=False) + "\n"
    elif args.format == "mermaid":
        text = mermaid(graph)
    else:
        count = sum(node.kind is Kind.CONTAINER for node in graph.nodes.values())
        title = args.project or f"containers of {os.uname().nodename}"
        text = dot(graph, f"{title}: {count} container{'' if count == 1 else 's'}")
        if args.format == "svg":
            text = laid_out(text)
    write(text, args.output, console)
    return 0


def project_members(project: str, manager: Manager, known: Mapping[str, Card], layout: Layout) -> tuple[str, ...]:
    """The containers of *project*. Raises `NotFoundError` when there are none."""
    names = units.members(check_name(project, "project"), manager, known, layout)
    if not names:
        raise NotFoundError(f"no project '{project}'; {instead(project, known)}")
    return names


def instead(word: str, known: Mapping[str, Card], *, containers: bool = False) -> str:
    """What there is instead of *word*, which is no project, and with *containers* no container: the nearest, or all."""
    from difflib import get_close_matches

    projects = sorted({card.project for card in known.values() if card.project})
    if near := get_close_matches(word, [*projects, *(known if containers else ())], n=2):
        return f"did you mean {' or '.join(map(repr, near))}?"
    more = f" and {len(projects) - _NAMED} more" if len(projects) > _NAMED else ""
    found = f"projects: {', '.join(projects[:_NAMED])}{more}"
    if not projects:
        found = "there are no projects: no container has 'PartOf=ctr@PROJECT.target'"
    return f"{found}; 'ctrctl ps -a' lists the containers" if containers else found


def without_frames(graph: Graph) -> Graph:
    """*graph* without projects that only have their members in them: they are drawn as boxes."""
    wanted = {edge.target for edge in graph.edges}
    frames = {unit for unit, node in graph.nodes.items() if node.kind is Kind.PROJECT and unit not in wanted}
    return graph.only(frozenset(graph.nodes.keys() - frames))


def laid_out(text: str) -> str:
    """*text*, in graphviz's language, as SVG. Raises `UserError` without graphviz, `HostError` with its words."""
    import subprocess

    try:
        done = subprocess.run(("dot", "-Tsvg"), input=text.encode(), capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError as error:
        raise UserError(
            "graph: no program 'dot' to lay it out; install the package graphviz, or use --format mermaid or dot"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"dot: not ready within {_SECONDS:.0f} s; use --format dot, or one PROJECT") from error
    if done.returncode:
        raise HostError(f"dot: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def write(text: str, path: str | None, console: Console) -> None:
    """*text* into the file at *path*, or to standard output."""
    if path is None:
        console.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def document(graph: Graph) -> dict[str, object]:
    """The graph for programs."""
    return {
        "nodes": [node_document(node) for node in graph.nodes.values()],
        "edges": [_edge(edge) for edge in graph.edges],
    }


def _edge(edge: Edge) -> dict[str, object]:
    return {
        "source": edge.source,
        "target": edge.target,
        "relations": sorted(relation.value for relation in edge.relations),
    }
