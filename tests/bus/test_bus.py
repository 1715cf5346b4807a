"""supervisor.systemd.bus on a private message bus: what dbus-next leaves open."""

from __future__ import annotations

import configparser
import gc
import os
import resource
import socket
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import buskit
import pytest
from buskit import FakeSystemd, PrivateBus
from dbus_next import Message, Variant

from supervisor.systemd.bus import BACKLOG, WINDOW, Connection, connected
from supervisor.systemd.sdbus import BusError, BusLostError

anyio_backend, message_bus, systemd = buskit.FIXTURES
pytestmark = pytest.mark.anyio

Systemd = Callable[[], AbstractAsyncContextManager[FakeSystemd]]


async def call(connection: Connection, member: str = "Subscribe", *arguments: str, timeout: float = 0.0) -> None:
    """A call to the fake."""
    signature = "s" * len(arguments)
    await connection.call(
        buskit.NAME, buskit.PATH, buskit.MANAGER, member, signature, *arguments, timeout=timeout
    )


async def test_calls_wait_their_turn(message_bus: PrivateBus, systemd: Systemd) -> None:
    """No more than the window is ever unanswered."""
    async with systemd() as fake, connected(message_bus.address) as connection:
        fake.hold = True
        async with anyio.create_task_group() as tasks:
            for _ in range(3 * WINDOW):
                tasks.start_soon(call, connection)
            with anyio.fail_after(buskit.SECONDS):
                while len(fake.held) < WINDOW:
                    await anyio.sleep(0.01)
            assert len(fake.held) == WINDOW
            fake.release()
        assert fake.calls.count("Subscribe") == 3 * WINDOW


async def test_a_full_socket_is_waited_for(message_bus: PrivateBus, systemd: Systemd) -> None:
    """More is written than a halted bus takes; when it goes on, every call is answered."""
    async with systemd() as fake, connected(message_bus.address) as connection:
        message_bus.halt()
        async with anyio.create_task_group() as tasks:
            for _ in range(WINDOW):
                tasks.start_soon(call, connection, "Subscribe", "x" * 100_000)
            await anyio.sleep(0.2)  # the socket is full long before; nothing breaks if it is not
            message_bus.resume()
        assert fake.calls.count("Subscribe") == WINDOW


async def test_a_lost_connection_ends_calls(message_bus: PrivateBus, systemd: Systemd) -> None:
    """A call under way, a wait for signals and a later call all end with BusLostError when the bus dies."""
    ended: list[str] = []

    async def note(what: str, work: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(BusLostError, match="connection lost"):
            await work()
        ended.append(what)

    async with connected(message_bus.address) as connection, anyio.create_task_group() as others:

        async def peer() -> None:
            async with systemd() as fake:
                fake.silent.add("Subscribe")
                ready.set()
                await anyio.sleep_forever()

        async def signals() -> None:
            while True:  # the bus itself may have some for a new connection
                await connection.wait()
                while connection.take():
                    pass

        ready = anyio.Event()
        others.start_soon(peer)
        await ready.wait()
        with anyio.fail_after(buskit.SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(note, "call", lambda: call(connection))
                tasks.start_soon(note, "wait", signals)
                await anyio.wait_all_tasks_blocked()
                message_bus.stop()
            await note("later", lambda: call(connection))
        others.cancel_scope.cancel()
    assert set(ended) == {"call", "wait", "later"}


async def test_silence_is_an_error_reply(message_bus: PrivateBus, systemd: Systemd) -> None:
    """A call that is not answered in time fails as NoReply, and the connection goes on."""
    async with systemd() as fake, connected(message_bus.address) as connection:
        fake.silent.add("Subscribe")
        with pytest.raises(BusError) as failure:
            await call(connection, timeout=0.2)
        assert failure.value.name == "org.freedesktop.DBus.Error.NoReply"
        await call(connection, "Other")


async def test_a_peer_that_hangs_up_while_we_authenticate(tmp_path: Path) -> None:
    """It is an error, and no endless loop."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "bus"))
    server.listen()

    def hang_up() -> None:
        peer, _ = server.accept()
        peer.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        with anyio.fail_after(buskit.SECONDS), pytest.raises(BusLostError, match="connecting"):
            async with connected(f"unix:path={tmp_path}/bus"):
                pass
    finally:
        thread.join()
        server.close()


async def test_no_descriptors_left(message_bus: PrivateBus) -> None:
    """Without a free descriptor connecting fails as a lost connection does; with one it works; none is kept."""
    async with connected(message_bus.address):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        async with connected(message_bus.address):
            assert len(os.listdir("/proc/self/fd")) > before
    assert len(os.listdir("/proc/self/fd")) == before
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open("/dev/null", os.O_RDONLY)]  # so that the highest number in use is ours to know
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), limits[1]))
        while True:
            try:
                spare.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(BusLostError, match="Too many open files"):
            async with connected(message_bus.address):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in spare:
            os.close(fd)
    async with connected(message_bus.address):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


async def test_unwanted_signals_are_not_decoded(message_bus: PrivateBus, systemd: Systemd) -> None:
    """What the filter refuses does not arrive, and what comes after it does, in order."""
    async with systemd() as fake, connected(message_bus.address, lambda raw: b"ctr@" in raw) as connection:
        await connection.match(f"type='signal',interface='{buskit.MANAGER}'")
        for number in range(500):
            unit = f"ctr@{number}.service" if number % 100 == 0 else f"other-{number}.service"
            await fake.emit("UnitRemoved", "so", unit, "/x")
        await call(connection)
        found = []
        while message := connection.take():
            found.append(message.body[0])
        assert found == [f"ctr@{number}.service" for number in range(0, 500, 100)]


async def test_who_falls_behind_asks_anew(message_bus: PrivateBus, systemd: Systemd) -> None:
    """More signals than may wait are dropped, and that is said; what comes afterwards waits as before."""
    async with systemd() as fake, connected(message_bus.address) as connection:
        await connection.match(f"type='signal',interface='{buskit.MANAGER}'")
        while connection.take():  # the bus itself may have one for a new connection
            pass
        for number in range(BACKLOG + 100):
            await fake.emit("UnitRemoved", "so", str(number), "/x")
        await call(connection)
        assert connection.overrun
        found = []
        while message := connection.take():
            found.append(message.body[0])
        assert found == [str(number) for number in range(BACKLOG, BACKLOG + 100)]


async def test_what_waits_at_most_stays_below_the_memory_limit(message_bus: PrivateBus, systemd: Systemd) -> None:
    """As many changes of a unit (30 properties each) as may wait take at most half of the service's MemoryHigh=."""
    changed = {f"ExecMainStartTimestamp{number}": Variant("t", number << 40) for number in range(30)}
    body, count = [buskit.SERVICE, changed, []], 200
    async with systemd() as fake, connected(message_bus.address, lambda raw: b"Exec" in raw) as connection:
        await connection.match(f"type='signal',interface='{buskit.PROPERTIES}'")
        tracemalloc.start()
        try:
            for _ in range(count):
                await fake.bus.send(Message.new_signal("/x", buskit.PROPERTIES, "PropertiesChanged", "sa{sv}as", body))
            await call(connection)
            gc.collect()  # of the sender, who is in this process too
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sum(1 for _ in iter(connection.take, None)) == count
    unit = configparser.RawConfigParser(strict=False)
    unit.read(Path(__file__).resolve().parents[2] / "units" / "ctr-supervisor.service")
    assert used / count * BACKLOG < int(unit["Service"]["MemoryHigh"].removesuffix("M")) << 19
