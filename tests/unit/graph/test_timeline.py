"""The last start-up: which parts belong to it, who waited for whom, and what made it as long as it was."""

from __future__ import annotations

from dataclasses import replace

from supervisor.graph.timeline import Part, Times, timeline

S = 1_000_000
DB = Times("db", network=(10 * S, 11 * S), starting=11 * S, launched=12 * S, ready=13 * S, gate=(13 * S, 18 * S))
WAITS = (("db", True), ("log", False))
WEB = Times("web", network=(10 * S, 12 * S), starting=18 * S, launched=19 * S, ready=20 * S, after=WAITS)
LOG = Times("log", starting=10 * S, launched=11 * S, ready=11 * S)


def test_parts_and_the_critical_path() -> None:
    """web waited for db's health; its own network was long there, and the log had nothing to do with it."""
    found = timeline((WEB, LOG, DB), 30 * S)
    assert [row.name for row in found.rows] == ["log", "db", "web"]
    rows = {row.name: row for row in found.rows}
    assert [(s.part, s.start // S, s.end // S) for s in rows["db"].spans] == [
        (Part.NETWORK, 10, 11),
        (Part.LAUNCH, 11, 12),
        (Part.READY, 12, 13),
        (Part.HEALTHY, 13, 18),
    ]
    assert (rows["web"].waited_for, rows["web"].waited_until) == ("db", 18 * S)
    assert found.path == ("db", "web")
    assert rows["db"].critical == frozenset((Part.NETWORK, Part.LAUNCH, Part.READY, Part.HEALTHY))
    assert rows["web"].critical == frozenset((Part.LAUNCH, Part.READY))
    assert rows["log"].critical == frozenset()
    assert (found.start, found.end) == (10 * S, 20 * S)


def test_health_that_nobody_waited_for_is_not_on_the_path() -> None:
    """web is ordered after db, not after its health, and is ready last."""
    db = Times("db", starting=10 * S, launched=11 * S, ready=12 * S, gate=(12 * S, 14 * S))
    web = Times("web", starting=12 * S, launched=13 * S, ready=20 * S, after=(("db", False),))
    rows = {row.name: row for row in timeline((db, web), 30 * S).rows}
    assert Part.HEALTHY not in rows["db"].critical
    assert rows["web"].waited_until == 12 * S


def test_a_network_older_than_the_last_stop_is_of_another_start() -> None:
    """A restart keeps the namespace, and the image."""
    again = Times("db", (1 * S, 1 * S), (1 * S, 2 * S), 11 * S, 12 * S, 13 * S, ended=10 * S)
    assert [span.part for span in timeline((again,), 20 * S).rows[0].spans] == [Part.LAUNCH, Part.READY]


def test_a_restart_waits_for_nothing_that_was_there() -> None:
    """web came back by Restart= three seconds after its end, not because of db, which had been up for long."""
    web = Times("web", starting=23 * S, launched=24 * S, ready=24 * S, ended=20 * S, after=(("db", True),))
    found = timeline((DB, web), 30 * S)
    assert (found.rows[-1].name, found.rows[-1].waited_for, found.path) == ("web", "", ("web",))
    # Unless that was restarted as well.
    found = timeline((DB, replace(web, ended=17 * S)), 30 * S)
    assert found.path == ("db", "web")


def test_a_recovery_is_no_start() -> None:
    """A gate that began minutes later says nothing of the start."""
    late = Times("db", starting=10 * S, launched=11 * S, ready=12 * S, gate=(300 * S, 301 * S))
    assert Part.HEALTHY not in {span.part for span in timeline((late,), 400 * S).rows[0].spans}


def test_what_goes_on_is_open_until_now() -> None:
    """A start that is under way, and a gate that probes."""
    (row,) = timeline((Times("a", starting=10 * S),), 15 * S).rows
    assert [(s.part, s.end, s.open) for s in row.spans] == [(Part.LAUNCH, 15 * S, True)]
    (row,) = timeline((Times("a", starting=10 * S, launched=11 * S, ready=12 * S, gate=(12 * S, 0)),), 15 * S).rows
    assert (row.spans[-1].part, row.spans[-1].end, row.spans[-1].open) == (Part.HEALTHY, 15 * S, True)


def test_a_gate_that_failed_is_over() -> None:
    """It was told unhealthy then, and is not probed until now, a day later; and is no health to wait for."""
    gate = {"gate": (12 * S, 0), "gate_ended": 16 * S}
    sick = Times("sick", starting=10 * S, launched=11 * S, ready=12 * S, **gate)  # type: ignore[arg-type]
    web = Times("web", starting=16 * S, launched=17 * S, ready=17 * S, after=(("sick", True),))
    found = timeline((sick, web), 90_000 * S)
    row = found.rows[0]
    assert (row.spans[-1].part, row.spans[-1].end, row.spans[-1].open) == (Part.HEALTHY, 16 * S, False)
    assert (row.unhealthy, row.until(Part.HEALTHY)) == (True, 0)
    assert (found.end, found.rows[1].waited_for) == (17 * S, "")
    # What its gate did at an earlier start does not count.
    (row,) = timeline((replace(sick, gate_ended=9 * S),), 15 * S).rows
    assert (row.spans[-1].end, row.spans[-1].open, row.unhealthy) == (15 * S, True, False)
    # Once it was healthy, its start was well, whatever came later.
    (row,) = timeline((replace(sick, gate=(12 * S, 13 * S)),), 30 * S).rows
    assert (row.spans[-1].end, row.unhealthy) == (13 * S, False)


def test_a_failed_start_ends_where_it_failed() -> None:
    """Not at now."""
    (row,) = timeline((Times("a", starting=10 * S, launched=11 * S, ended=13 * S, failed=True),), 90 * S).rows
    assert (row.end, row.failed, row.spans[-1].open) == (13 * S, True, False)


def test_other_starts_are_named_not_drawn() -> None:
    """One that was restarted an hour later, and one that never ran, do not stretch the axis."""
    later = Times("later", starting=4000 * S, launched=4001 * S, ready=4002 * S)
    found = timeline((DB, WEB, later, Times("never")), 5000 * S)
    assert [row.name for row in found.rows] == ["db", "web"]
    assert dict(found.others) == {"later": 4000 * S, "never": 0}


def test_containers_ordered_after_each_other_do_not_hang_it() -> None:
    """systemd breaks such a circle; so must we."""
    a = Times("a", starting=10 * S, ready=11 * S, after=(("b", False),))
    b = Times("b", starting=10 * S, ready=11 * S, after=(("a", False),))
    assert len(timeline((a, b), 20 * S).rows) == 2


def test_a_network_that_is_made_while_the_container_is() -> None:
    """Of what goes on at the same time the launch is shown, then what is left of the network; both are on the path."""
    times = Times("web", network=(10 * S, 15 * S), starting=11 * S, launched=13 * S, ready=16 * S)
    (row,) = timeline([times], 20 * S).rows
    assert [(span.part, span.start // S, span.end // S) for span in row.spans] == [
        (Part.NETWORK, 10, 11),
        (Part.LAUNCH, 11, 13),
        (Part.NETWORK, 13, 15),
        (Part.READY, 15, 16),
    ]
    assert row.critical == {Part.NETWORK, Part.LAUNCH, Part.READY}
