"""Graphs as dot and mermaid: whatever an image or a description is called, it stays text."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.graph.dot import dot
from supervisor.graph.mermaid import mermaid, quoted
from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.palette import STATES, shortened, xml

HOSTILE = 'x"<img src=y onerror="z">&amp;\\"]; }\x1b[31m\n|end ﷽ \ud800'


def graph(detail: str = "localhost/x", count: int = 3) -> Graph:
    states = list(State)
    names = [f"u{n:02}" for n in range(count)]
    nodes = {
        name: Node(name, list(Kind)[n % 4], name, states[n % len(states)], detail, "p" if n % 2 else "")
        for n, name in enumerate(names)
    }
    pairs = itertools.pairwise(names)
    return Graph(nodes, tuple(Edge(a, b, frozenset((list(Relation)[int(a[1:]) % 9],))) for a, b in pairs))


def labels(text: str) -> list[str]:
    """The HTML-like labels of a dot document: from '<' to the '>' that closes it, as graphviz reads them."""
    found = []
    for part in text.split("label=<")[1:]:
        depth, end = 1, 0
        while depth:
            depth += {"<": 1, ">": -1}.get(part[end], 0)
            end += 1
        found.append(part[: end - 1])
    return found


def test_every_state_has_its_colour() -> None:
    """None is forgotten, none looks like another, and each node is drawn in that of its own."""
    assert set(STATES) == set(State)
    assert len(set(STATES.values())) == len(State)
    made = graph(count=len(State))
    drawn = re.findall(r'fillcolor="(#\w{6})", color="(#\w{6})", tooltip="(u\d\d)"', dot(made, "x"))
    assert {unit: (fill, line) for fill, line, unit in drawn} == {
        unit: (STATES[node.state].fill, STATES[node.state].line) for unit, node in made.nodes.items()
    }


@given(st.text(st.characters(), max_size=60))
def test_labels_in_dot_are_well_formed(detail: str) -> None:
    """Any description gives an XML fragment, which is what graphviz parses."""
    found = labels(dot(graph(detail), detail))
    assert len(found) == 5  # the title, three nodes, a project
    for label in found:
        ElementTree.fromstring(f"<x>{label}</x>")


@pytest.mark.parametrize(
    ("relation", "words"),
    [
        (Relation.REQUIRES, "requires"),
        (Relation.WANTS, "wants"),
        (Relation.HEALTHY, "starts when it is healthy"),
        (Relation.NETWORK, "shares its network"),
        (Relation.PART_OF, "stops and restarts with it"),
        (Relation.AFTER, "order only"),
    ],
)
def test_the_legend_explains_every_arrow(relation: Relation, words: str) -> None:
    """That occurs, and none that does not."""
    nodes = {name: Node(name, Kind.CONTAINER, name, State.RUNNING) for name in "ab"}
    legend = labels(dot(Graph(nodes, (Edge("a", "b", frozenset((relation,))),)), "title"))[0]
    assert words in legend
    assert "requires" not in labels(dot(Graph(nodes, ()), "title"))[0]


@pytest.mark.skipif(not shutil.which("dot"), reason="graphviz is not installed")
def test_graphviz_takes_it() -> None:
    """All states, kinds and relations, with hostile words, in one picture; without a warning."""
    for count in (0, 1, 60):
        text = dot(graph(HOSTILE, count), HOSTILE).encode()
        done = subprocess.run(("dot", "-Tsvg"), input=text, capture_output=True, check=True)
        assert done.stderr == b""
        ElementTree.fromstring(done.stdout)
        assert b"<img" not in done.stdout


@settings(max_examples=200)
@given(st.text(st.characters(), max_size=60))
def test_mermaid_has_plain_characters_only(detail: str) -> None:
    """Quotes, brackets, bars and the like are entities."""
    assert re.fullmatch(r"([A-Za-z0-9 ._/:@…-]|#[0-9]+;)*", quoted(detail))
    lines = mermaid(graph(detail)).splitlines()
    assert lines[0] == "flowchart LR"
    assert len(lines) == len(mermaid(graph("x")).splitlines())


def test_long_words_are_cut_in_the_middle() -> None:
    """Both ends of an image's name matter."""
    assert shortened("registry.example/very/long/name:1.2.3", 15) == "registr…e:1.2.3"
    assert shortened("short", 15) == "short"
    assert xml(HOSTILE).isprintable()
