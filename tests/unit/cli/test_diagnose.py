"""``ctrctl diagnose``: what is read becomes symptoms, and the page and the document tell them."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest

from supervisor.cli.console import Console
from supervisor.cli.diagnose import document, limit_lines, moment, show
from supervisor.cli.examination import Ending, Examination, ailing, left, life
from supervisor.cli.symptoms import Culprit, Level, Symptoms, Verdict
from supervisor.cli.verdict import verdict
from supervisor.graph.model import Edge, Graph, Kind, Node, Relation, State
from supervisor.graph.waiting import Job
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


@pytest.fixture
def two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host's time zone."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("two_hours_east")
def test_a_moment_has_an_offset() -> None:
    """A page is read in another time zone, too."""
    assert moment(1_700_000_000) == "2023-11-15 00:13:20 +0200"


def page(found: Examination) -> str:
    """What is printed."""
    out = io.StringIO()
    show(found, verdict(found.seen), Console(io.StringIO(), out, io.StringIO(), {}, Layout("/nonexistent")))
    return out.getvalue()


FAILED_PAGE = """\
web: it ran out of memory: the kernel's OOM killer ended a process of it
     do: raise MemoryMax= (or --memory), or have the program use less

definition  /etc/ctr/web.container
image       quay.io/web:1
            sha256:0123
project     shop
unit        ctr@web.service: failed (failed), result signal, Restart=no, last started 2023-11-15 00:13:20 +0200
jobs        none
health      unhealthy, 3 failures in a row
            2023-11-15 00:13:30 +0200   exit 1   connection refused
exits       2023-11-15 00:13:40 +0200   killed by signal 9 (SIGKILL) (out of memory)
            2023-11-15 00:13:00 +0200   exited with status 3
limits      processes ended for lack of memory: 1
needs       db: unhealthy (requires, when healthy)
            /srv: running (requires)
log         reading \\x1b[31mall
            of it
more        journalctl -u ctr@web.service
            ctrctl deps web
"""
RUNNING_PAGE = """\
web: its start waits for db (health): it is probed until it is healthy
     do: see 'ctrctl deps web'; 'systemctl cancel 7' gives up

definition  /run/web.service
image       -
unit        ctr@web.service: activating (start), load state masked, 2 restarts, Restart=always
jobs        web: start waiting, is queued
               db (health): start running, it is probed until it is healthy
health      no health check is running
exits       none known
limits      memory 12.0 MiB of 16.0 MiB
            processes 3 of 50
            slowed down for memory (MemoryHigh=) 1 time
            limit of processes hit 2 times
            held back by the CPU quota in 40 % of its periods
needs       nothing
root cause  web → db: exited with status 1
log         no lines
more        journalctl -u ctr@web.service
            ctrctl deps web
"""


def _nodes() -> Graph:
    nodes = [
        Node("ctr@web.service", Kind.CONTAINER, "web", State.FAILED, problem="exit status 3"),
        Node("ctr@db.service", Kind.CONTAINER, "db", State.UNHEALTHY),
        Node("srv.mount", Kind.MOUNT, "/srv", State.RUNNING),
    ]
    needs = [
        ("ctr@db.service", {Relation.REQUIRES, Relation.HEALTHY, Relation.AFTER}),
        ("srv.mount", {Relation.REQUIRES}),
    ]
    edges = tuple(Edge("ctr@web.service", target, frozenset(relations)) for target, relations in needs)
    return Graph({node.unit: node for node in nodes}, edges)


@pytest.mark.usefixtures("two_hours_east")
def test_the_page_of_a_container_that_was_killed_for_memory() -> None:
    """As a whole: every section, the newest exit first, its limits although its scope is gone; no control character."""
    at = 1_700_000_000
    unit = UNIT | {"ActiveState": "failed", "SubState": "failed", "ActiveEnterTimestamp": at * 10**6}
    service = SERVICE | {"Result": "signal", "Restart": "no"}
    seen = Symptoms("web", Phase.FAILED, result="signal", code="killed", status=9, oom=1, health="unhealthy", streak=3)
    results = (record.Result(0.0, at + 10.5, 1, "connection\nrefused\n"),)
    probes = record.State(invocation="", began=0.0, counted=0.0, results=results)
    exits = (Ending(at - 20, "exited", 3, "exit-code"), Ending(at + 20, "killed", 9, "signal", 1))
    card = Card("web", "quay.io/web:1", "sha256:0123", "/etc/ctr/web.container", "shop")
    lines = ("reading \x1b[31mall", "of it")
    assert page(Examination(card, unit, service, seen, _nodes(), probes, exits, lines, left(seen.oom))) == FAILED_PAGE


def test_the_page_of_a_container_that_waits() -> None:
    """The other half of the sections: jobs, use beside limits, the root cause."""
    jobs = (
        (0, Job(7, "ctr@web.service", "start", "waiting")),
        (1, Job(8, "ctr-healthy@db.service", "start", "running")),
    )
    way = ("ctr@web.service", "ctr@db.service")
    seen = Symptoms("web", Phase.STARTING, jobs=jobs, culprits=(Culprit("db", way[-1], way, "exited with status 1"),))
    limits = {"memory": 12 << 20, "memory_max": 16 << 20, "pids": 3, "pids_max": 50, "memory_max_hits": 0}
    limits |= {"memory_high_hits": 1, "pids_hits": 2, "throttled_percent": 40}
    unit = UNIT | {"LoadState": "masked", "SourcePath": "/run/web.service"}
    service = SERVICE | {"NRestarts": 2, "Restart": "always"}
    found = Examination(Card("web"), unit, service, seen, Graph({}, ()), None, (), (), limits)
    assert page(found) == RUNNING_PAGE


def test_what_is_known_of_limits_when_it_has_ended() -> None:
    """That the OOM killer came; else nothing, which is another answer than 'none hit'."""
    assert list(limit_lines(left(2))) == ["processes ended for lack of memory: 2"]
    assert left(0) == {}


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
