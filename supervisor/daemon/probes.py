"""Has containers probed: starts ctr-health@NAME.service when `supervisor.health.schedule` says so, and hears its end.

Owns no rule: who may be probed follows from the model of the container, when from the schedule, what is made of it is
decided by ctr-probe. Dies without harm: ctr-health@NAME.timer probes what nobody else does, later.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskStatus

from supervisor.errors import CtrError
from supervisor.health.record import STARTING
from supervisor.health.schedule import Schedule
from supervisor.lifecycle.model import Container
from supervisor.lifecycle.phase import Phase
from supervisor.names import health_unit, name_of_probe

#: How long systemd may take to queue a job; well below `schedule.DEADLINE`.
_ANSWER_SECONDS = 30.0


def interval(container: Container) -> float:
    """Seconds between probes of *container* as it is now; 0 when it is not to be probed.

    While it is starting, its gate (ctr-healthy@NAME.service) probes it.
    """
    if container.card is None or container.phase is not Phase.RUNNING or container.health == STARTING:
        return 0.0
    return container.card.interval


class Probes:
    """The probes of all containers. Everything but `run` is synchronous and called in the same loop."""

    def __init__(
        self,
        start: Callable[[str], Awaitable[str]],
        *,
        took: Callable[[str, int], None] = lambda name, usec: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        processors: int | None = None,
    ) -> None:
        """*start*: starts a unit and returns its job's object path, raises `CtrError`. *took* is told how long a probe
        took, systemd's work included, in microseconds. *processors*: how many; those we may run on, if not given."""
        self._start = start
        self._took = took
        self._clock = clock
        self._schedule = Schedule(processors or len(os.sched_getaffinity(0)), chance)
        self._jobs: dict[str, int | None] = {}  # of probes under way; None while systemd has not answered
        self._heard: dict[str, dict[int, str]] = {}  # jobs that ended meanwhile: the answer may come behind the signal
        self._changed: anyio.Event | None = None
        self._started = self._failed = self._refused = 0
        self._asked: dict[str, float] = {}  # when, by the clock: of probes under way

    def counters(self) -> Mapping[str, int]:
        """Since the supervisor began: probes started, failed (could not ask the container) and refused (by systemd);
        and now: under way."""
        return {
            "probes_started": self._started,
            "probes_failed": self._failed,
            "probes_refused": self._refused,
            "probes_under_way": self._schedule.under_way,
        }

    def update(self, container: Container) -> None:
        """*container* is new, or has changed."""
        if (seconds := interval(container)) > 0:
            self._schedule.admit(container.name, seconds, self._clock())
            self._wake()
        else:
            self._schedule.dismiss(container.name)

    def forget(self, name: str) -> None:
        """There is no container *name* any more."""
        self._schedule.dismiss(name)
        self._jobs.pop(name, None)
        self._asked.pop(name, None)

    def job_ended(self, id: int, unit: str, result: str) -> None:
        """Job number *id* of *unit* has ended; other units than probes are none of ours."""
        name = name_of_probe(unit)
        if name is None:
            return
        if name in self._heard:
            self._heard[name][id] = result
        job = self._jobs.get(name, id)
        if job == id:
            self._failed += result != "done"
            if name in self._asked and result == "done":
                self._took(name, round((self._clock() - self._asked[name]) * 1e6))
            self._over(name, refused=result != "done")

    def resume(self) -> None:
        """systemd can be heard again: probes may have ended meanwhile, and what refused some may be over. One that is
        still at it is asked for again in its turn, and systemd answers with the same job."""
        for name in [name for name, job in self._jobs.items() if job is not None]:
            self._over(name, refused=False)
        self._schedule.forgive(self._clock())
        self._wake()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Start probes until cancelled; those under way then end by themselves."""
        async with anyio.create_task_group() as group:
            task_status.started()
            while True:
                self._changed = anyio.Event()
                for name in self._schedule.take(self._clock()):
                    self._jobs[name] = None
                    self._heard[name] = {}
                    group.start_soon(self._probe, name)
                now = self._clock()
                with anyio.move_on_after(self._schedule.wake(now) - now):
                    await self._changed.wait()

    async def _probe(self, name: str) -> None:
        self._asked[name] = self._clock()
        try:
            with anyio.fail_after(_ANSWER_SECONDS):
                path = await self._start(health_unit(name))
        except (CtrError, TimeoutError):
            self._refused += 1
            self._over(name, refused=True)
            return
        finally:
            heard = self._heard.pop(name, {})
        self._started += 1
        job = int(path.rpartition("/")[2])
        self._jobs[name] = job
        self._schedule.answered(name, self._clock())
        if job in heard:
            self.job_ended(job, health_unit(name), heard[job])
        self._wake()

    def _over(self, name: str, *, refused: bool) -> None:
        self._jobs.pop(name, None)
        self._asked.pop(name, None)
        (self._schedule.refused if refused else self._schedule.ended)(name, self._clock())
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
