"""A message bus of one's own, and a service on it that speaks as systemd does; a test module takes the fixtures
with ``anyio_backend, message_bus, systemd = buskit.FIXTURES``.

Owns the dbus-daemon's process, the fake, and a sink for what a watch tells (`Told`); makes no claims itself. The fake
is a client of a real bus: its messages take the way that systemd's take, and nothing of ours is patched.

``message_bus``   a `PrivateBus` for this test alone.
``systemd``       a function: ``async with systemd() as fake:`` is a `FakeSystemd` on that bus.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from dbus_next import Message, MessageType, Variant
from dbus_next.aio import MessageBus
from dbus_next.constants import NameFlag, RequestNameReply

from supervisor.lifecycle.observation import UnitState

PATH, NAME = "/org/freedesktop/systemd1", "org.freedesktop.systemd1"
MANAGER, UNIT, SERVICE, SCOPE, JOB = (f"{NAME}.{kind}" for kind in ("Manager", "Unit", "Service", "Scope", "Job"))
PROPERTIES = "org.freedesktop.DBus.Properties"
SECONDS = 60.0

_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon that listens below *directory*."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "bus"
        self._configuration = directory / "bus.conf"
        self._configuration.write_text(_CONFIGURATION.format(socket=self._socket))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"unix:path={self._socket}"

    def start(self) -> None:
        """Return when it listens."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout and self._process.stdout.readline()

    def stop(self) -> None:
        """As a crash would."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def halt(self) -> None:
        """It is there, and does nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `halt`."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)


class FakeSystemd:
    """Units with properties, a list of them, jobs; signals are sent by the test.

    *calls*: members called so far. *before*: called with a message before it is answered. *silent*: members that are
    never answered. *pending*, *most_pending*: calls that wait for their answer.
    """

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.units: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.silent: set[str] = set()
        self.before: Callable[[Message], None] = lambda message: None
        self.hold = False
        self.held: list[Message] = []
        self.job_types: dict[str, str] = {}
        bus.add_message_handler(self._handle)

    def add(self, unit: str, **properties: Any) -> None:
        """Load *unit*; what is not said of its properties is as of a container's that runs."""
        self.units[unit] = defaults() | properties

    def pair(self, unit: str, **properties: Any) -> None:
        """Change *unit* and tell it as systemd does: the service's (or scope's) interface, then the unit's."""
        self.units.setdefault(unit, defaults()).update(properties)
        self.half(unit, SCOPE if unit.endswith(".scope") else SERVICE)
        self.half(unit, UNIT)

    def half(self, unit: str, interface: str, leave_out: Iterable[str] = ()) -> None:
        """One of the two messages."""
        kinds = SERVICE_SIGNATURES if interface == SERVICE else {} if interface == SCOPE else UNIT_SIGNATURES
        changed = {k: Variant(s, self.units[unit][k]) for k, s in kinds.items() if k not in leave_out}
        body = [interface, changed, ["ExecStart"]]
        self.bus.send(Message.new_signal(path_of(unit), PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    def emit(self, member: str, signature: str, *body: object) -> Awaitable[None]:
        """A signal of the manager; to be awaited where there are many, which would fill the socket."""
        sent: Awaitable[None] = self.bus.send(Message.new_signal(PATH, MANAGER, member, signature, list(body)))
        return sent

    def release(self) -> None:
        """Answer what was held."""
        self.hold = False
        for message in self.held:
            self.bus.send(self._answer(message))
        self.held.clear()

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.calls.append(message.member)
        self.before(message)
        if message.member in self.silent:
            return True
        if self.hold:
            self.held.append(message)
            return True
        return self._answer(message)

    def _answer(self, message: Message) -> Message:
        if message.member == "ListUnitsByPatterns":
            return Message.new_method_return(message, "a(ssssssouso)", [[self._row(unit) for unit in self.units]])
        if message.member == "Get":
            if message.path in self.job_types:
                return Message.new_method_return(message, "v", [Variant("s", self.job_types[message.path])])
            unit = next((unit for unit in self.units if path_of(unit) == message.path), "")
            if not unit:
                return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "no such object")
            key = message.body[1]
            return Message.new_method_return(message, "v", [Variant(SIGNATURES[key], self.units[unit][key])])
        if message.member in ("StartUnit", "StopUnit", "RestartUnit"):
            if message.body[0] not in self.units:
                return Message.new_error(message, f"{NAME}.NoSuchUnit", f"Unit {message.body[0]} not found.")
            if message.body[1] == "fail":
                return Message.new_error(message, f"{NAME}.TransactionIsDestructive", "Transaction is destructive.")
            return Message.new_method_return(message, "o", [f"{PATH}/job/7"])
        return Message.new_method_return(message)

    def _row(self, unit: str) -> list[Any]:
        of = self.units[unit]
        job, path = of["Job"]
        kind = self.job_types.get(path, "")
        return [unit, "", "loaded", of["ActiveState"], of["SubState"], "", path_of(unit), job, kind, path]


class Told:
    """A `Sink` of supervisor.systemd.watch that keeps what it is told, in order: (method, arguments…)."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self._more = anyio.Event()

    def _note(self, *what: Any) -> None:
        self.all.append(what)
        self._more.set()
        self._more = anyio.Event()

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        self._note("rebuilt", dict(units), dict(health))

    def changed(self, unit: UnitState) -> None:
        self._note("changed", unit)

    def scope(self, name: str, active: bool, at: int) -> None:
        self._note("scope", name, active, at)

    def health(self, name: str, health: str) -> None:
        self._note("health", name, health)

    def job_ended(self, id: int, unit: str, result: str) -> None:
        self._note("job_ended", id, unit, result)

    def lost(self, reason: str) -> None:
        self._note("lost", reason)

    def of(self, what: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of one method."""
        return [told[1:] for told in self.all if told[0] == what]

    async def until(self, what: str, count: int = 1) -> tuple[Any, ...]:
        """Wait until *what* was told *count* times; the arguments of that time."""
        with anyio.fail_after(SECONDS):
            while len(self.of(what)) < count:
                await self._more.wait()
        return self.of(what)[count - 1]


SERVICE_SIGNATURES = {
    "MainPID": "u",
    "ExecMainPID": "u",
    "ExecMainCode": "i",
    "ExecMainStatus": "i",
    "ExecMainExitTimestamp": "t",
    "Result": "s",
    "NRestarts": "u",
}
UNIT_SIGNATURES = {
    "ActiveState": "s",
    "SubState": "s",
    "InvocationID": "ay",
    "Job": "(uo)",
    "StateChangeTimestamp": "t",
    "InactiveExitTimestamp": "t",
    "ActiveEnterTimestamp": "t",
    "InactiveEnterTimestamp": "t",
    "FreezerState": "s",
}
DEPENDENCY_SIGNATURES = dict.fromkeys(("Requires", "BindsTo", "Requisite", "Wants", "Upholds", "PartOf", "After"), "as")
SIGNATURES = SERVICE_SIGNATURES | UNIT_SIGNATURES | DEPENDENCY_SIGNATURES


def defaults() -> dict[str, Any]:
    """The properties of a container's unit that runs."""
    return {
        "MainPID": 100,
        "ExecMainPID": 100,
        "ExecMainCode": 0,
        "ExecMainStatus": 0,
        "ExecMainExitTimestamp": 0,
        "Result": "success",
        "NRestarts": 0,
        "ActiveState": "active",
        "SubState": "running",
        "InvocationID": bytes.fromhex("aa" * 16),
        "Job": [0, "/"],
        "StateChangeTimestamp": 2000,
        "InactiveExitTimestamp": 1000,
        "ActiveEnterTimestamp": 2000,
        "InactiveEnterTimestamp": 0,
        "FreezerState": "running",
        **{key: [] for key in DEPENDENCY_SIGNATURES},
    }


def path_of(unit: str) -> str:
    """The object path (sd_bus_path_encode(3)); names in these tests begin with a letter."""
    return f"{PATH}/unit/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in unit)


@asynccontextmanager
async def client(address: str) -> AsyncIterator[MessageBus]:
    """Any client of the bus."""
    bus = await MessageBus(bus_address=address).connect()
    try:
        yield bus
    finally:
        bus.disconnect()
        with anyio.CancelScope(shield=True):
            with suppress(EOFError, OSError):  # the bus may have been first
                await bus.wait_for_disconnect()
        # dbus-next leaves its descriptor to the collector.
        bus._loop.remove_writer(bus._fd)
        with suppress(OSError):
            bus._stream.close()
        bus._sock.close()


@asynccontextmanager
async def fake_systemd(address: str) -> AsyncIterator[FakeSystemd]:
    """A `FakeSystemd` that has systemd's name."""
    async with client(address) as bus:
        fake = FakeSystemd(bus)
        while await bus.request_name(NAME, NameFlag.DO_NOT_QUEUE) is not RequestNameReply.PRIMARY_OWNER:
            await anyio.sleep(0.01)  # the bus has not seen that the one before has gone
        yield fake


@pytest.fixture
def message_bus(tmp_path: Path) -> Iterator[PrivateBus]:
    """See the module."""
    private = PrivateBus(tmp_path)
    private.start()
    yield private
    private.stop()


@pytest.fixture
def systemd(message_bus: PrivateBus) -> Callable[[], AbstractAsyncContextManager[FakeSystemd]]:
    """See the module."""
    return partial(fake_systemd, message_bus.address)


@pytest.fixture
def anyio_backend() -> str:
    """dbus-next needs asyncio."""
    return "asyncio"


FIXTURES = (anyio_backend, message_bus, systemd)
