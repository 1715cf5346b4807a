"""``ctrctl deps`` and ``graph``: what is printed of a graph, and what happens without graphviz."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from supervisor.cli.console import Console
from supervisor.cli.deps import document, rows, show, without_far_projects
from supervisor.cli.graph import instead, laid_out, without_frames, write
from supervisor.errors import UserError
from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.tree import backward, forward
from supervisor.graph.waiting import Job
from supervisor.paths import Layout
from supervisor.spec.card import Card

WEB, DB, SHOP = "ctr@web.service", "ctr@db.service", "ctr@shop.target"
GRAPH = Graph(
    {
        DB: Node(DB, Kind.CONTAINER, "db", State.FAILED, "localhost/db", "shop", "exit status 1"),
        SHOP: Node(SHOP, Kind.PROJECT, "shop", State.RUNNING),
        WEB: Node(WEB, Kind.CONTAINER, "web", State.STOPPED, "localhost/web", "shop"),
    },
    (
        Edge(SHOP, DB, frozenset((Relation.WANTS,))),
        Edge(SHOP, WEB, frozenset((Relation.WANTS,))),
        Edge(WEB, DB, frozenset((Relation.REQUIRES, Relation.HEALTHY, Relation.WANTS, Relation.AFTER))),
    ),
)
WAITS = ((0, Job(1, WEB, "start", "waiting")), (1, Job(2, "ctr-healthy@db.service", "start", "running")))


def printed(root: Path) -> str:
    out = io.StringIO()
    console = Console(io.StringIO(), out, io.StringIO(), {}, Layout(str(root)))
    show("web", GRAPH, forward(GRAPH, WEB), backward(GRAPH, WEB), WAITS, console)
    return out.getvalue()


def test_the_page(tmp_path: Path) -> None:
    """Three tables: state with its reason, the relation in words, the job that is worked on."""
    assert printed(tmp_path).splitlines() == [
        "web NEEDS   STATE                   HOW",
        "└─ db       failed: exit status 1   requires, when healthy",
        "",
        "web IS NEEDED BY   STATE     HOW",
        "└─ project shop    running   wants",
        "",
        "web WAITS FOR    JOB             WHY",
        "web              start waiting   is queued",
        "└─ db (health)   start running   it is probed until it is healthy",
    ]


def test_nothing_is_said() -> None:
    """An empty table would look like a mistake."""
    assert rows(GRAPH, forward(GRAPH, DB))[0][0] == ("dim", "nothing")


def test_projects_of_dependents_go_without_saying() -> None:
    """shop wants db itself, and is told once."""
    lines = backward(without_far_projects(GRAPH, DB), DB)
    assert [line.branch + line.unit for line in lines] == [DB, f"├─ {WEB}", f"└─ {SHOP}"]


def test_for_programs() -> None:
    """Depth and relations make the tree again."""
    found = document("web", GRAPH, forward(GRAPH, WEB), backward(GRAPH, WEB), WAITS)
    assert (found["name"], found["state"]) == ("web", "stopped")
    assert [(n["name"], n["depth"], n["problem"]) for n in found["needs"]] == [("db", 1, "exit status 1")]
    assert [(w["job"], w["state"]) for w in found["waits_for"]] == [(1, "waiting"), (2, "running")]


def test_frames_are_no_nodes() -> None:
    """A project is drawn as a box; one that something needs stays."""
    assert SHOP not in without_frames(GRAPH).nodes
    wanted = Graph(GRAPH.nodes, (*GRAPH.edges, Edge(DB, SHOP, frozenset((Relation.WANTS,)))))
    assert SHOP in without_frames(wanted).nodes


def test_without_graphviz_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a way that needs none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"install the package graphviz, or use --format mermaid or dot"):
        laid_out("digraph {}")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """One sentence, no traceback."""
    console = Console(io.StringIO(), io.StringIO(), io.StringIO(), {}, Layout(str(tmp_path)))
    write("x", str(tmp_path / "out.svg"), console)
    assert (tmp_path / "out.svg").read_text() == "x"
    with pytest.raises(UserError, match=r"nowhere/x: No such file or directory"):
        write("x", str(tmp_path / "nowhere" / "x"), console)


def test_an_unknown_project_is_answered_with_the_known_ones() -> None:
    """The nearest, or all, or that there are none."""
    known = {name: Card(name, project=project) for name, project in (("web", "shop"), ("db", "shop"), ("ci", "lab"))}
    assert instead("shopp", known) == "did you mean 'shop'?"
    assert instead("nosuch", known) == "projects: lab, shop"
    assert instead("nosuch", {"web": Card("web")}).startswith("there are no projects: ")
    assert instead("nosuch", known, containers=True) == "projects: lab, shop; 'ctrctl ps -a' lists the containers"
    assert instead("wbe", known, containers=True) == "did you mean 'web'?"
    many = {f"n{n}": Card(f"n{n}", project=f"p{n:02}") for n in range(12)}
    assert instead("nosuch", many).endswith("p08, p09 and 2 more")
