"""The lifecycle: one story, whatever the sources make of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events.event import Event, Kind
from supervisor.lifecycle.machine import adopt, settle, step
from supervisor.lifecycle.model import RUNS, Container
from supervisor.lifecycle.observation import Observation, Sign, UnitState
from supervisor.lifecycle.phase import Phase
from supervisor.spec.card import Card

NEW = Container("web", Card("web", "nginx", project="shop"))
SECOND = 1_000_000
EXITS = st.sampled_from([("exited", 0), ("exited", 3), ("killed", 9), ("killed", 15), ("dumped", 6)])


def see(sign: Sign, at: int, run: int | None = 1, code: str = "", status: int = 0, detail: str = "") -> Observation:
    return Observation(sign, "web", at, f"{run:032x}" if run is not None else "", code, status, detail, source=f"s{at}")


def play(container: Container, *seen: Observation) -> tuple[Container, list[Event]]:
    told: list[Event] = []
    for one in seen:
        container, events = step(container, one)
        told += events
    return container, told


def kinds(events: list[Event]) -> list[str]:
    return [event.kind.value for event in events]


def life(run: int, at: int, code: str = "exited", status: int = 0) -> list[Observation]:
    """All that the journal says of a run that ends by itself."""
    result = "success" if (code, status) in (("exited", 0), ("killed", 15)) else "exit-code"
    return [
        see(Sign.STARTING, at, run),
        see(Sign.SCOPE, at + 1, None),
        see(Sign.READY, at + 2, run),
        see(Sign.EXIT, at + 10, run, code, status),
        see(Sign.ENDED, at + 11, run, detail=result),
    ]


def test_a_life_is_told_in_order() -> None:
    """Starting, started, ready, exited: each with its run and the facts of the exit."""
    container, told = play(NEW, *life(1, SECOND, "exited", 3))
    assert kinds(told) == ["starting", "started", "ready", "exited"]
    assert {event.invocation for event in told} == {f"{1:032x}"}
    assert (told[-1].code, told[-1].status, told[-1].exit_code, told[-1].project) == ("exited", 3, 3, "shop")
    assert container.exits == (("exit-code", 1),)
    assert container.last and container.last.result == "exit-code"


def test_a_restart_is_not_a_stop() -> None:
    """systemd says 'Stopped' of a unit that waits for its restart as well; nobody stopped it."""
    seen = [*life(1, 0, "exited", 1), see(Sign.RESTART, 20, status=1), see(Sign.STOPPED, 21), *life(2, 30)]
    container, told = play(NEW, *seen)
    once = ["starting", "started", "ready", "exited"]
    assert kinds(told) == [*once, "restarting", *once]
    assert container.restarts == 1


def test_giving_up() -> None:
    """A restart that was scheduled and is refused: the unit fails a second time, for good."""
    seen = [*life(1, 0, "exited", 1), see(Sign.RESTART, 20), see(Sign.ENDED, 30, detail="exit-code")]
    assert kinds(play(NEW, *seen)[1])[-1] == "given-up"


def test_a_failure_without_restart_is_only_an_exit() -> None:
    """Restart=no: nothing was to be given up."""
    assert "given-up" not in kinds(play(NEW, *life(1, 0, "exited", 1))[1])


def test_a_stop() -> None:
    """Exited, then stopped."""
    assert kinds(play(NEW, *life(1, 0, "killed", 15), see(Sign.STOPPED, 20))[1])[-2:] == ["exited", "stopped"]


def test_out_of_memory_is_told_before_the_exit_it_causes_and_not_twice() -> None:
    """PID 1 tells every kill; cleanup's count comes after and adds nothing."""
    beginning = life(1, 0)[:3]
    kill = [see(Sign.OOM, 5, None), see(Sign.EXIT, 6, 1, "killed", 9), see(Sign.OOM, 7, 1)]
    container, told = play(NEW, *beginning, *kill)
    assert kinds(told)[3:] == ["oom", "exited"]
    assert container.exits == (("oom", 1),)


def test_an_end_seen_late_belongs_to_its_run() -> None:
    """The next run has begun when the end of the one before is seen."""
    seen = [*life(1, 0)[:3], see(Sign.STARTING, 50, 2), see(Sign.EXIT, 10, 1, "killed", 9)]
    told = play(NEW, *seen)[1]
    assert (told[-1].kind, told[-1].invocation, told[-1].status) == (Kind.EXITED, f"{1:032x}", 9)


def test_an_end_nobody_saw_is_told_as_unknown() -> None:
    """When nothing more can come of it, and not before."""
    container, told = play(NEW, *life(1, 0)[:3], see(Sign.STARTING, 50, 2))
    assert "exited" not in kinds(told)
    unit = UnitState("web", "active", "running", f"{2:032x}")
    _, events = settle(replace(container, unit=unit), 60)
    assert [(e.kind, e.code, e.invocation) for e in events] == [(Kind.EXITED, "unknown", f"{1:032x}")]
    later = [see(Sign.STARTING, 50 + run, run) for run in range(3, RUNS + 2)]
    told = play(container, *later)[1]
    assert [(e.kind, e.code, e.invocation) for e in told if e.kind is not Kind.STARTING] == [
        (Kind.EXITED, "unknown", f"{1:032x}")
    ]


def test_a_run_may_be_known_by_its_end_alone() -> None:
    """journald was down when it began, and D-Bus as well; another has begun since."""
    end = see(Sign.EXIT, 50, 2, "exited", 7)
    container, told = play(NEW, *life(1, 0), see(Sign.STARTING, 90, 3), end, replace(end, at=51))
    assert [(e.kind, e.status) for e in told if e.invocation == f"{2:032x}"] == [(Kind.STARTING, 0), (Kind.EXITED, 7)]
    assert container.run and container.run.invocation == f"{3:032x}"


HOUR = 3600 * SECOND


@pytest.mark.parametrize("count", [1, RUNS, 3 * RUNS])
def test_a_clock_that_is_set_back_silences_nobody(count: int) -> None:
    """Runs from the future are in the past all the same."""
    seen = [one for run in range(1, count + 1) for one in life(run, HOUR + run * SECOND)]
    container, _ = play(NEW, *seen)
    container, told = play(container, *life(99, SECOND, "exited", 5))
    assert kinds(told) == ["starting", "started", "ready", "exited"]
    assert container.run and container.run.invocation == f"{99:032x}"
    assert container.last and container.last.status == 5
    paused = play(NEW, *life(1, HOUR)[:3], see(Sign.PAUSED, HOUR + 5), see(Sign.UNPAUSED, SECOND))[1]
    assert kinds(paused)[3:] == ["paused", "unpaused"]


def test_systemds_word_may_be_older_than_the_journals() -> None:
    """The model's unit is still of the run before when the journal tells of those that came since."""
    container, _ = play(replace(NEW, unit=UnitState("web", "active", "running", f"{1:032x}")), *life(1, SECOND)[:3])
    later = [one for run in range(2, 12) for one in life(run, run * SECOND, "exited", run)]
    told = play(container, *later)[1]
    exits = [event.status for event in told if event.kind is Kind.EXITED and event.code == "exited"]
    assert exits == list(range(2, 12))


def test_of_a_run_that_is_long_forgotten_nothing_is_news() -> None:
    """Ten runs later."""
    seen = [one for run in range(1, 11) for one in life(run, run * SECOND)]
    container, _ = play(NEW, *seen)
    assert play(container, *life(1, SECOND))[1] == []


def test_what_is_not_sure_makes_no_run() -> None:
    """It may tell of a known one."""
    end = replace(see(Sign.EXIT, 9, 1, "exited", 3), is_sure=False)
    assert play(NEW, end)[1] == []
    assert kinds(play(NEW, *life(1, 0)[:3], end)[1])[3:] == ["exited"]


def test_a_kill_that_is_seen_after_the_end_is_its_reason() -> None:
    """Whoever was quicker."""
    seen = [*life(1, 0)[:3], see(Sign.EXIT, 6, 1, "killed", 9), see(Sign.OOM, 5, None)]
    assert play(NEW, *seen)[0].exits == (("oom", 1),)


def test_a_kill_in_a_run_that_was_over_at_the_first_look_is_told() -> None:
    """Its end was never counted, so there is nothing to count anew."""
    unit = UnitState("web", "failed", "failed", f"{1:032x}", exit_code="killed", starting_at=5, exited_at=7)
    container, told = play(adopt(NEW, unit), see(Sign.OOM, 6, None))
    assert kinds(told) == ["oom"] and container.exits == ()


@pytest.mark.parametrize("active", ["activating", "active"])
def test_an_end_that_is_there_at_the_first_look_is_known(active: str) -> None:
    """Of one that waits for its restart, and of one that has run to completion."""
    unit = UnitState("web", active, "auto-restart", f"{1:032x}", exit_code="exited", starting_at=5, exited_at=7)
    container = adopt(NEW, unit)
    assert container.last is not None
    assert settle(container, 99)[1] == ()


def test_what_is_starting_runs_only_if_it_is_to_end() -> None:
    """Both have a main process by then: one that is to say when it is ready (Notify=), and a oneshot."""
    unit = UnitState("web", "activating", "start", f"{1:032x}", main_pid=7)
    for oneshot, expected in ((False, Phase.STARTING), (True, Phase.RUNNING)):
        assert replace(NEW, unit=unit, card=Card("web", oneshot=oneshot)).phase is expected
    assert replace(NEW, unit=unit, card=None).phase is Phase.STARTING


def test_pauses_are_told_when_they_change() -> None:
    """Frozen twice is paused once."""
    seen = [*life(1, 0)[:3], *(see(sign, at) for at, sign in enumerate([Sign.PAUSED, Sign.PAUSED, Sign.UNPAUSED], 5))]
    assert kinds(play(NEW, *seen)[1])[3:] == ["paused", "unpaused"]


def test_a_pause_that_is_heard_of_late_is_over() -> None:
    """D-Bus was quicker with both; the journal's word of the pause comes after its end."""
    seen = [*life(1, 0)[:3], *(see(sign, at) for sign, at in [(Sign.PAUSED, 5), (Sign.UNPAUSED, 9), (Sign.PAUSED, 6)])]
    assert kinds(play(NEW, *seen)[1])[3:] == ["paused", "unpaused"]


@pytest.mark.parametrize("active", ["active", "inactive"])
def test_what_was_there_at_the_first_look_is_no_news(active: str) -> None:
    """Only what comes after is told: of one that runs, its end."""
    unit = UnitState("web", active, "running", f"{1:032x}", starting_at=5, ready_at=6, restarts=2)
    container = adopt(NEW, unit)
    assert container.restarts == 2
    told = play(container, *life(1, 5)[:3])[1]
    assert told == []
    end = kinds(play(container, see(Sign.EXIT, 10, 1, "exited", 0))[1])
    assert end == (["exited"] if active == "active" else [])


def test_the_phase_follows_the_unit() -> None:
    """An exit status makes the difference between one that ended and one that never ran."""
    ended = play(NEW, *life(1, 0))[0]
    assert ended.phase is Phase.EXITED and NEW.phase is Phase.CREATED


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[list[Observation]], list[Observation]]:
    """What happened in a few runs, and what came through: D-Bus tells some of what the journal tells, both repeat, and
    either may be ahead by up to three runs."""
    runs: list[list[Observation]] = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        told = life(number, number * SECOND, *draw(EXITS))
        if draw(st.booleans()):
            told.append(see(Sign.RESTART, number * SECOND + 20, number))
        runs.append(told)
    journal = [one for run in runs for one in run]
    bus = [one for one in journal if one.sign in (Sign.STARTING, Sign.READY, Sign.EXIT) and draw(st.booleans())]
    arriving: list[Observation] = []
    while journal or bus:
        ready = [source for source in (journal, bus) if source]
        behind = min(ready, key=lambda source: source[0].at)
        source = draw(st.sampled_from(ready))
        if source[0].at > behind[0].at + 3 * SECOND:
            source = behind
        arriving += [source[0]] * draw(st.integers(1, 2))
        source.pop(0)
    return runs, arriving


@given(stories())
def test_one_story_whatever_the_sources_do(story: tuple[list[list[Observation]], list[Observation]]) -> None:
    """Everything once per run, every exit with its own code, and nothing of a run's beginning after its end."""
    runs, arriving = story
    container, told = play(NEW, *arriving)
    counted = Counter((event.invocation, event.kind) for event in told)
    assert set(counted.values()) == {1}
    truth = {one.invocation: (one.code, one.status) for run in runs for one in run if one.sign is Sign.EXIT}
    assert {e.invocation: (e.code, e.status) for e in told if e.kind is Kind.EXITED} == truth
    for invocation in truth:
        order = [e.kind for e in told if e.invocation == invocation]
        expected = [k for k in (Kind.STARTING, Kind.STARTED, Kind.READY, Kind.EXITED, Kind.RESTARTING) if k in order]
        assert order == expected
    assert sum(count for _, count in container.exits) == len(runs)


@given(stories(), st.data())
def test_losses_lose_no_exit_and_invent_nothing(
    story: tuple[list[list[Observation]], list[Observation]], data: st.DataObject
) -> None:
    """With anything missing, a run that is known to have started is told to have ended, once; a status that is told is
    the true one."""
    runs, arriving = story
    arriving = [one for one in arriving if data.draw(st.booleans())]
    container, told = play(NEW, *arriving)
    told += settle(container, 99 * SECOND)[1]
    truth = {one.invocation: (one.code, one.status) for run in runs for one in run if one.sign is Sign.EXIT}
    exits = [event for event in told if event.kind is Kind.EXITED]
    assert len({event.invocation for event in exits}) == len(exits)
    assert all(e.code == "unknown" or (e.code, e.status) == truth[e.invocation] for e in exits)
    started = {event.invocation for event in told if event.kind is Kind.STARTED}
    assert started <= {event.invocation for event in exits}
