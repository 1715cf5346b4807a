"""A graph as a tree: every node once with what is below it, circles end, branches are drawn right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.tree import backward, forward

PAIRS = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=25)


def graph(*pairs: tuple[str, str]) -> Graph:
    names = sorted({name for pair in pairs for name in pair})
    nodes = {name: Node(name, Kind.CONTAINER, name, State.RUNNING) for name in names}
    return Graph(nodes, tuple(Edge(a, b, frozenset((Relation.REQUIRES,))) for a, b in sorted(pairs)))


def test_branches() -> None:
    """As ``systemctl list-dependencies`` draws them; what was shown is not shown again."""
    found = graph(("web", "api"), ("web", "cache"), ("api", "db"), ("cache", "db"), ("db", "disk"))
    assert [f"{line.branch}{line.unit}{' *' if line.seen else ''}" for line in forward(found, "web")] == [
        "web",
        "├─ api",
        "│  └─ db",
        "│     └─ disk",
        "└─ cache",
        "   └─ db *",
    ]


def test_backward_is_who_needs_it() -> None:
    """The other direction of the same edges."""
    found = graph(("web", "db"), ("job", "web"))
    assert [line.branch + line.unit for line in backward(found, "db")] == ["db", "└─ web", "   └─ job"]


@given(PAIRS)
def test_everything_within_reach_is_there_and_circles_end(pairs: set[tuple[int, int]]) -> None:
    """Each edge within reach is one line, and nothing else is."""
    found = graph(*((f"u{a}", f"u{b}") for a, b in pairs), ("u0", "u1"))
    lines = forward(found, "u0")
    units = {line.unit for line in lines}
    within = [edge for edge in found.edges if edge.source in units]
    assert len(lines) == len(within) + 1
    assert {edge.target for edge in within} <= units


def test_a_long_chain_is_no_trouble() -> None:
    """A thousand containers, each needing the next."""
    assert len(forward(graph(*((f"u{n:04}", f"u{n + 1:04}") for n in range(1500))), "u0000")) == 1501
