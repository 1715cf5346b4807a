"""systemd's live state of every container, over one connection to the system bus.

Owns the connection: it is made again for ever, and after each time everything is listed, and fetched as far as it may
have changed. Tells a `Sink` what did, and forwards start, stop and restart. Decides nothing. What the signals mean is
`supervisor.systemd.signals`, how a state is fetched is `supervisor.systemd.census`.

Signals that come while everything is fetched wait in the connection. Each carries a container's whole state, and for
every later change there is a later one: so where one came, it is believed and what was fetched is not.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

import anyio
import anyio.abc
import anyio.lowlevel
from dbus_next.message import Message

from supervisor.errors import HostError, NotFoundError
from supervisor.lifecycle.observation import UnitState
from supervisor.systemd import signals
from supervisor.systemd.bus import TIMEOUT_SECONDS, Connection, connected
from supervisor.systemd.census import INVOCATIONS, SYSTEMD, Census, confirmed, state_of, take_census
from supervisor.systemd.sdbus import BusError, BusLostError
from supervisor.systemd.signals import Known

_PATH, _MANAGER = "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_VERBS = {"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit"}
#: PropertiesChanged for all units in one rule: one for each container would exceed the 512 that a bus allows.
_RULES = (
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
    f"type='signal',sender='{SYSTEMD}',interface='{_PROPERTIES}',path_namespace='{_PATH}/unit'",
    *(
        f"type='signal',sender='{SYSTEMD}',interface='{_MANAGER}',member='{member}'"
        for member in ("JobNew", "JobRemoved", "UnitRemoved", "Reloading")
    ),
)
_SOONEST_SECONDS, _LATEST_SECONDS = 0.05, 5.0
#: polkit may be asked, and be slow.
_JOB_SECONDS = 60.0
#: So many signals are told at a time, then others have their turn in the loop.
_TURN = 64
#: Between two questions that nobody waits for: a thousand of them are not to be noticed.
_CALM_SECONDS = 0.005
#: After everything was fetched, it is not fetched again for so many times as long, unless somebody asks.
_REST = 4.0


class Sink(Protocol):
    """Who is told. Called in the loop; must not block. Times: microseconds since the epoch."""

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        """Everything systemd has loaded, by container: after connecting, and after `Watch.refresh`."""

    def changed(self, unit: UnitState) -> None:
        """A container's state is another."""

    def scope(self, name: str, active: bool, at: int) -> None:
        """The container's scope is there, or no more, since *at* (0: not known)."""

    def health(self, name: str, health: str) -> None:
        """The container's health is another: 'starting', 'healthy', 'unhealthy', ''."""

    def job_ended(self, id: int, unit: str, result: str) -> None:
        """A job for one of ctr's units (``ctr…``) has ended."""

    def lost(self, reason: str) -> None:
        """Signals are missed from here on until `rebuilt`; told once."""


class Watch:
    """See the module. *address* of the bus, None: the system's. *invocations*: the directory of `census.INVOCATIONS`.
    *timeout*: seconds after which systemd, when it does not answer, counts as lost. *thawed*: see `take_census`.

    Counters: *signals* that were about containers, *reconnects*, *jobs* asked for.
    """

    def __init__(
        self,
        sink: Sink,
        address: str | None = None,
        invocations: str = INVOCATIONS,
        timeout: float = TIMEOUT_SECONDS,
        thawed: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.signals = 0
        self.reconnects = 0
        self.jobs = 0
        self._sink = sink
        self._address = address
        self._invocations = invocations
        self._timeout = timeout
        self._thawed = thawed
        self._awake: Collection[str] | None = None
        self._connection: Connection | None = None
        self._owner = ""
        self._stale = True
        self._doubted = False
        self._reloading = False
        self._rested = 0.0
        self._fresh = asyncio.Event()
        self._state = Census()
        self._service: dict[str, Mapping[str, Any]] = {}
        self._questions: deque[tuple[str, int, str]] = deque()
        self._asked = asyncio.Event()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled. *task_status* is told after the first `Sink.rebuilt`."""
        delay = 0.0
        started = lost = False
        while True:
            try:
                async with connected(self._address, signals.wanted, self._timeout) as connection:
                    await self._prepare(connection)
                    if not started:
                        task_status.started()
                    started, lost, delay = True, False, 0.0
                    reason = await self._follow(connection)
            except (BusError, BusLostError) as error:
                reason = str(error)
            finally:
                self._connection = None
            if not lost:
                self._sink.lost(reason)
            lost = True
            self.reconnects += 1
            delay = min(max(delay * 2, _SOONEST_SECONDS), _LATEST_SECONDS)
            await anyio.sleep(delay)

    def remember(self, units: Iterable[UnitState]) -> None:
        """Before `run`: *units* are what another watch has told last; of runs that still go on, they are believed."""
        self._state.units = {unit.name: Known(unit) for unit in units}

    async def refresh(self) -> None:
        """List and fetch everything again, and believe nothing; returns after `Sink.rebuilt`."""
        self._stale = self._doubted = True
        self._rested = 0.0
        if self._fresh.is_set():
            self._fresh = asyncio.Event()
        if self._connection:
            self._connection.wake()
        await self._fresh.wait()

    async def start(self, unit: str, mode: str = "replace") -> str:
        """Queue a start job and return its object path. *mode*: systemctl(1) ``--job-mode=``.

        Raises `NotFoundError` when there is no such unit, `HostError` with systemd's own words otherwise.
        """
        return await self._enqueue("start", unit, mode)

    async def stop(self, unit: str, mode: str = "replace") -> str:
        """As `start`, with a stop job."""
        return await self._enqueue("stop", unit, mode)

    async def restart(self, unit: str, mode: str = "replace") -> str:
        """As `start`, with a restart job."""
        return await self._enqueue("restart", unit, mode)

    async def _enqueue(self, verb: str, unit: str, mode: str) -> str:
        if not self._connection:
            raise HostError(f"{unit}: {verb}: no connection to systemd; try again")
        try:
            reply = await self._connection.call(
                SYSTEMD, _PATH, _MANAGER, _VERBS[verb], "ss", unit, mode, timeout=_JOB_SECONDS
            )
        except BusLostError as error:
            raise HostError(f"{unit}: {verb}: {error}") from error
        except BusError as error:
            if error.name.endswith((".NoSuchUnit", ".LoadFailed")):
                raise NotFoundError(f"{unit}: {error}") from error
            raise HostError(f"{unit}: {verb}: {error}") from error
        self.jobs += 1
        return str(reply[0])

    # one connection

    async def _prepare(self, connection: Connection) -> None:
        """Have systemd's signals sent, and tell everything."""
        self._connection, self._stale, self._reloading = connection, True, False
        self._service.clear()
        self._questions.clear()
        for rule in _RULES:
            await connection.match(rule)
        self._owner = await connection.owner(SYSTEMD)
        if not self._owner:
            raise BusLostError("systemd is not on the bus")
        await connection.call(SYSTEMD, _PATH, _MANAGER, "Subscribe")
        await self._rebuild(connection)

    async def _follow(self, connection: Connection) -> str:
        """Tell what comes until the connection ends; why it did."""
        reason = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer, connection)
            # Nothing of these leaves the group: it would come out in another wrapping with every release of anyio.
            try:
                while True:
                    await self._tell(connection)
                    if (pause := self._pause(connection)) <= 0:
                        await self._rebuild(connection)
                        continue
                    with anyio.move_on_after(pause):
                        await connection.wait()
            except (BusError, BusLostError) as error:
                reason = str(error)
            tasks.cancel_scope.cancel()
        return reason

    def _pause(self, connection: Connection) -> float:
        """Seconds until everything is to be fetched; infinite while what is known is right."""
        if self._reloading or not (self._stale or connection.overrun):
            return math.inf
        return self._rested - time.monotonic()

    async def _rebuild(self, connection: Connection) -> None:
        self._stale = connection.overrun = False
        began = time.monotonic()
        before = {} if self._doubted else self._state.units
        census = await take_census(connection, self._invocations, before, self._thawed)
        self._doubted = self._doubted and self._stale
        for name, known in census.units.items():
            census.units[name] = known.after(self._state.units.get(name))
        scopes, self._state = self._state.scopes, census
        silent = _Later()
        self._awake = None
        for message in _waiting(connection):
            self._apply(message, silent)
        self._sink.rebuilt({n: k.state for n, k in census.units.items()}, census.healths())
        for name in scopes.keys() | census.scopes.keys():
            if (name in scopes) != (name in census.scopes):
                self._sink.scope(name, name in census.scopes, census.scope_times.get(name, 0))
        for job in silent.jobs:
            self._sink.job_ended(*job)
        # Somebody who reloads systemd again and again keeps it busy enough.
        self._rested = time.monotonic() + _REST * (time.monotonic() - began)
        if not self._stale:
            self._fresh.set()
        self._asked.set()

    async def _answer(self, connection: Connection) -> None:
        """Ask what signals leave open and what was believed, one thing at a time; a signal that comes meanwhile knows
        better."""
        while True:
            try:
                if self._questions:
                    name, job, path = self._questions.popleft()
                    if job:
                        await self._ask_job(connection, name, job, path)
                    else:
                        await self._ask_unit(connection, name)
                else:
                    self._asked = asyncio.Event()
                    if self._state.believed:
                        await self._confirm(connection, self._state.believed.pop())
                    with anyio.move_on_after(_CALM_SECONDS if self._state.believed else math.inf):
                        await self._asked.wait()
            except BusLostError:
                return
            except BusError:
                continue  # the job or the run has ended

    async def _ask_job(self, connection: Connection, name: str, job: int, path: str) -> None:
        kind = await connection.get(SYSTEMD, path, "org.freedesktop.systemd1.Job", "JobType")
        known = self._state.units.get(name)
        if job in self._state.job_types:
            self._state.job_types[job] = kind
        if known and known.state.job == job:
            self._know(known.with_job_type(kind), self._sink)

    async def _ask_unit(self, connection: Connection, name: str) -> None:
        before = self._state.units.get(name)
        now = await state_of(connection, name, self._invocations)
        if now and self._state.units.get(name) is before:
            self._know(now.with_frozen(self._state.scopes.get(name, False)), self._sink)

    async def _confirm(self, connection: Connection, name: str) -> None:
        if before := self._state.units.get(name):
            now = await confirmed(connection, before)
            if self._state.units.get(name) is before:
                self._know(now, self._sink)

    def _wonder(self, name: str, job: int = 0, path: str = "") -> None:
        """Have a question answered: the type of *job*, or without one the whole state of the container."""
        if (question := (name, job, path)) not in self._questions:
            self._questions.append(question)
            self._asked.set()

    async def _tell(self, connection: Connection) -> None:
        self._awake = None
        for count, message in enumerate(_waiting(connection), 1):
            self._apply(message, self._sink)
            if count % _TURN == 0:
                await anyio.lowlevel.checkpoint()
                self._awake = None

    # one signal

    def _apply(self, message: Message, sink: Sink) -> None:
        if message.member == "NameOwnerChanged":
            if message.sender == "org.freedesktop.DBus" and message.body[0] == SYSTEMD:
                raise BusLostError("systemd has executed itself anew" if message.body[2] else "systemd left the bus")
        elif message.sender != self._owner:
            return  # anyone on the bus may send us a signal, but not in systemd's name
        elif message.member == "JobRemoved":
            self.signals += 1
            self._state.job_types.pop(message.body[0], None)
            sink.job_ended(message.body[0], message.body[2], message.body[3])
        elif message.member == "Reloading":
            # Between the two, systemd forgets every unit and loads it again.
            self._reloading = bool(message.body[0])
            self._stale = True
        elif not self._reloading:
            self.signals += 1
            self._apply_unit(message, sink)

    def _apply_unit(self, message: Message, sink: Sink) -> None:
        if message.member == "JobNew":
            job, path, unit = message.body
            kind, name = signals.kind_of(unit)
            if kind == "service":
                self._state.job_types[job] = ""  # JobNew does not tell it
                self._wonder(name, job, path)
        elif message.member == "UnitRemoved":
            kind, name = signals.kind_of(message.body[0])
            self._service.pop(name, None)
            known = self._state.units.pop(name, None) if kind == "service" else None
            if known and known.state.active not in ("inactive", "failed"):
                sink.changed(UnitState(name))
        elif message.member == "PropertiesChanged":
            kind, name = signals.unit_of(message.path)
            interface, changed, _ = message.body
            values = {key: variant.value for key, variant in changed.items()}
            if kind == "service":
                self._apply_service(name, interface, values, sink)
            elif kind == "scope" and interface == signals.UNIT:
                self._apply_scope(name, values, sink)
            elif kind and interface == signals.UNIT:
                before = self._state.health(name)
                self._state.note(kind, name, values["ActiveState"], values["Job"][0] != 0)
                if (after := self._state.health(name)) != before:
                    sink.health(name, after)

    def _apply_service(self, name: str, interface: str, values: Mapping[str, Any], sink: Sink) -> None:
        if interface == signals.SERVICE:
            self._service[name] = values
            return
        service = self._service.pop(name, None)
        if service is None or interface != signals.UNIT:
            return
        before = self._state.units.get(name)
        try:
            now = signals.state(name, service, values, before, self._state.job_types)
        except KeyError:
            self._wonder(name)  # systemd has not sent all of it
            return
        if not signals.is_between(now, before):
            self._know(now.with_frozen(self._state.scopes.get(name, False)), sink)

    def _apply_scope(self, name: str, values: Mapping[str, Any], sink: Sink) -> None:
        """systemd 252 sends nothing for a freezer: its state comes with the scope's next signal, or with `refresh`.
        Whoever looks late is told of a pause that is over, and maybe known of from the journal: the kernel knows."""
        active = values["ActiveState"] in ("active", "deactivating")
        frozen = active and values["FreezerState"] != "running" and not self._is_awake(name)
        if active != (name in self._state.scopes):
            sink.scope(name, active, values["ActiveEnterTimestamp" if active else "InactiveEnterTimestamp"])
        self._state.scopes.pop(name, None)
        if active:
            self._state.scopes[name] = frozen
        known = self._state.units.get(name)
        if known:
            self._know(known.with_frozen(frozen), sink)

    def _is_awake(self, name: str) -> bool:
        """Whether the kernel says that the container is not frozen; asked once for all signals that have come."""
        if self._awake is None:
            self._awake = self._thawed()
        return name in self._awake

    def _know(self, now: Known, sink: Sink) -> None:
        before = self._state.units.get(now.state.name)
        self._state.units[now.state.name] = now
        if before is None or before.state != now.state:
            sink.changed(now.state)


class _Later:
    """A `Sink` while everything is fetched: `Sink.rebuilt` then says what these signals did, except that jobs ended."""

    def __init__(self) -> None:
        self.jobs: list[tuple[int, str, str]] = []

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        pass

    def changed(self, unit: UnitState) -> None:
        pass

    def scope(self, name: str, active: bool, at: int) -> None:
        pass

    def health(self, name: str, health: str) -> None:
        pass

    def job_ended(self, id: int, unit: str, result: str) -> None:
        self.jobs.append((id, unit, result))

    def lost(self, reason: str) -> None:
        pass


def _waiting(connection: Connection) -> Iterator[Message]:
    """The signals that have come, until none waits."""
    while message := connection.take():
        yield message
