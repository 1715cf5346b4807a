"""Probes as systemd sees them: jobs that are asked for, answers and ends in either order, refusals, silence."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest

from supervisor.daemon.probes import Probes, interval
from supervisor.errors import HostError
from supervisor.lifecycle.model import Container
from supervisor.lifecycle.observation import UnitState
from supervisor.names import health_unit
from supervisor.spec.card import Card

UP = Container("db", Card("db", interval=0.001), UnitState("db", "active", "running"), "healthy")
#: One whose next try after a refusal no test here lives to see, however slow the machine.
SELDOM = replace(UP, card=Card("db", interval=3600.0))


class Systemd:
    """Queues jobs; a test says how they end. `asked` has a member for each, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[int, str], Awaitable[None]] = self.at_once
        self._news = anyio.Event()
        self.took: list[tuple[str, int]] = []

    def note(self, name: str, usec: int) -> None:
        self.took.append((name, usec))

    async def at_once(self, number: int, unit: str) -> None:
        """Nothing happens before the answer."""

    async def start(self, unit: str) -> str:
        self.asked.append(unit)
        number = len(self.asked)
        self._news.set()
        await self.answer(number, unit)
        return f"/org/freedesktop/systemd1/job/{number}"

    async def until(self, count: int) -> None:
        """Wait until so many jobs were asked for."""
        with anyio.fail_after(20):
            while len(self.asked) < count:
                self._news = anyio.Event()
                await self._news.wait()


def play(scene: Callable[[Systemd, Probes], Awaitable[None]]) -> None:
    """Run *scene* beside the probes, which are cancelled at its end."""

    async def stage() -> None:
        systemd = Systemd()
        probes = Probes(systemd.start, took=systemd.note, chance=lambda: 0.0, processors=2)
        async with anyio.create_task_group() as group:
            await group.start(run, probes)
            await scene(systemd, probes)
            group.cancel_scope.cancel()

    async def run(probes: Probes, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        await probes.run(task_status=task_status)

    anyio.run(stage)


def test_the_time_a_probe_took_is_told() -> None:
    """From asking systemd to the end of the job; of one that failed there is nothing to tell."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        probes.update(UP)
        for number, result in enumerate(("done", "failed"), 1):
            await systemd.until(number)
            await anyio.wait_all_tasks_blocked()
            probes.job_ended(number, health_unit("db"), result)
        ((name, usec),) = systemd.took
        assert name == "db" and usec >= 0

    play(scene)


def test_probe_after_probe() -> None:
    """The next is asked for when the last one's job has ended, and not before; other jobs are none of ours."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        probes.update(UP)
        await systemd.until(1)
        for id, unit in ((1, "ctr@db.service"), (7, health_unit("db")), (1, health_unit("other")), (1, "x")):
            probes.job_ended(id, unit, "done")
        await anyio.wait_all_tasks_blocked()
        assert probes.counters()["probes_under_way"] == 1
        for number in range(1, 5):
            probes.job_ended(number, health_unit("db"), "done")
            await systemd.until(number + 1)
        assert systemd.asked == [health_unit("db")] * 5
        await anyio.wait_all_tasks_blocked()
        expected = {"probes_started": 5, "probes_failed": 0, "probes_refused": 0, "probes_under_way": 1}
        assert probes.counters() == expected

    play(scene)


def test_an_end_before_the_answer() -> None:
    """The answer waits in the queue behind the signal that the job has ended: nothing is missed."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        async def ended(number: int, unit: str) -> None:
            probes.job_ended(99, unit, "done")  # an earlier one, somebody else's
            probes.job_ended(number, unit, "done")

        systemd.answer = ended
        probes.update(UP)
        await systemd.until(3)

    play(scene)


def test_an_end_of_another_job_before_the_answer() -> None:
    """It is not taken for ours."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        async def other(number: int, unit: str) -> None:
            probes.job_ended(99, unit, "done")

        systemd.answer = other
        probes.update(UP)
        await systemd.until(1)
        await anyio.wait_all_tasks_blocked()
        assert probes.counters()["probes_under_way"] == 1

    play(scene)


def test_one_that_is_refused_holds_up_nobody() -> None:
    """It is counted, and tried again later; the others are probed."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        async def answer(number: int, unit: str) -> None:
            if unit == health_unit("sick"):
                raise HostError(f"{unit}: start: refused")
            probes.job_ended(number, unit, "done")

        systemd.answer = answer
        probes.update(replace(SELDOM, name="sick"))
        probes.update(UP)
        await systemd.until(6)
        assert systemd.asked.count(health_unit("sick")) == 1
        assert probes.counters()["probes_refused"] == 1

    play(scene)


def test_after_a_time_of_not_hearing_all_are_probed_again() -> None:
    """A probe whose end was not heard, and one that could not be asked for, have their next turn in time; what waits
    for its answer is left alone."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        async def answer(number: int, unit: str) -> None:
            if unit == health_unit("refused") and number < 4:
                raise HostError(f"{unit}: start: no connection to systemd; try again")
            if unit == health_unit("asked"):
                await anyio.sleep_forever()

        systemd.answer = answer
        probes.update(replace(SELDOM, name="refused"))
        probes.update(replace(UP, name="unheard"))
        await systemd.until(2)
        probes.update(replace(UP, name="asked"))
        await systemd.until(3)
        await anyio.wait_all_tasks_blocked()
        probes.resume()
        await systemd.until(5)
        assert sorted(systemd.asked[3:]) == [health_unit("refused"), health_unit("unheard")]
        assert probes.counters()["probes_under_way"] == 3

    play(scene)


@pytest.mark.parametrize("result", ["failed", "canceled", "timeout"])
def test_a_probe_that_could_not_ask_is_counted(result: str) -> None:
    """And is not repeated at once."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        probes.update(UP)
        await systemd.until(1)
        await anyio.wait_all_tasks_blocked()
        before = probes._clock()
        probes.job_ended(1, health_unit("db"), result)
        counters = probes.counters()
        assert (counters["probes_failed"], counters["probes_under_way"]) == (1, 0)
        assert probes._schedule.wake(before) > before + 0.5

    play(scene)


def test_none_for_those_that_are_gone() -> None:
    """Paused or removed while a probe is under way: its end is taken note of, and that is all."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        probes.update(UP)
        probes.update(replace(UP, name="web"))
        await systemd.until(2)
        await anyio.wait_all_tasks_blocked()
        probes.update(replace(UP, paused=True))
        probes.forget("web")
        for number, unit in enumerate(systemd.asked, 1):
            probes.job_ended(number, unit, "done")
        assert probes.counters()["probes_under_way"] == 0
        assert probes._schedule.wake(probes._clock()) == math.inf
        assert not probes._jobs

    play(scene)


def test_cancelled_while_systemd_is_asked() -> None:
    """Nothing waits for the answer."""

    async def scene(systemd: Systemd, probes: Probes) -> None:
        systemd.answer = lambda number, unit: anyio.sleep_forever()
        probes.update(UP)
        await systemd.until(1)

    play(scene)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 0.001),
        ({"health": "unhealthy"}, 0.001),
        ({"health": ""}, 0.001),
        ({"health": "starting"}, 0),
        ({"paused": True}, 0),
        ({"card": None}, 0),
        ({"card": Card("db")}, 0),
        ({"unit": UnitState("db", "activating", "start")}, 0),
        ({"unit": UnitState("db", "activating", "auto-restart")}, 0),
        ({"unit": UnitState("db", "deactivating", "stop-sigterm")}, 0),
        ({"unit": UnitState("db", "failed", "failed")}, 0),
        ({"unit": UnitState("db", "active", "exited")}, 0),
    ],
)
def test_who_is_probed(changes: dict[str, object], seconds: float) -> None:
    """What runs, whether it is well or not; its gate has its turn first."""
    assert interval(replace(UP, **changes)) == seconds  # type: ignore[arg-type]
