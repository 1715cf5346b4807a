"""The state machine of one container: an observation in, the new model and the events out. Pure, no clock.

A run is one invocation of the unit. It begins, its scope appears, it becomes ready, its main process ends, the unit is
down; then systemd starts another by itself, or gives up, or somebody has stopped it. What is seen of that may come
twice, late, or not at all, from two sources that know nothing of each other. Three rules make one story of it:

* A run remembers what was told of it, so everything is told once.
* What a later step implies is told before it: nobody is ready who has not started. And nothing of a run's beginning is
  told after its end.
* An observation belongs to the run it names. Some runs before the present one are kept, since their end may be seen
  only when the next has begun; and a run of which nothing was known begins with whatever was seen of it first. When a
  run is old enough to be forgotten, or the sources have nothing more to say (`settle`), and nobody saw its end, it is
  told to have ended in an unknown way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from supervisor.events.event import Event, Kind
from supervisor.lifecycle.model import FORGOTTEN, RUNS, Container, Exit, Run
from supervisor.lifecycle.observation import Observation, Sign, UnitState

#: What systemd counts as a clean end beside status 0 (systemd.service(5) SuccessExitStatus=): HUP, INT, PIPE, TERM.
_CLEAN_SIGNALS = (1, 2, 13, 15)
_UNKNOWN = "unknown"
#: Two sources that tell of the same moment are never so far apart; a clock that was set back is, as a rule.
_APART_USEC = 60 * 1_000_000
#: What shows that there is a run.
_EVIDENCE = (Sign.READY, Sign.EXIT)
_BEGINNINGS = (Kind.STARTING, Kind.STARTED, Kind.READY)
_OUTSIDE_RUNS = {
    Sign.CREATED: Kind.CREATED,
    Sign.REMOVED: Kind.REMOVED,
    Sign.PULLED: Kind.PULLED,
    Sign.HEALTHY: Kind.HEALTHY,
    Sign.UNHEALTHY: Kind.UNHEALTHY,
}

Step = tuple[Container, tuple[Event, ...]]


def step(container: Container, seen: Observation) -> Step:
    """*container* after *seen*, and what is to be told."""
    if seen.sign in _OUTSIDE_RUNS:
        return container, (_event(container, _OUTSIDE_RUNS[seen.sign], seen, seen.invocation),)
    if seen.sign in (Sign.PAUSED, Sign.UNPAUSED):
        return _paused(container, seen)
    if seen.sign is Sign.STARTING:
        return _begins(container, seen)
    events: tuple[Event, ...] = ()
    if _run_of(container, seen) is None and seen.invocation and seen.sign in _EVIDENCE and seen.is_sure:
        container, events = _begins(container, seen)
    run = _run_of(container, seen)
    container, more = _STEPS[seen.sign](container, run, seen) if run else (container, ())
    return container, (*events, *more)


def adopt(container: Container, unit: UnitState) -> Container:
    """*container* as it was found at the first look ever: what it did before is nobody's news."""
    run = None
    if unit.invocation:
        ready = unit.ready_at if unit.ready_at >= unit.starting_at else 0
        told = _BEGINNINGS if ready else (Kind.STARTING,)
        run = Run(unit.invocation, unit.starting_at, ready, ready, reported=told)
    has_ended = bool(unit.exit_code) and unit.exited_at >= unit.starting_at
    last = Exit(unit.exit_code, unit.exit_status, unit.exited_at, unit.result) if unit.exit_code else None
    if run and (has_ended or unit.active in ("inactive", "failed")):
        run = replace(run, exit=last or Exit("", 0, 0), reported=(*_BEGINNINGS, Kind.EXITED))
    runs = (run,) if run else ()
    return replace(container, unit=unit, runs=runs, last=last, restarts=unit.restarts, paused=unit.frozen)


def settle(container: Container, at: int) -> Step:
    """Nothing more will be learnt of runs that are over: *container*'s unit says which one is present, if any."""
    alive = container.unit.invocation if container.unit.active not in ("inactive", "failed") else ""
    events: tuple[Event, ...] = ()
    for run in container.runs:
        if run.invocation != alive:
            container, more = _unseen_end(container, run, at)
            events += more
    return container, events


def _run_of(container: Container, seen: Observation) -> Run | None:
    """The run that *seen* belongs to: the one it names, else the one that went on at that time."""
    if not seen.invocation:
        return next((run for run in reversed(container.runs) if not _is_just_before(seen.at, run.starting_at)), None)
    return next((run for run in container.runs if run.invocation == seen.invocation), None)


def _is_just_before(at: int, other: int) -> bool:
    """Whether *at* is before *other*: by no more than sources can be apart, or else the clock was set back."""
    return 0 < other - at < _APART_USEC


def _begins(container: Container, seen: Observation) -> Step:
    if (known := _run_of(container, seen)) is not None:
        return _tell(container, known, Kind.STARTING, seen)
    if seen.invocation in container.forgotten:
        return container, ()
    events: tuple[Event, ...] = ()
    if len(container.runs) == RUNS:
        oldest = container.runs[0]
        container, events = _unseen_end(container, oldest, seen.at)
        forgotten = (*container.forgotten, oldest.invocation)[-FORGOTTEN:]
        container = replace(container, runs=container.runs[1:], forgotten=forgotten)
    run = Run(seen.invocation, starting_at=seen.at)
    place = _place(container, seen.at)
    runs = (*container.runs[:place], run, *container.runs[place:])
    container, told = _tell(replace(container, runs=runs), run, Kind.STARTING, seen)
    return container, (*events, *told)


def _place(container: Container, at: int) -> int:
    """Where a run that nobody knew belongs among those that are known. (systemd's word on which one is present may be
    older than the journal's on what has begun since, so it is no help.)"""
    place = len(container.runs)
    while place and _is_just_before(at, container.runs[place - 1].starting_at):
        place -= 1
    return place


def _comes_up(container: Container, run: Run, seen: Observation) -> Step:
    if run.exit:
        return container, ()
    run = replace(run, started_at=run.started_at or seen.at)
    container, events = _tell(container, run, Kind.STARTED, seen)
    if seen.sign is Sign.SCOPE:
        return container, events
    run = next(each for each in container.runs if each.invocation == run.invocation)
    container, more = _tell(container, replace(run, ready_at=run.ready_at or seen.at), Kind.READY, seen)
    return container, (*events, *more)


def _exits(container: Container, run: Run, seen: Observation) -> Step:
    if run.exit:
        return container, ()
    ended = Exit(seen.code, seen.status, seen.at)
    run = replace(run, exit=ended, ended_at=seen.at)
    reason = _reason(run, ended)
    exits = dict(container.exits)
    exits[reason] = exits.get(reason, 0) + 1
    container = replace(container, exits=tuple(sorted(exits.items())))
    later = container.runs[[each.invocation for each in container.runs].index(run.invocation) + 1 :]
    if not any(each.exit for each in later):
        container = replace(container, last=ended)
    if not later:
        container = replace(container, paused=False)
    return _tell(container, run, Kind.EXITED, seen)


def _runs_out_of_memory(container: Container, run: Run, seen: Observation) -> Step:
    # Cleanup counts again what PID 1 has told one by one.
    if seen.invocation and run.ooms:
        return container, ()
    told = (_event(container, Kind.OOM, seen, run.invocation),)
    before, run = run, replace(run, ooms=run.ooms + 1)
    exits = dict(container.exits)
    if run.exit and exits.get(looked_like := _reason(before, run.exit)):
        # Its end was seen first, and counted for what it looked like.
        exits[looked_like] -= 1
        exits[_reason(run, run.exit)] = exits.get(_reason(run, run.exit), 0) + 1
        container = replace(container, exits=tuple(sorted((why, times) for why, times in exits.items() if times)))
    return _kept(container, run), told


def _restarts(container: Container, run: Run, seen: Observation) -> Step:
    container, events = _tell(container, replace(run, restarting=True), Kind.RESTARTING, seen)
    return replace(container, restarts=container.restarts + len(events)), events


def _stops(container: Container, run: Run, seen: Observation) -> Step:
    # systemd says so as well of a unit that only waited for its restart.
    return (container, ()) if run.restarting else _tell(container, run, Kind.STOPPED, seen)


def _ends(container: Container, run: Run, seen: Observation) -> Step:
    """The unit is down with the result in *seen*: for good, when it was to be restarted."""
    if run.exit and not run.exit.result:
        ended = replace(run.exit, result=seen.detail)
        if container.last == run.exit:
            container = replace(container, last=ended)
        run = replace(run, exit=ended)
    if run.restarting or seen.detail == "start-limit-hit":
        return _tell(container, run, Kind.GIVEN_UP, seen)
    return _kept(container, run), ()


_STEPS: dict[Sign, Callable[[Container, Run, Observation], Step]] = {
    Sign.SCOPE: _comes_up,
    Sign.READY: _comes_up,
    Sign.EXIT: _exits,
    Sign.OOM: _runs_out_of_memory,
    Sign.ENDED: _ends,
    Sign.RESTART: _restarts,
    Sign.STOPPED: _stops,
}


def _paused(container: Container, seen: Observation) -> Step:
    paused = seen.sign is Sign.PAUSED
    # Two sources tell of it; one that lags behind must not undo what came since.
    if paused == container.paused or _is_just_before(seen.at, container.paused_at):
        return container, ()
    kind = Kind.PAUSED if paused else Kind.UNPAUSED
    invocation = seen.invocation or (container.run.invocation if container.run else "")
    return replace(container, paused=paused, paused_at=seen.at), (_event(container, kind, seen, invocation),)


def _unseen_end(container: Container, run: Run, at: int) -> Step:
    if run.exit or not run.started_at or Kind.EXITED in run.reported:
        return container, ()
    return _exits(container, run, Observation(Sign.EXIT, container.name, at, run.invocation, _UNKNOWN))


def _tell(container: Container, run: Run, kind: Kind, seen: Observation) -> Step:
    """Keep *run*, and tell *kind* of it, after what it implies, unless that was told or comes too late."""
    events: tuple[Event, ...] = ()
    implied = _BEGINNINGS[: _BEGINNINGS.index(kind)] if kind in _BEGINNINGS else (Kind.STARTING,)
    if kind not in _BEGINNINGS or not run.exit:
        for due in (*implied, kind):
            if due not in run.reported:
                run = replace(run, reported=(*run.reported, due))
                events += (_event(container, due, seen, run.invocation),)
    return _kept(container, run), events


def _kept(container: Container, run: Run) -> Container:
    runs = tuple(run if each.invocation == run.invocation else each for each in container.runs)
    return replace(container, runs=runs)


def _event(container: Container, kind: Kind, seen: Observation, invocation: str) -> Event:
    card = container.card
    detail = seen.detail
    if kind is Kind.RESTARTING and seen.status:
        detail = f"restart {seen.status}"
    if kind in (Kind.CREATED, Kind.STARTING):
        detail = card.image if card else ""
    code, status = (seen.code, seen.status) if kind is Kind.EXITED else ("", 0)
    project = card.project if card else ""
    return Event(kind, seen.name, seen.at, invocation, code, status, detail, project, seen.job, seen.source)


def _reason(run: Run, ended: Exit) -> str:
    """Why a run ended, in the words of systemd's Result, and 'oom' and 'unknown'."""
    if ended.code == _UNKNOWN:
        return _UNKNOWN
    if ended.code == "exited":
        clean = "success" if ended.status == 0 else "exit-code"
    elif ended.code == "dumped":
        clean = "core-dump"
    else:
        clean = "success" if ended.status in _CLEAN_SIGNALS else "signal"
    return "oom" if run.ooms and clean != "success" else clean
