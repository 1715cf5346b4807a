"""What a watch that remembers asks anew, and what it believes: supervisor.systemd.watch on a private message bus."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import buskit
import pytest
from buskit import FakeSystemd, PrivateBus, Told
from dbus_next import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.lifecycle.observation import UnitState
from supervisor.systemd.watch import Watch

anyio_backend, message_bus, systemd = buskit.FIXTURES

Systemd = Callable[[], AbstractAsyncContextManager[FakeSystemd]]
RUN, NEXT = "aa" * 16, "bb" * 16
#: A container as it was, with a main process that systemd has not (`buskit.defaults`): so it shows who is believed.
WAS = UnitState("a", "active", "running", RUN, main_pid=7, exit_pid=7, starting_at=1000, ready_at=2000)
JOB_PATH = f"{buskit.PATH}/job/5"
JOB = [5, JOB_PATH]


class Asked(Told):
    """A sink that also keeps how often systemd was asked for a property before each `rebuilt`."""

    def __init__(self, fake: FakeSystemd) -> None:
        super().__init__()
        self.asked: list[int] = []
        self._fake = fake

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        self.asked.append(self._fake.calls.count("Get"))
        super().rebuilt(units, health)


@asynccontextmanager
async def remembering(
    bus: PrivateBus,
    fake: FakeSystemd,
    directory: Path,
    units: Iterable[UnitState] = (),
    thawed: Callable[[], Collection[str]] = tuple,
) -> AsyncIterator[tuple[Watch, Asked]]:
    """A watch that remembers *units*, after its first `rebuilt`."""
    fake.calls.clear()
    told = Asked(fake)
    watch = Watch(told, bus.address, str(directory), thawed=thawed)
    watch.remember(units)
    async with anyio.create_task_group() as tasks:
        await tasks.start(watch.run)
        yield watch, told
        tasks.cancel_scope.cancel()


def link(directory: Path, name: str, invocation: str, began: int = 0) -> None:
    """What systemd makes when a run begins, at *began* (microseconds since the epoch)."""
    path = directory / f"invocation:ctr@{name}.service"
    path.unlink(missing_ok=True)
    os.symlink(invocation, path)
    os.utime(path, ns=(began * 1000, began * 1000), follow_symlinks=False)


@pytest.mark.anyio
async def test_a_run_that_goes_on_is_believed(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """Nothing is asked before all is told. What may have changed without a trace is asked afterwards."""
    link(tmp_path, "a", RUN)
    async with systemd() as fake:
        fake.add("ctr@a.service", NRestarts=3)
        async with remembering(message_bus, fake, tmp_path, [replace(WAS, frozen=True, job=4)]) as (_, told):
            assert told.asked == [0] and told.of("rebuilt")[0][0] == {"a": WAS}
            assert (await told.until("changed"))[0] == replace(WAS, main_pid=100, exit_pid=100, restarts=3)
            assert fake.calls.count("Get") == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("invocation", "now", "was"),
    [
        (NEXT, {}, WAS),
        ("", {}, WAS),
        ("", {"InvocationID": b""}, replace(WAS, invocation="")),
        (RUN, {"Job": JOB}, WAS),
        (RUN, {"ActiveState": "deactivating", "SubState": "stop-sigterm"}, WAS),
        (RUN, {"ActiveState": "reloading", "SubState": "reload"}, WAS),
        (RUN, {"SubState": "exited"}, WAS),
        (RUN, {}, replace(WAS, active="activating", sub="start")),
        (RUN, {}, replace(WAS, active="inactive", sub="dead")),
        (RUN, {}, replace(WAS, name="b")),
    ],
)
async def test_what_is_asked_anew(
    message_bus: PrivateBus, systemd: Systemd, tmp_path: Path, invocation: str, now: dict[str, Any], was: UnitState
) -> None:
    """One that was restarted while nobody looked, one with a job, one that changes, one that did not run before."""
    if invocation:
        link(tmp_path, "a", invocation)
    async with systemd() as fake:
        fake.add("ctr@a.service", **now)
        async with remembering(message_bus, fake, tmp_path, [was]) as (_, told):
            assert told.of("rebuilt")[0][0]["a"].main_pid == 100


@pytest.mark.anyio
async def test_an_explicit_refresh_believes_nothing(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """While one that only systemd's reload has caused believes what is known."""
    link(tmp_path, "a", RUN)
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with remembering(message_bus, fake, tmp_path) as (watch, told):
            fake.units["ctr@a.service"]["MainPID"] = 200
            before = fake.calls.count("Get")
            fake.emit("Reloading", "b", True)
            fake.emit("Reloading", "b", False)
            assert (await told.until("rebuilt", 2))[0]["a"].main_pid == 100
            assert told.asked[1] == before
            assert (await told.until("changed"))[0].main_pid == 200
            fake.units["ctr@a.service"]["MainPID"] = 300
            await watch.refresh()
            assert told.of("rebuilt")[2][0]["a"].main_pid == 300


@pytest.mark.anyio
async def test_only_of_what_may_be_frozen_systemd_is_asked(
    message_bus: PrivateBus, systemd: Systemd, tmp_path: Path
) -> None:
    """The kernel's word is enough that a container is not."""
    async with systemd() as fake:
        fake.add("ctr-a.scope", FreezerState="running")
        fake.add("ctr-b.scope", FreezerState="frozen")
        for name in ("a", "b"):
            link(tmp_path, name, RUN)
            fake.add(f"ctr@{name}.service")
        was = [WAS, replace(WAS, name="b")]
        async with remembering(message_bus, fake, tmp_path, was, lambda: ["a"]) as (_, told):
            assert told.asked == [1]
            assert {name: unit.frozen for name, unit in told.of("rebuilt")[0][0].items()} == {"a": False, "b": True}


@pytest.mark.anyio
@pytest.mark.parametrize("is_sooner", [True, False])
async def test_a_signal_knows_better_than_what_was_believed(
    message_bus: PrivateBus, systemd: Systemd, tmp_path: Path, is_sooner: bool
) -> None:
    """An answer that was on its way when the container ended is not told, nor one of a run at its end."""
    link(tmp_path, "a", RUN)
    asked = anyio.Event()
    async with systemd() as fake:

        def end() -> None:
            times = {"ExecMainExitTimestamp": 5000, "StateChangeTimestamp": 5000}
            status = {"ExecMainCode": 2, "ExecMainStatus": 9}
            fake.pair("ctr@a.service", ActiveState="failed", SubState="failed", **status, **times)

        def before(message: Message) -> None:
            if message.member == "Get" and message.body[1] == "NRestarts":
                asked.set()
                if is_sooner:
                    end()

        fake.add("ctr@a.service", MainPID=50 if is_sooner else 0)
        fake.before = before
        async with remembering(message_bus, fake, tmp_path, [WAS]) as (_, told):
            await asked.wait()
            if not is_sooner:
                end()
            assert (await told.until("changed"))[0].exit_status == 9
            fake.pair("ctr@a.service", NRestarts=1)
            assert (await told.until("changed", 2))[0].restarts == 1


@pytest.mark.anyio
async def test_a_question_that_comes_meanwhile_is_answered(
    message_bus: PrivateBus, systemd: Systemd, tmp_path: Path
) -> None:
    """While the last that was believed is asked after, a job is queued whose type no signal tells."""
    link(tmp_path, "a", RUN)
    async with systemd() as fake:
        fake.add("ctr@a.service")
        fake.job_types[JOB_PATH] = "stop"

        def queue(message: Message) -> None:
            if message.member == "Get" and message.body[1] == "NRestarts":
                fake.pair("ctr@a.service", Job=JOB)
                fake.emit("JobNew", "uos", 5, JOB_PATH, "ctr@a.service")

        fake.before = queue
        async with remembering(message_bus, fake, tmp_path, [WAS]) as (_, told):
            assert (await told.until("changed"))[0].job == 5
            assert (await told.until("changed", 2))[0].job_type == "stop"


@dataclass(frozen=True, slots=True)
class Life:
    """What one container is at: *run* is the number of its run, of which all of its properties follow."""

    kind: str
    run: int
    job: bool
    frozen: bool

    def properties(self) -> dict[str, Any]:
        """Of its service, as systemd has them."""
        began, pid = self.run * 1000, self.run * 100
        found = {
            "InvocationID": bytes.fromhex(f"{self.run:032x}"),
            "InactiveExitTimestamp": began,
            "ActiveEnterTimestamp": began + 500,
            "StateChangeTimestamp": began + 500,
            "NRestarts": self.run,
            "MainPID": pid,
            "ExecMainPID": pid,
            "Job": JOB if self.job else [0, "/"],
        }
        if self.kind == "starting":
            # The launcher is the main process, and the time of being ready that of the run before.
            return found | STATES[self.kind] | {"MainPID": pid + 1, "ActiveEnterTimestamp": began - 500}
        if self.kind in ("waiting", "failed", "stopped"):
            over = {"MainPID": 0, "ExecMainCode": 1, "ExecMainExitTimestamp": began + 800, "Result": "exit-code"}
            return found | STATES[self.kind] | over
        return found | STATES[self.kind]


STATES = {
    "running": {"ActiveState": "active", "SubState": "running"},
    "starting": {"ActiveState": "activating", "SubState": "start"},
    "waiting": {"ActiveState": "activating", "SubState": "auto-restart"},
    "stopping": {"ActiveState": "deactivating", "SubState": "stop-sigterm"},
    "failed": {"ActiveState": "failed", "SubState": "failed"},
    "stopped": {"ActiveState": "inactive", "SubState": "dead"},
}
LIVES = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(Life, st.sampled_from(["running"] * 4 + sorted(STATES)), st.integers(1, 2), st.booleans(), st.booleans()),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(then=LIVES, now=LIVES)
def test_remembering_changes_nothing(
    message_bus: PrivateBus, tmp_path: Path, then: dict[str, Life], now: dict[str, Life]
) -> None:
    """Whatever a watch has told of whatever containers there were then: one that remembers it tells the same now as one
    that remembers nothing. It only knows better when a run began that has ended since."""
    anyio.run(compare, message_bus, tmp_path / "links", then, now)


async def compare(bus: PrivateBus, links: Path, then: dict[str, Life], now: dict[str, Life]) -> None:
    async with buskit.fake_systemd(bus.address) as fake:
        remembered = await found(bus, fake, links, then, ())
        afresh = await found(bus, fake, links, now, ())
        again = await found(bus, fake, links, now, remembered.values())
    for name, unit in again.items():
        if unit.sub == "auto-restart":
            again[name] = replace(unit, starting_at=afresh[name].starting_at)
    assert again == afresh


async def found(
    bus: PrivateBus, fake: FakeSystemd, links: Path, lives: dict[str, Life], units: Iterable[UnitState]
) -> dict[str, UnitState]:
    """The first that a watch tells that remembers *units*."""
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    fake.units.clear()
    for name, life in lives.items():
        fake.add(f"ctr@{name}.service", **life.properties())
        if life.kind not in ("failed", "stopped"):
            link(links, name, f"{life.run:032x}", life.run * 1000)
            fake.add(f"ctr-{name}.scope", FreezerState="frozen" if life.frozen else "running")
    async with remembering(bus, fake, links, units) as (_, told):
        units_told: dict[str, UnitState] = told.of("rebuilt")[0][0]
        return units_told
