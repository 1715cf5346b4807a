"""A hostile client of io.ctr.Supervisor1: others are served, and nothing grows. Its messages are written as bytes: no
client library would send them."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from buskit import PrivateBus
from clientkit import CONTAINER, NAME, ROOT, connected, until

from supervisor.api import wire
from supervisor.api.objects import container_path

pytestmark = pytest.mark.anyio
CHECKOUT = Path(__file__).resolve().parents[2]
CONTAINERS = 300
#: A service in a process of its own, whose memory can be looked at.
SERVICE = """
import sys, anyio
from supervisor.api.service import Api
from supervisor.lifecycle.model import Container

class Systemd:
    async def start(self, name: str) -> str:
        await anyio.sleep(0.1)
        return "/org/freedesktop/systemd1/job/1"

    stop = restart = start

async def main() -> None:
    api = Api(Systemd(), dict, sys.argv[1], say=lambda line: print(line, flush=True))
    for number in range(int(sys.argv[2])):
        api.show(Container(f"web-{number}"))
    await api.run()

anyio.run(main)
"""


class Hostile:
    """A connection that does as it likes."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(address.removeprefix("unix:path="))
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        self.socket.recv(1000)
        self.socket.sendall(b"BEGIN\r\n")
        bus = "org.freedesktop.DBus"
        self.socket.sendall(
            wire.message(wire.CALL, 1, destination=bus, path="/org/freedesktop/DBus", interface=bus, member="Hello")
        )
        self.socket.recv(1000)
        self.socket.setblocking(False)
        self.serial = 1

    def call(self, interface: str, member: str, signature: str = "", body: bytes = b"", flags: int = 0) -> bytes:
        """A call of the root object."""
        self.serial += 1
        return wire.message(
            wire.CALL,
            self.serial,
            destination=NAME,
            path=ROOT,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
            flags=flags,
        )

    def push(self, data: bytes) -> bool:
        """Send what the socket takes; whether it took all."""
        try:
            return self.socket.send(data) == len(data)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[PrivateBus]:
    """Its own for each: it remembers what a client has left unread."""
    private = PrivateBus(tmp_path)
    private.start()
    yield private
    private.stop()


@pytest.fixture
def hostile_client(bus: PrivateBus) -> Iterator[Callable[[], Hostile]]:
    """Makes connections, which end with the test."""
    with ExitStack() as sockets:

        def connect() -> Hostile:
            made = Hostile(bus.address)
            sockets.callback(made.socket.close)
            return made

        yield connect


@pytest.fixture
def service(bus: PrivateBus) -> Iterator[subprocess.Popen[str]]:
    """The API with some containers, ready."""
    command = [sys.executable, "-c", SERVICE, bus.address, str(CONTAINERS)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == f"{NAME}: ready\n"
        yield process
        process.kill()


def resident(process: subprocess.Popen[str]) -> int:
    """Megabytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") >> 20


@asynccontextmanager
async def unharmed(bus: PrivateBus, service: subprocess.Popen[str], growth: int = 24) -> AsyncIterator[None]:
    """Whatever happens inside, the service then answers others on the same connection, and has grown by few MB."""
    before = resident(service)
    async with connected(bus.address) as client:
        owner = "org.freedesktop.DBus"
        (name,) = await client.call("/org/freedesktop/DBus", owner, "GetNameOwner", "s", NAME, destination=owner)
        yield
        assert await client.get(container_path("web-7"), CONTAINER, "Name") == "web-7"
        assert [name] == await client.call("/org/freedesktop/DBus", owner, "GetNameOwner", "s", NAME, destination=owner)
    assert service.poll() is None
    assert resident(service) - before <= growth


OBJECTS = ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
PING = ("org.freedesktop.DBus.Peer", "Ping")


@pytest.mark.parametrize("flags", [0, wire.NO_REPLY])
@pytest.mark.parametrize("call", [PING, OBJECTS, (NAME, "Start")], ids=["Ping", "GetManagedObjects", "Start"])
async def test_calls_without_end_whose_answers_nobody_reads(
    bus: PrivateBus,
    service: subprocess.Popen[str],
    hostile_client: Callable[[], Hostile],
    call: tuple[str, str],
    flags: int,
) -> None:
    """20,000 of them, or as many as the bus takes."""
    hostile = hostile_client()
    body = wire.marshal("s", "web-1") if call[1] == "Start" else b""
    async with unharmed(bus, service):
        for _ in range(200):
            block = b"".join(hostile.call(*call, "s" if body else "", body, flags) for _ in range(100))
            if not hostile.push(block):
                break
            await anyio.sleep(0)


async def test_a_crowd_that_asks_for_everything(
    bus: PrivateBus, service: subprocess.Popen[str], hostile_client: Callable[[], Hostile]
) -> None:
    """60 MB of answers are not made before the bus takes them."""
    async with unharmed(bus, service):
        for _ in range(12):
            hostile = hostile_client()
            hostile.push(b"".join(hostile.call(*OBJECTS) for _ in range(25)))


async def test_long_messages_are_not_read(
    bus: PrivateBus, service: subprocess.Popen[str], hostile_client: Callable[[], Hostile]
) -> None:
    """A million empty strings would be 60 MB of Python objects; the answer is an error."""
    hostile = hostile_client()
    hostile.socket.setblocking(True)
    async with unharmed(bus, service, growth=4):
        long = hostile.call(*PING, "as", wire.marshal("as", [""] * 1_000_000))
        for _ in range(3):
            await anyio.to_thread.run_sync(hostile.socket.sendall, long)
        framer = wire.Framer()
        found = None
        while found is None or not found.reply_to:
            framer.feed(await anyio.to_thread.run_sync(hostile.socket.recv, 65536))
            found = framer.next() or found
        assert found.error == "io.ctr.Error.LimitsExceeded"


async def test_a_crowd_with_messages_cut_short(
    bus: PrivateBus, service: subprocess.Popen[str], hostile_client: Callable[[], Hostile]
) -> None:
    """200 connections that each send half a message and then nothing; the other half never comes."""
    async with unharmed(bus, service, growth=4):
        for _ in range(200):
            hostile = hostile_client()
            hostile.push(hostile.call(*PING, "s", wire.marshal("s", "x" * 1000))[:500])


async def test_what_the_specification_leaves_for_later(
    bus: PrivateBus, service: subprocess.Popen[str], hostile_client: Callable[[], Hostile]
) -> None:
    """Unknown flags, header fields and message types, and signatures that were never seen before, harm nobody."""
    hostile = hostile_client()
    async with unharmed(bus, service, growth=4):
        ping = hostile.call(*PING)
        hostile.push(ping[:2] + b"\xf8" + ping[3:])
        fields = struct.unpack_from("<I", ping, 12)[0]
        head = ping[: 16 + fields] + bytes(-fields % 8) + b"\x63\x01s\0" + struct.pack("<I", 1) + b"x\0"
        head = head[:12] + struct.pack("<I", len(head) - 16) + head[16:]
        hostile.push(head + bytes(-len(head) % 8))
        stranger = hostile_client()
        stranger.push(ping[:1] + b"\x09" + ping[2:])
        for depth in range(1, 30):
            another = hostile_client()
            another.push(another.call(*PING, "a" * depth + "s", bytes(4)))


async def test_everybody_gets_a_turn(
    bus: PrivateBus, service: subprocess.Popen[str], hostile_client: Callable[[], Hostile]
) -> None:
    """Another client is answered while a flood goes on."""
    hostile, answered = hostile_client(), 0

    async def flood() -> None:
        while True:
            hostile.push(b"".join(hostile.call(*PING) for _ in range(50)))
            with suppress(BlockingIOError):
                while hostile.socket.recv(1 << 16):
                    pass
            await anyio.sleep(0.001)

    async with unharmed(bus, service), connected(bus.address) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(flood)
        while answered < 100:
            await client.call(ROOT, *PING)
            answered += 1
        tasks.cancel_scope.cancel()
    await until(lambda: answered == 100)
