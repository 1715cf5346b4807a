"""From units to a graph: one node for each container, whatever serves it, and nothing that every unit has."""

from __future__ import annotations

import pytest

from supervisor.graph.build import build, fold, node, project_of_unit, state
from supervisor.graph.model import Graph, Kind, Relation, State, Unit
from supervisor.spec.card import Card

R = Relation


def graph(*units: Unit, cards: tuple[Card, ...] = ()) -> Graph:
    return build({unit.name: unit for unit in units}, {card.name: card for card in cards})


def container(name: str, **relations: tuple[str, ...]) -> Unit:
    found = {R[key]: names for key, names in relations.items()}
    return Unit(f"ctr@{name}.service", active="active", sub="running", relations=found)


def edges(found: Graph) -> dict[tuple[str, str], str]:
    """Labels of both ends, and the words between them."""
    return {(found.nodes[e.source].label, found.nodes[e.target].label): e.words for e in found.edges}


def test_a_gate_is_a_dependency_on_the_container_it_speaks_for() -> None:
    """``After=`` and ``Wants=ctr-healthy@db`` with ``Requires=ctr@db`` are one edge: requires, when healthy."""
    gate = ("ctr-healthy@db.service",)
    web = container("web", REQUIRES=("ctr@db.service",), WANTS=gate, AFTER=gate)
    assert edges(graph(web, container("db"))) == {("web", "db"): "requires, when healthy"}


def test_a_containers_own_companions_are_no_dependencies() -> None:
    """Its network, gate, timer, socket and scope are parts of it."""
    own = (
        *("ctr-netns@web.service", "ctr-healthy@web.service", "ctr-health@web.timer"),
        *("ctr-notify@web.socket", "ctr-web.scope"),
    )
    found = graph(container("web", REQUIRES=own, AFTER=own), *(Unit(name) for name in own))
    assert list(found.nodes) == ["ctr@web.service"]
    assert found.edges == ()


def test_another_containers_network_is_shared() -> None:
    """Network=web.container."""
    found = graph(container("side", REQUIRES=("ctr-netns@web.service",)), container("web"))
    assert edges(found) == {("side", "web"): "requires, shares network"}


def test_what_every_unit_has_is_left_out() -> None:
    """Slices, sysinit.target, journald, the relay's socket, the root mount."""
    common = ("sysinit.target", "ctr.slice", "-.mount", "systemd-journald.socket", "ctr-log.socket", "ctr-dns.service")
    found = graph(container("web", REQUIRES=common, AFTER=common), *(Unit(name) for name in common))
    assert list(found.nodes) == ["ctr@web.service"]


def test_order_counts_between_containers_only() -> None:
    """``After=network-online.target`` alone is noise, ``After=ctr@db`` is not."""
    web = container("web", AFTER=("network-online.target", "ctr@db.service"))
    assert edges(graph(web, Unit("network-online.target"), container("db"))) == {("web", "db"): "after"}


def test_a_pod_is_a_project() -> None:
    """That its containers share its network is what it is; there is no container of its name to be shown."""
    web = container("web", REQUIRES=("ctr-netns@shop.service",), WANTS=("ctr@shop.target",))
    target = Unit("ctr@shop.target", relations={R.REQUIRES: ("ctr-netns@shop.service",)})
    found = graph(web, target, Unit("ctr@shop.service"), cards=(Card("web", project="shop"),))
    assert edges(found) == {("web", "shop"): "wants"}
    assert sorted(found.nodes) == ["ctr@shop.target", "ctr@web.service"]


def test_a_project_is_told_by_its_side() -> None:
    """PartOf= its own target is membership, which a card knows; part of another container is an edge."""
    web = container("web", PART_OF=("ctr@shop.target", "ctr@db.service"))
    target = Unit("ctr@shop.target", relations={R.WANTS: ("ctr@web.service",)})
    found = graph(web, container("db"), target, cards=(Card("web", project="shop"),))
    assert edges(found) == {("web", "db"): "part of", ("shop", "web"): "wants"}
    assert found.nodes["ctr@web.service"].project == "shop"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (Unit("ctr@a.service", active="active", sub="running"), State.RUNNING),
        (Unit("ctr@a.service", active="active", sub="running", health="healthy"), State.HEALTHY),
        (Unit("ctr@a.service", active="active", sub="running", health="unhealthy"), State.UNHEALTHY),
        (Unit("ctr@a.service", active="active", sub="running", health="starting"), State.STARTING),
        (Unit("ctr@a.service", active="active", sub="running", health="healthy", frozen=True), State.PAUSED),
        (Unit("ctr@a.service", active="active", sub="exited"), State.DONE),
        (Unit("ctr@a.service", active="activating", sub="auto-restart"), State.RESTARTING),
        (Unit("ctr@a.service", active="activating", sub="start"), State.STARTING),
        (Unit("ctr@a.service", job=7), State.WAITING),
        (Unit("ctr@a.service", active="failed", sub="failed"), State.FAILED),
        (Unit("ctr@a.service"), State.STOPPED),
        (Unit("ctr@a.service", load="not-found"), State.MISSING),
        (Unit("srv-db.mount", active="active", sub="mounted"), State.RUNNING),
        (Unit("x.service", active="active", sub="exited"), State.RUNNING),
    ],
)
def test_states(unit: Unit, expected: State) -> None:
    """ActiveState, SubState, health and job make one word."""
    assert state(unit) is expected


def test_a_mount_is_called_by_its_path() -> None:
    """Also one with escaped characters."""
    found = node(Unit("srv-my\\x20data-a\\x2db.mount"), {})
    assert (found.kind, found.label) == (Kind.MOUNT, "/srv/my data/a-b")


def test_folding_leaves_strangers_alone() -> None:
    """Only companions of a valid name are folded."""
    assert fold("ctr-healthy@db.service") == ("ctr@db.service", R.HEALTHY)
    assert fold("ctr-log.service") == ("ctr-log.service", None)
    assert fold("ctr-healthy@.service") == ("ctr-healthy@.service", None)
    assert project_of_unit("ctr@shop.target") == "shop"
    assert project_of_unit("multi-user.target") == project_of_unit("ctr@shop.service") == ""
