"""supervisor.systemd.watch on a private message bus."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import buskit
import pytest
from buskit import SERVICE, UNIT, FakeSystemd, PrivateBus, Told
from dbus_next import Message, Variant
from dbus_next.aio import MessageBus

from supervisor.errors import HostError, NotFoundError
from supervisor.lifecycle.observation import UnitState
from supervisor.systemd.watch import Watch

anyio_backend, message_bus, systemd = buskit.FIXTURES
pytestmark = pytest.mark.anyio

Systemd = Callable[[], AbstractAsyncContextManager[FakeSystemd]]
NEW = bytes.fromhex("bb" * 16)
EXITED = {
    "ActiveState": "failed",
    "SubState": "failed",
    "MainPID": 0,
    "ExecMainCode": 2,
    "ExecMainStatus": 9,
    "ExecMainExitTimestamp": 5000,
    "Result": "signal",
    "StateChangeTimestamp": 5000,
}


@asynccontextmanager
async def watching(
    bus: PrivateBus, directory: Path, timeout: float = 20.0, thawed: Callable[[], Collection[str]] = tuple
) -> AsyncIterator[tuple[Watch, Told]]:
    """A watch that has told everything once."""
    told = Told()
    watch = Watch(told, bus.address, str(directory), timeout, thawed)
    async with anyio.create_task_group() as tasks:
        await tasks.start(watch.run)
        yield watch, told
        tasks.cancel_scope.cancel()


async def names(client: MessageBus) -> list[str]:
    """The unique names on the bus."""
    reply = await client.call(Message("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames"))
    return [name for name in reply.body[0] if name.startswith(":")]


async def test_everything_is_told_after_connecting(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """One rebuilt() has every container's state, health and freezer, and no unit that is not a container's."""
    os.symlink("cc" * 16, tmp_path / "invocation:ctr@up.service")
    async with systemd() as fake:
        fake.add("ctr@up.service", Job=[7, f"{buskit.PATH}/job/7"])
        fake.job_types[f"{buskit.PATH}/job/7"] = "restart"
        fake.add("ctr-up.scope", FreezerState="frozen")
        fake.add("ctr@down.service", **EXITED)
        fake.add("ctr-down.scope", ActiveState="inactive", SubState="dead")
        fake.add("ctr-healthy@up.service", ActiveState="active", SubState="exited")
        fake.add("ctr-health@up.timer")
        fake.add("ctr-health@sick.timer")
        fake.add("ctr-log.service")
        fake.add("ctr@shop.target")
        async with watching(message_bus, tmp_path) as (_, told):
            units, health = told.of("rebuilt")[0]
            assert units["up"].invocation == "cc" * 16
            assert (units["up"].job, units["up"].job_type, units["up"].frozen) == (7, "restart", True)
            assert (units["up"].main_pid, units["up"].ready_at) == (100, 0 if units["up"].starting_at > 2000 else 2000)
            down = units["down"]
            assert (down.active, down.exit_code, down.exit_status, down.exited_at) == ("failed", "killed", 9, 5000)
            assert (down.exit_pid, down.result, down.invocation) == (100, "signal", "aa" * 16)
            assert set(units) == {"up", "down"}
            assert health == {"up": "healthy", "sick": "unhealthy"}
            assert [(name, active) for name, active, _ in told.of("scope")] == [("up", True)]
            assert "AddMatch" not in fake.calls and "Subscribe" in fake.calls


async def test_two_messages_are_one_state(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """The Service message waits for its Unit message, also when another container's lies between them."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        fake.add("ctr@b.service")
        async with watching(message_bus, tmp_path) as (_, told):
            fake.units["ctr@a.service"].update(EXITED)
            fake.half("ctr@a.service", SERVICE)
            fake.pair("ctr@b.service", **EXITED, ExecMainPID=200)
            assert (await told.until("changed"))[0].name == "b"
            fake.half("ctr@a.service", UNIT)
            state = (await told.until("changed", 2))[0]
            assert (state.name, state.active, state.exit_code, state.exit_pid) == ("a", "failed", "killed", 100)
            fake.pair("ctr@a.service")  # the same once more is no change
            fake.pair("ctr@b.service", NRestarts=1)
            assert (await told.until("changed", 3))[0].name == "b"


async def test_a_run_that_begins_is_not_over(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """While systemd forks a run's first process, its pair of messages has the new invocation in the old state: it is
    left out, and the run's beginning is that of the state that follows, not of the wait before it."""
    waiting = {"ActiveState": "activating", "SubState": "auto-restart-queued"}
    async with systemd() as fake:
        fake.add("ctr@a.service", **EXITED)
        async with watching(message_bus, tmp_path) as (_, told):
            fake.pair("ctr@a.service", **waiting, StateChangeTimestamp=6000, InactiveExitTimestamp=5500)
            assert (await told.until("changed"))[0].sub == "auto-restart-queued"
            begun = {"MainPID": 300, "ExecMainPID": 300, "ExecMainCode": 0, "Result": "success", "InvocationID": NEW}
            fake.pair("ctr@a.service", **begun)
            fake.pair("ctr@a.service", SubState="start", StateChangeTimestamp=7000)
            state = (await told.until("changed", 2))[0]
            assert (state.sub, state.invocation, state.exit_code) == ("start", NEW.hex(), "")
            assert (state.starting_at, state.ready_at) == (7000, 0)
            fake.pair(
                "ctr@a.service",
                ActiveState="active",
                SubState="running",
                StateChangeTimestamp=8000,
                ActiveEnterTimestamp=8000,
            )
            state = (await told.until("changed", 3))[0]
            assert (state.starting_at, state.ready_at) == (7000, 8000)


async def test_signals_while_everything_is_fetched(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """What a signal says while the units are fetched is what rebuilt() tells, and nothing older is told after it; a
    job that ended meanwhile is told after it."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        fake.add("ctr@b.service")

        def interfere(message: Message) -> None:
            if message.member == "Get" and fake.calls.count("Get") == 1:
                fake.pair("ctr@a.service", **EXITED)
                fake.emit("JobRemoved", "uoss", 9, f"{buskit.PATH}/job/9", "ctr@a.service", "done")
                fake.units["ctr@a.service"].update(buskit.defaults())  # what Get will answer is not what was told

        fake.before = interfere
        async with watching(message_bus, tmp_path) as (_, told):
            units, _ = told.of("rebuilt")[0]
            assert units["a"].active == "failed" and units["b"].active == "active"
            assert (await told.until("job_ended")) == (9, "ctr@a.service", "done")
            fake.pair("ctr@b.service", NRestarts=1)
            assert (await told.until("changed"))[0].name == "b"
            assert [told[0] for told in told.all] == ["rebuilt", "job_ended", "changed"]


async def test_the_type_of_a_job_is_asked_for(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """JobNew does not tell it; the state that follows has it, and when the job has ended it is told."""
    job = f"{buskit.PATH}/job/5"
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (_, told):
            fake.job_types[job] = "stop"
            fake.pair("ctr@a.service", Job=[5, job])
            fake.emit("JobNew", "uos", 5, job, "ctr@a.service")
            assert (await told.until("changed"))[0].job == 5
            assert (await told.until("changed", 2))[0].job_type == "stop"
            fake.emit("JobRemoved", "uoss", 5, job, "ctr@a.service", "done")
            fake.emit("JobRemoved", "uoss", 6, f"{buskit.PATH}/job/6", "other.service", "done")
            fake.pair("ctr@a.service", Job=[0, "/"])
            state = (await told.until("changed", 3))[0]
            assert (state.job, state.job_type) == (0, "")
            assert told.of("job_ended") == [(5, "ctr@a.service", "done")]


async def test_a_pause_that_is_over(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """systemd's word that a scope is frozen is not believed when the kernel says by then that it is not."""
    awake = {"a"}
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path, thawed=lambda: awake) as (_, told):
            fake.pair("ctr-a.scope", FreezerState="frozen")
            fake.pair("ctr-a.scope", FreezerState="running")
            fake.pair("ctr@a.service", NRestarts=3)
            assert not (await told.until("changed"))[0].frozen
            awake.clear()
            fake.pair("ctr-a.scope", FreezerState="frozen")
            assert (await told.until("changed", 2))[0].frozen


async def test_scope_freezer_and_health(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """The scope's coming, freezing and going, and the health that two other units make, are told as they change."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (_, told):
            fake.pair("ctr-a.scope", ActiveEnterTimestamp=4000)
            fake.pair("ctr-a.scope", FreezerState="frozen")
            assert (await told.until("changed"))[0].frozen
            fake.pair("ctr@a.service", NRestarts=3)
            assert (await told.until("changed", 2))[0].frozen
            fake.pair("ctr-a.scope", ActiveState="inactive", InactiveEnterTimestamp=6000)
            assert not (await told.until("changed", 3))[0].frozen
            assert told.of("scope") == [("a", True, 4000), ("a", False, 6000)]
            job = [4, f"{buskit.PATH}/job/4"]
            fake.pair("ctr-healthy@a.service", ActiveState="activating", Job=job)
            fake.pair("ctr-healthy@a.service", ActiveState="active", Job=[0, "/"])
            fake.pair("ctr-health@a.timer", ActiveState="active")
            fake.pair("ctr-healthy@a.service", ActiveState="inactive")
            fake.pair("ctr-health@a.timer", ActiveState="inactive")
            await told.until("health", 4)
            assert [health for _, health in told.of("health")] == ["starting", "healthy", "unhealthy", ""]


async def test_only_systemd_is_believed(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """A signal that another client sends in systemd's words is not told."""
    async with systemd() as fake, buskit.client(message_bus.address) as stranger:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (_, told):
            forger = FakeSystemd(stranger)
            forger.add("ctr@a.service", **EXITED)
            others = {stranger.unique_name, fake.bus.unique_name}
            us = next(name for name in await names(stranger) if name not in others)
            for interface in (SERVICE, UNIT):
                kinds = buskit.SERVICE_SIGNATURES if interface == SERVICE else buskit.UNIT_SIGNATURES
                changed = {key: Variant(kind, forger.units["ctr@a.service"][key]) for key, kind in kinds.items()}
                message = Message.new_signal(
                    buskit.path_of("ctr@a.service"),
                    buskit.PROPERTIES,
                    "PropertiesChanged",
                    "sa{sv}as",
                    [interface, changed, []],
                )
                message.destination = us
                await stranger.send(message)
            forged = Message.new_signal(
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss", [buskit.NAME, ":1.1", ""]
            )
            forged.destination = us
            await stranger.send(forged)
            await stranger.introspect("org.freedesktop.DBus", "/org/freedesktop/DBus")  # the bus has passed them on
            fake.pair("ctr@a.service", NRestarts=1)
            assert (await told.until("changed"))[0].active == "active"
            assert not told.of("lost")


async def test_what_is_left_out_is_fetched(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """A pair of messages without a property that matters has the container's state fetched."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (_, told):
            fake.units["ctr@a.service"].update(EXITED)
            fake.half("ctr@a.service", SERVICE, leave_out=["ExecMainStatus"])
            fake.half("ctr@a.service", UNIT)
            assert (await told.until("changed"))[0].exit_status == 9


async def test_reload(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """Units that a daemon-reload forgets and loads again are not taken for gone; everything is told after it."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (_, told):
            fake.emit("Reloading", "b", True)
            fake.emit("UnitRemoved", "so", "ctr@a.service", buskit.path_of("ctr@a.service"))
            fake.add("ctr@b.service")
            fake.emit("Reloading", "b", False)
            units, _ = await told.until("rebuilt", 2)
            assert set(units) == {"a", "b"}
            assert not told.of("changed") and not told.of("lost")
            fake.emit("UnitRemoved", "so", "ctr@a.service", buskit.path_of("ctr@a.service"))
            assert (await told.until("changed"))[0] == UnitState("a")


async def test_refresh(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """refresh() returns after everything was told anew."""
    async with systemd() as fake, watching(message_bus, tmp_path) as (watch, told):
        fake.add("ctr@a.service")
        await watch.refresh()
        assert set(told.of("rebuilt")[1][0]) == {"a"}


async def test_systemd_executes_itself_anew(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """When systemd's name has gone and come again, that is told once, and everything is asked for and told anew."""
    async with systemd() as old:
        old.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (watch, told):
            await old.bus.release_name(buskit.NAME)
            await told.until("lost")
            async with systemd() as new:
                new.add("ctr@b.service")
                assert set((await told.until("rebuilt", 2))[0]) == {"b"}
                assert "Subscribe" in new.calls
                assert len(told.of("lost")) == 1 and watch.reconnects >= 1
                new.pair("ctr@b.service", NRestarts=1)
                await told.until("changed")


async def test_the_bus_is_restarted(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """A bus that is killed and comes back: said once, everything told again, calls in between refused with words."""
    async with anyio.create_task_group() as tasks:
        ready = anyio.Event()

        async def first() -> None:
            async with systemd() as fake:
                fake.add("ctr@a.service")
                ready.set()
                await anyio.sleep_forever()

        tasks.start_soon(first)
        await ready.wait()
        async with watching(message_bus, tmp_path) as (watch, told):
            message_bus.stop()
            await told.until("lost")
            with pytest.raises(HostError, match=r"ctr@a.service: start: "):
                await watch.start("ctr@a.service")
            message_bus.start()
            async with systemd() as fake:
                fake.add("ctr@b.service")
                assert set((await told.until("rebuilt", 2))[0]) == {"b"}
                assert len(told.of("lost")) == 1
        tasks.cancel_scope.cancel()


async def test_systemd_never_answers(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """Silence is an end too: the connection is given up, and the next one finds a systemd that answers."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path, timeout=2.0) as (watch, told):
            fake.silent.add("Get")
            with anyio.fail_after(buskit.SECONDS):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(watch.refresh)
                    assert "no answer" in (await told.until("lost"))[0]
                    fake.silent.clear()
            await told.until("rebuilt", 2)


async def test_the_bus_never_answers(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """A halted bus accepts connections and says nothing: nothing waits for it longer than the timeout."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path, timeout=2.0) as (watch, told):
            message_bus.halt()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.refresh)
                await told.until("lost")
                with anyio.fail_after(buskit.SECONDS):
                    while watch.reconnects < 2:
                        await anyio.sleep(0.01)
                message_bus.resume()
            assert len(told.of("lost")) == 1


async def test_jobs(message_bus: PrivateBus, systemd: Systemd, tmp_path: Path) -> None:
    """start, stop and restart return the job; a unit that is not there is NotFoundError, another refusal HostError."""
    async with systemd() as fake:
        fake.add("ctr@a.service")
        async with watching(message_bus, tmp_path) as (watch, _):
            for verb in (watch.start, watch.stop, watch.restart):
                assert await verb("ctr@a.service") == f"{buskit.PATH}/job/7"
            assert fake.calls[-3:] == ["StartUnit", "StopUnit", "RestartUnit"] and watch.jobs == 3
            with pytest.raises(NotFoundError, match=r"ctr@b.service: Unit ctr@b.service not found"):
                await watch.start("ctr@b.service")
            with pytest.raises(HostError, match=r"ctr@a.service: start: Transaction is destructive"):
                await watch.start("ctr@a.service", "fail")
