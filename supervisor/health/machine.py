"""The state machine: a state, the result of a probe and the time in; a new state and what to do about it out.

Pure; time is a parameter. The rules are docker's and podman's (docker-run(1) ``--health-*``, podman-run(1)
``--health-startup-*``, ``--health-on-failure``):

* A run begins *starting*. One success makes it *healthy*, whenever it comes.
* *retries* consecutive failures make it *unhealthy*; the first success after that makes it healthy again.
* While it is starting, failures within *start_period* do not count, and outside of it at most one per *interval*: a
  gate probes much more often than that, so that whoever waits goes on at once, and must not use up the retries.
* The action comes once each time it becomes unhealthy, later when it has to wait for its turn.
* With a startup probe, that one runs first, until it has succeeded *successes* times in a row; *retries* failures of
  it, one per interval, restart the container.
"""

from __future__ import annotations

from supervisor.health.plan import Plan
from supervisor.health.record import HEALTHY, STARTING, UNHEALTHY, Result, State

#: Actions: what the state machine wants done, in order. The first two are announcements as well.
BECAME_HEALTHY, BECAME_UNHEALTHY = "became-healthy", "became-unhealthy"
KILL, RESTART, STOP = "kill", "restart", "stop"

#: A gate's first pause, and how its pauses grow: a quarter of the time that has passed, so that it is never more than a
#: quarter late and a container that takes 20 s is probed 20 times meanwhile.
_SHORTEST_PAUSE = 0.05
_PART = 0.25

#: Of results "without limit": how many, and how many characters of output together (about).
_MOST_RESULTS = 1000
_LONGEST_LOG = 4 << 20


def starts_up(plan: Plan, state: State) -> bool:
    """Whether it is the startup probe's turn."""
    return plan.startup is not None and state.successes < plan.startup.successes


def transition(
    plan: Plan, state: State, result: Result, now: float, *, may_act: bool = True
) -> tuple[State, tuple[str, ...]]:
    """The state after a probe that ended at *now* (seconds of the monotonic clock), and the actions due.

    *may_act*: whether the container may be acted on now (`supervisor.health.backoff`); what is not allowed yet is due
    with a later failure.
    """
    status, failures, successes, counted = state.status, state.failures, state.successes, state.counted
    acted = state.acted
    actions: tuple[str, ...] = ()
    if plan.startup and starts_up(plan, state):
        if result.passed:
            successes, failures = successes + 1, 0
            counted = now
        else:
            successes = 0
            if now >= due(plan, state):
                failures, counted = failures + 1, now
            if plan.startup.retries and failures >= plan.startup.retries and may_act:
                failures, actions = 0, (RESTART,)
    elif result.passed:
        failures = 0
        if status != HEALTHY:
            status, acted, actions = HEALTHY, False, (BECAME_HEALTHY,)
    elif status != STARTING or now >= due(plan, state):
        failures, counted = failures + 1, now
        if failures >= plan.retries and status != UNHEALTHY:
            status, actions = UNHEALTHY, (BECAME_UNHEALTHY,)
        if status == UNHEALTHY and not acted and may_act and plan.action in (KILL, RESTART, STOP):
            acted, actions = True, (*actions, plan.action)
    results = (*state.results, result)
    new = State(
        invocation=state.invocation,
        began=state.began,
        counted=counted,
        status=status,
        failures=failures,
        successes=successes,
        acted=acted,
        results=_kept(plan, results),
    )
    return new, actions


def _kept(plan: Plan, results: tuple[Result, ...]) -> tuple[Result, ...]:
    """As many of the last *results* as the definition wants; all of them, if it does, as far as they can be read anew
    with every probe."""
    length, first = 0, len(results)
    while first and length < _LONGEST_LOG and len(results) - first < (plan.log_count or _MOST_RESULTS):
        first -= 1
        length += len(results[first].output)
    return results[first:]


def due(plan: Plan, state: State) -> float:
    """From when on a failure of a container that is starting counts (seconds of the monotonic clock)."""
    if plan.startup and starts_up(plan, state):
        return state.counted + (plan.startup.interval or plan.spacing)
    return max(state.counted, state.began + plan.start_period) + plan.spacing


def pause(plan: Plan, state: State, now: float) -> float:
    """How long a gate waits before it probes again, in seconds."""
    if plan.startup and starts_up(plan, state):
        longest = plan.startup.interval or plan.spacing
    elif now < state.began + plan.start_period:
        longest = plan.start_interval or plan.spacing
    else:
        longest = plan.spacing
    left = due(plan, state) - now
    grown = max(_SHORTEST_PAUSE, (now - state.began) * _PART)
    return min(grown, longest, left) if left > 0 else min(grown, longest)
