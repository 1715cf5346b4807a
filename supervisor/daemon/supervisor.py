"""The wiring: what systemd and the journal say goes into the book, what the book says goes to those who want to know.

One task, `_turn_pages`, feeds the book, so that things are taken in one after the other and in order: first the
journal, as far as it goes, then what systemd signalled meanwhile. PID 1 writes before it signals, so the journal's
fuller words come first; a signal is also what makes us look into the journal at once (journald itself wakes its readers
only every 250 ms). Everything else here is a task of the same group that waits on something of its own.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio

from supervisor.api.service import Api
from supervisor.daemon import snapshot
from supervisor.daemon.book import Book, identity
from supervisor.daemon.dependencies import Dependencies
from supervisor.daemon.exits import Exits
from supervisor.daemon.lag import Lag
from supervisor.daemon.probes import Probes
from supervisor.daemon.service import Service
from supervisor.errors import UserError
from supervisor.events import entry
from supervisor.events.event import MESSAGE_IDS, Event, Kind
from supervisor.inventory import cards
from supervisor.lifecycle import causes
from supervisor.lifecycle.model import Container
from supervisor.lifecycle.observation import Observation, Sign, UnitState
from supervisor.names import service_unit
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.stats.scopes import thawed
from supervisor.systemd.reader import BATCH, Reader, Record
from supervisor.systemd.watch import Watch
from supervisor.systemd.writer import Writer

_SNAPSHOT_SECONDS = 5.0
_ENDING_SECONDS = 3.0
#: The model has a turn at least so often.
_TURN_SECONDS = 5.0
#: While the journal goes on and on, systemd's signals have their turn after so many batches of entries.
_PATIENCE = 4
#: Replaying, we are quicker than journald: so many entries may wait for it, for so many turns.
_BACKLOG, _CATCH_UP_TURNS, _RETRY_SECONDS = 1000, 100, 0.1
#: Before our own events that cannot be read are told again.
_FAILURES = 10
#: On a host where nothing happens to containers, the entry of the last that did is vacuumed one day.
_MARK_SECONDS = 600.0
_WARNING = 4


class Supervisor:
    """One supervisor; `run` it once."""

    def __init__(self, layout: Layout, environ: Mapping[str, str], address: str | None = None) -> None:
        """*address*: of the bus; None for the system's."""
        self._layout = layout
        self._path = snapshot.path_of(environ)
        self._service = Service(environ)
        self._writer = Writer(layout.journal)
        self._reader = Reader([("MESSAGE_ID", message_id) for message_id in causes.MESSAGE_IDS], causes.FIELDS)
        self._watch = Watch(self, address, thawed=lambda: thawed(layout))
        self._api = Api(self, self.counters, address, say=self._say, machine_id=_machine_id(layout))
        self._dependencies = Dependencies(layout, self._api.depend, address)
        self._probes = Probes(self._watch.start, took=self._took)
        self._exits = Exits(self._reader.expect)
        self._keeper = snapshot.Keeper(self._path)
        self._book = Book(self, self._card)
        self._lag = Lag()
        self._signalled: deque[Callable[[], None]] = deque()
        self._cursor = self._kept = ""
        self._is_first = self._is_deaf = False
        self._is_complete = anyio.Event()
        self._turned = time.monotonic()
        self._marked = -_MARK_SECONDS
        self._events = 0
        self._lost = 0
        self._records = 0

    async def run(self) -> None:
        """Until cancelled; a snapshot is kept at the end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._writer.run)
                await self._resume()
                for task in (self._watch.run, self._turn_pages, self._keep_snapshots, self._lag.measure):
                    tasks.start_soon(task)
                await self._is_complete.wait()
                # At once: killed before it has kept any, the next one would begin where this one did, or from nothing.
                await self._keep_snapshot()
                self._service.ready(self.status())
                tasks.start_soon(self._api.run)
                tasks.start_soon(self._probes.run)
                tasks.start_soon(self._dependencies.run)
                tasks.start_soon(self._service.beat, self.status, lambda: self._turned)
        finally:
            self._exits.close()
            with anyio.move_on_after(_ENDING_SECONDS, shield=True):
                self._service.stopping()
                self._api.set_state("stopping")
                await self._writer.flush()
            with anyio.move_on_after(_ENDING_SECONDS, shield=True):
                await self._keep_snapshot()
                await self._reader.close()

    async def reload(self) -> None:
        """Read everything anew (SIGHUP): units, drop-ins."""
        self._service.reloading()
        await self._watch.refresh()
        taken_in = anyio.Event()
        self._later(taken_in.set)
        await taken_in.wait()
        self._service.ready(self.status())

    def status(self) -> str:
        """One line for ``systemctl status``."""
        known = self._book.containers.values()
        up = sum(container.phase.is_up for container in known)
        sick = sum(container.health == "unhealthy" for container in known)
        return f"{len(known)} containers, {up} up" + (f", {sick} unhealthy" if sick else "")

    def counters(self) -> Mapping[str, int]:
        """What the supervisor knows of itself; names are documented in io.ctr.Supervisor1(5)."""
        return {
            "signals": self._watch.signals,
            "reconnects": self._watch.reconnects,
            "jobs": self._watch.jobs,
            "events": self._events,
            "events_lost": self._writer.lost,
            "journal_records": self._records,
            "loop_lag_usec": self._lag.last,
            "loop_lag_max_usec": self._lag.most,
            **self._probes.counters(),
            **self._api.counters,
        }

    # api.Actions

    async def start(self, name: str) -> str:
        """Queue a start job; its object path."""
        return await self._watch.start(service_unit(name))

    async def stop(self, name: str) -> str:
        """Queue a stop job; its object path."""
        return await self._watch.stop(service_unit(name))

    async def restart(self, name: str) -> str:
        """Queue a restart job; its object path."""
        return await self._watch.restart(service_unit(name))

    # systemd.watch.Sink: all of it waits for its turn behind the journal

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        """See `supervisor.systemd.watch.Sink`, as for the others."""
        self._later(lambda: self._rebuild(units, health))

    def changed(self, unit: UnitState) -> None:
        at = _now()
        self._later(lambda: self._book.changed(unit, at))

    def scope(self, name: str, active: bool, at: int) -> None:
        if active:
            seen = Observation(Sign.SCOPE, name, at or _now())
            self._later(lambda: self._book.observe(seen))

    def health(self, name: str, health: str) -> None:
        self._later(lambda: self._book.health(name, health))

    def job_ended(self, id: int, unit: str, result: str) -> None:
        self._probes.job_ended(id, unit, result)

    def lost(self, reason: str) -> None:
        self._is_deaf = True
        self._api.set_state("degraded")
        self._say(f"systemd cannot be heard: {reason}; what it does meanwhile is read from the journal afterwards")

    # daemon.book.Audience

    def tell(self, event: Event) -> None:
        """*event* happened: into the journal, and to whom listens."""
        self._events += 1
        self._writer.write(entry.fields(event), (self._cursor, event))
        self._api.tell(event)
        if event.kind is Kind.EXITED:
            self._reader.arrived()
        if event.kind in (Kind.CREATED, Kind.STARTING):
            self._dependencies.doubt(event.name)

    def show(self, container: Container) -> None:
        """*container* is new or has changed."""
        self._api.show(container)
        self._probes.update(container)
        self._exits.watch(container.name, container.unit.main_pid)

    def hide(self, name: str) -> None:
        """There is no such container any more."""
        self._api.hide(name)
        self._probes.forget(name)
        self._exits.watch(name, 0)

    def keep(self, container: Container) -> None:
        """*container* is to be in the next snapshot."""
        self._keeper.note(container)

    def forget(self, name: str) -> None:
        """It is not."""
        self._keeper.forget(name)

    # tasks

    async def _resume(self) -> None:
        """Begin where the supervisor before has ended."""
        try:
            before = await snapshot.read(self._path)
        except UserError as error:
            self._tell_gap(f"what was known is lost: {error}")
            before = None
        self._is_first = before is None
        if before is None:
            await self._reader.open(None)
            self._cursor = self._reader.cursor
            return
        self._cursor = before.cursor
        self._book = Book(self, self._card, before.containers)
        for container in before.containers:
            self._keeper.note(container)
        self._watch.remember(container.unit for container in before.containers)
        if not await self._reader.open(before.cursor):
            self._tell_gap("the journal was rotated or removed since the supervisor last ran")
        async for event in _told_since(before.cursor):
            self._book.recall(event)

    async def _turn_pages(self) -> None:
        behind = 0
        while True:
            records = await self._reader.drain()
            self._turned = time.monotonic()
            for record in records:
                self._take_in(record)
            if self._reader.gaps:
                self._reader.gaps = 0
                self._tell_gap("entries of the journal were removed before they could be read")
            behind = behind + 1 if len(records) == BATCH else 0
            if behind and (behind < _PATIENCE or not self._is_complete.is_set()):
                await self._let_journald_catch_up()
                continue
            if self._reader.has_failed and not self._is_complete.is_set():
                # Systemd's word counts as final only when the journal's is known.
                await anyio.sleep(_RETRY_SECONDS)
                continue
            for _ in range(len(self._signalled)):
                self._signalled.popleft()()
            if self._writer.lost > self._lost:
                self._tell_gap(f"the journal did not take {self._writer.lost - self._lost} events")
                self._lost = self._writer.lost
            if doubtful := self._writer.doubtful():
                await self._make_sure(doubtful)
            if not self._signalled and not records:
                self._cursor = await self._mark()
                await self._reader.wait(_TURN_SECONDS)

    async def _make_sure(self, notes: Sequence[tuple[str, Event]]) -> None:
        """Tell again what went with journald's socket: those of `tell`'s *notes* that are not in the journal."""
        told = set[tuple[str, str]]()
        async for event in _told_since(notes[0][0]):
            told.add(identity(event))
        for cursor, event in notes:
            if identity(event) not in told:
                self._writer.write(entry.fields(event), (cursor, event))

    async def _let_journald_catch_up(self) -> None:
        """Not write faster than journald takes it, as long as that goes on taking."""
        for _ in range(_CATCH_UP_TURNS):
            if self._writer.backlog < _BACKLOG:
                return
            self._turned = time.monotonic()
            await anyio.sleep(_RETRY_SECONDS)

    async def _mark(self) -> str:
        """How far the journal was taken in: to its end, when asked that it should be looked up again."""
        if time.monotonic() < self._marked + _MARK_SECONDS:
            return self._cursor
        self._marked = time.monotonic()
        return await self._reader.mark()

    async def _keep_snapshots(self) -> None:
        while True:
            await anyio.sleep(_SNAPSHOT_SECONDS)
            await self._keep_snapshot()

    async def _keep_snapshot(self) -> None:
        cursor = self._cursor
        if self._writer.backlog:
            return  # it would say that these are told
        if not self._is_complete.is_set() or not (self._keeper.is_due or cursor != self._kept):
            return
        try:
            await self._keeper.keep(cursor)
            self._kept = cursor
        except OSError as error:
            self._say(f"{self._path}: {error.strerror}; a supervisor that ends now leaves the next one further back")

    # the book's pages

    def _later(self, page: Callable[[], None]) -> None:
        self._signalled.append(page)
        self._reader.ring()

    def _take_in(self, record: Record) -> None:
        self._cursor = record.cursor
        self._records += 1
        try:
            for seen in causes.of_entry(record.fields, record.realtime, record.cursor):
                self._book.observe(seen)
        except Exception as error:
            # A defect of ours; but one entry must not be the end of every supervisor to come.
            self._say(f"defect: journal entry {record.cursor} left out: {error!r}")

    def _rebuild(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        found = cards.read_all(self._layout)
        if self._is_first:
            self._book.adopt(units, health, found)
            self._is_first = False
        else:
            self._book.rebuilt(units, health, found, _now(), final=not self._is_complete.is_set())
        self._book.told.clear()
        self._dependencies.doubt()
        self._api.set_state("running")
        if self._is_deaf:
            self._is_deaf = False
            self._probes.resume()
        if not self._is_complete.is_set():
            self._is_complete.set()

    def _card(self, name: str) -> Card | None:
        return cards.read(name, self._layout)

    def _took(self, name: str, usec: int) -> None:
        # With the next turn, whenever that comes: nothing about it is in the journal.
        self._signalled.append(lambda: self._book.probed(name, usec))

    def _tell_gap(self, why: str) -> None:
        self._book.lost(why, _now())

    def _say(self, text: str) -> None:
        """For people, in the journal of our own unit."""
        self._writer.write({"MESSAGE": text, "PRIORITY": str(_WARNING), "SYSLOG_IDENTIFIER": "ctr-supervisor"})


async def _told_since(cursor: str) -> AsyncIterator[Event]:
    """Our own events in the journal behind *cursor*."""
    ours = Reader([("MESSAGE_ID", message_id) for message_id in MESSAGE_IDS.values()], entry.FIELDS)
    try:
        await ours.open(cursor)
        failures = 0
        while (records := await ours.drain()) or (ours.has_failed and failures < _FAILURES):
            for record in records:
                if event := entry.event(record.fields, os.getuid()):
                    yield event
            if ours.has_failed:
                failures += 1
                await anyio.sleep(_RETRY_SECONDS)
    finally:
        await ours.close()


def _machine_id(layout: Layout) -> str:
    """machine-id(5); empty where there is none."""
    try:
        with open(f"{layout.root}/etc/machine-id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _now() -> int:
    return time.time_ns() // 1000
