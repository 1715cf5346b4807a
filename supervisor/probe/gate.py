"""Wait until a container is healthy: probe at once, then after short pauses that grow.

Behind ctr-healthy@NAME.service, and with ``Notify=healthy`` in the start of ctr@NAME.service. Leaves nothing running.
"""

from __future__ import annotations

import time

from supervisor.errors import HostError
from supervisor.health import machine
from supervisor.health.record import HEALTHY, UNHEALTHY, Result
from supervisor.paths import Layout
from supervisor.probe.attempt import attempt, last_words
from supervisor.probe.run import Run


def wait(name: str, layout: Layout, actions: frozenset[str]) -> None:
    """Return once the run of container *name* that is going on is healthy.

    Raises `HostError` when it becomes unhealthy or ends, `UserError` when it does not run or has no health check.
    *actions*: those of the state machine that are to be done, never those about ctr-healthy@NAME.service: what waits
    here is that unit, or comes before it.
    """
    with Run(name, layout) as run:
        if run.state(time.monotonic()).status == HEALTHY:
            return
        last: Result | None = None
        while True:
            try:
                made = attempt(run, actions)
            except (HostError, OSError) as error:
                if not run.has_ended(1.0):
                    raise HostError(f"cannot be probed: {error}") from error
                raise _ended(last) from error
            last = made.result or last
            if made.state.status == HEALTHY:
                return
            if made.state.status == UNHEALTHY:
                raise HostError(f"unhealthy: {last_words(last)}")
            if machine.RESTART in made.actions and machine.RESTART not in actions:
                raise HostError(f"its startup probe failed too often: {last_words(last)}")
            if run.has_ended(machine.pause(run.plan, made.state, time.monotonic())):
                raise _ended(last)


def _ended(last: Result | None) -> HostError:
    return HostError(f"ended before it was healthy; {last_words(last)}")
