"""``ctrctl diagnose``: what is read becomes symptoms, and the page and the document tell them."""

from __future__ import annotations

import time

import pytest

from supervisor.cli.diagnose import document, moment
from supervisor.cli.examination import Ending, Examination, ailing, life
from supervisor.cli.symptoms import Level, Symptoms, Verdict
from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.health import record
from supervisor.lifecycle.phase import Phase
from supervisor.paths import Layout
from supervisor.spec.card import Card

UNIT = {"ActiveState": "activating", "SubState": "start", "LoadState": "loaded", "ActiveEnterTimestamp": 0}
SERVICE = {
    "Result": "success",
    "ExecMainCode": 0,
    "ExecMainStatus": 0,
    "NRestarts": 0,
    "ExecMainStartTimestamp": 0,
    "ExecMainExitTimestamp": 0,
}


def test_times_are_written_as_everywhere_else() -> None:
    """RFC 3339 for programs, null where there is none; with the offset for people."""
    probe = record.Result(0.0, 1_700_000_000.5, 1, "refused")
    probes = record.State(invocation="", began=0.0, counted=0.0, results=(probe,))
    exits = (Ending(1_700_000_000.25, "killed", 9), Ending(0.0, "exited", 1))
    found = Examination(Card("web"), UNIT, SERVICE, Symptoms("web"), Graph({}, ()), probes, exits, (), {})
    made = document(found, Verdict(Level.OK, "x"))
    assert [one["at"] for one in made["exits"]] == ["2023-11-14T22:13:20.250000Z", None]
    assert made["health"]["log"][0]["at"] == "2023-11-14T22:13:20.500000Z"


def test_a_moment_has_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is read in another time zone, too."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert moment(1_700_000_000) == "2023-11-15 00:13:20 +0200"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("type", "phase"), [("notify", Phase.STARTING), ("oneshot", Phase.RUNNING)])
def test_what_has_not_said_that_it_is_ready_does_not_run(type: str, phase: Phase) -> None:
    """It has a process, and is not up before READY=1; a oneshot never says so."""
    found = life("web", UNIT, SERVICE | {"Type": type, "MainPID": 7}, None, Layout("/nonexistent"), ())
    assert found["phase"] is phase


@pytest.mark.parametrize(("code", "words"), [("killed", ""), ("dumped", ", core dumped")])
def test_an_ending_is_told_as_events_tell_it(code: str, words: str) -> None:
    """With the signal's name besides."""
    assert Ending(1.0, code, 11).words == f"killed by signal 11 (SIGSEGV){words}"


def test_what_it_requires_and_is_unhealthy() -> None:
    """Only its own needs, only strong ones, only containers that are unhealthy."""
    states = {"web": State.HEALTHY, "db": State.UNHEALTHY, "log": State.UNHEALTHY, "far": State.UNHEALTHY}
    nodes = {f"ctr@{name}.service": Node(f"ctr@{name}.service", Kind.CONTAINER, name, s) for name, s in states.items()}
    edges = [("web", "db", Relation.REQUIRES), ("web", "log", Relation.WANTS), ("db", "far", Relation.REQUIRES)]
    graph = Graph(nodes, tuple(Edge(f"ctr@{a}.service", f"ctr@{b}.service", frozenset((r,))) for a, b, r in edges))
    assert ailing("web", graph) == ("db",)
    assert ailing("log", graph) == ()
