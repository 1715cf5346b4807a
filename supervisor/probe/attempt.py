"""One probe from beginning to end: command, state machine, record, and what follows from it.

The only place that does what `supervisor.health.machine` decides. Announces a change of health in the journal of
ctr@NAME.service; everything else about a probe is in the record, which is kept last: a probe that is killed before has
changed nothing, and the next one decides the same.
"""

from __future__ import annotations

import os
import time

from supervisor.errors import HostError
from supervisor.events import records
from supervisor.health import backoff, machine
from supervisor.health.record import HEALTHY, UNHEALTHY, Result, State
from supervisor.names import healthy_unit, service_unit
from supervisor.probe import command
from supervisor.probe.run import Run
from supervisor.systemd import journal

#: What is done to the container itself; the rest starts and stops ctr-healthy@NAME.service.
TO_THE_CONTAINER = frozenset((machine.KILL, machine.RESTART, machine.STOP))
ALL = TO_THE_CONTAINER | {machine.BECAME_HEALTHY, machine.BECAME_UNHEALTHY}

_IDENTIFIER = "ctr-health"
_SIGKILL = 9
#: Of a probe's output in a message: a datagram has to hold it, and a person read it.
_LONGEST = 1000
_MESSAGE_IDS = {
    machine.BECAME_HEALTHY: records.BECAME_HEALTHY,
    machine.BECAME_UNHEALTHY: records.BECAME_UNHEALTHY,
}


class Attempt:
    """What came of a probe: the health after it, the result (None when nothing could be asked of the container now),
    and what the state machine wants done."""

    __slots__ = ("actions", "result", "state")

    def __init__(self, state: State, result: Result | None = None, actions: tuple[str, ...] = ()) -> None:
        self.state = state
        self.result = result
        self.actions = actions


def attempt(run: Run, actions: frozenset[str] = ALL) -> Attempt:
    """Probe *run* once, and do those of *actions* that are due; the others are left to the caller.

    Raises `HostError`, OSError when it was impossible, as when the container stops meanwhile.
    """
    lock = run.lock()
    try:
        state = run.state(time.monotonic())
        if run.is_idle:
            run.keep(state)
            return Attempt(state)
        result = command.execute(run, startup=machine.starts_up(run.plan, state))
        if (not result.passed and run.is_frozen) or run.has_ended():
            return Attempt(state)  # it says nothing about the container's health
        wait = backoff.left(run.acted(), time.time()) if actions & TO_THE_CONTAINER else 0.0
        new, wanted = machine.transition(run.plan, state, result, time.monotonic(), may_act=not wait)
        for action in wanted:
            if action in actions or action in _MESSAGE_IDS:
                _announce(run, action, new, result, wait)
        if due := tuple(action for action in due_actions(new.status, wanted, run.is_said_healthy) if action in actions):
            _act(run, due)
        try:
            run.keep(new)
        except FileNotFoundError:
            if not due:
                raise  # the run is over; else what was done has ended it
        return Attempt(new, result, wanted)
    finally:
        os.close(lock)


def due_actions(status: str, wanted: tuple[str, ...], is_said_healthy: bool) -> tuple[str, ...]:
    """What is to be done after a probe: to the container what is *wanted*; to ctr-healthy@NAME.service what makes it
    agree with *status*, though nothing has changed now: its gate may have been killed, or its job refused. Pure."""
    health = {(HEALTHY, False): machine.BECAME_HEALTHY, (UNHEALTHY, True): machine.BECAME_UNHEALTHY}
    agree = health.get((status, is_said_healthy))
    return (*((agree,) if agree else ()), *(action for action in wanted if action in TO_THE_CONTAINER))


def last_words(result: Result | None) -> str:
    """How a probe ended, on one line."""
    if result is None:
        return "not probed"
    text = " ".join(result.output.split())[:_LONGEST]
    if result.code < 0:
        return text
    return f"the last probe exited with {result.code}" + (f": {text}" if text else "")


def _announce(run: Run, action: str, state: State, result: Result, wait: float) -> None:
    if action == machine.BECAME_HEALTHY:
        text, priority = "healthy", journal.NOTICE
    elif action == machine.BECAME_UNHEALTHY:
        text, priority = f"unhealthy after {_failures(state.failures)}: {last_words(result)}", journal.WARNING
        if wait and run.plan.action in TO_THE_CONTAINER:
            text += f"; {run.plan.action} in {wait:.0f} s at the earliest, as it did not help the last time"
    elif machine.starts_up(run.plan, state):
        text, priority = f"startup probe failed too often, restarting: {last_words(result)}", journal.WARNING
    else:
        text, priority = f"unhealthy, so {action}", journal.WARNING
    # OBJECT_SYSTEMD_UNIT= makes `journalctl -u ctr@NAME` show it (see logs.entry).
    fields = {
        "SYSLOG_IDENTIFIER": _IDENTIFIER,
        "OBJECT_SYSTEMD_UNIT": service_unit(run.name),
        "OBJECT_SYSTEMD_INVOCATION_ID": run.invocation,
        records.CONTAINER: run.name,
        records.INVOCATION: run.invocation,
        records.DETAIL: "" if action == machine.BECAME_HEALTHY else last_words(result),
        "CTR_HEALTH": state.status,
    }
    if action in _MESSAGE_IDS:
        fields["MESSAGE_ID"] = _MESSAGE_IDS[action]
    journal.record(text, priority, fields, run.layout.journal)


def _failures(count: int) -> str:
    return "1 failed probe" if count == 1 else f"{count} failed probes"


def _act(run: Run, actions: tuple[str, ...]) -> None:
    """Queue the jobs; none is waited for, since they may end this very process."""
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        for action in actions:
            if action in TO_THE_CONTAINER:
                run.note_action()  # first: with what follows, this process may end
            if action == machine.BECAME_HEALTHY:
                try:
                    # Not against a stop that is under way, the container's or that of what wants its health: the next
                    # probe, if there is one, finds it missing still.
                    manager.enqueue("start", healthy_unit(run.name), "fail")
                except HostError:
                    continue
            elif action == machine.BECAME_UNHEALTHY:
                manager.enqueue("stop", healthy_unit(run.name))
            elif action == machine.KILL:
                manager.kill(service_unit(run.name), "main", _SIGKILL)
            else:
                manager.enqueue(action, service_unit(run.name))
