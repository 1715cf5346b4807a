"""Everything systemd has loaded of ctr's, fetched in one go.

Owns the calls that a rebuild makes: one list of units, and for each only the properties that its state leaves open. A
Get costs 0.2 ms of our time, GetAll of a service 3 ms, and the invocation ID of a unit that is up is a link that
anyone may read (`INVOCATIONS`).

What was known of a container before is believed of a run that goes on (`signals.Known.still`), and nothing is asked:
a thousand containers are a list and a thousand links. Two things of a run may be others all the same, without a trace
in the list: its main process, which a process of the unit may name anew (MAINPID= of sd_notify(3); what comes out of a
container may not, `supervisor.forwarder.messages`, but the owner's ExecReload= may), and NRestarts, which
``systemctl reset-failed`` sets to 0. So these are asked afterwards (`confirmed`), when nobody waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio

from supervisor.lifecycle.phase import IDLE, health
from supervisor.names import health_timer, healthy_unit, scope_unit, service_unit
from supervisor.systemd import signals
from supervisor.systemd.bus import Connection
from supervisor.systemd.manager import unit_path
from supervisor.systemd.sdbus import BusError, BusLostError
from supervisor.systemd.signals import SERVICE, UNIT, Known

SYSTEMD = "org.freedesktop.systemd1"
#: Where systemd keeps a link 'invocation:UNIT' for journald, made when a run begins.
INVOCATIONS = "/run/systemd/units"
_PATTERNS = (service_unit("*"), scope_unit("*"), healthy_unit("*"), health_timer("*"))
#: Calls under way: fewer than the connection's window, so that a start job need not wait for all of them.
_WORKERS = 24
#: One unit in ListUnits: name, description, load, active and sub state, followed unit, path, job's id, type and path.
_Row = list[Any]

_ALWAYS = (
    (SERVICE, "MainPID"),
    (SERVICE, "NRestarts"),
    (UNIT, "InactiveExitTimestamp"),
    (UNIT, "ActiveEnterTimestamp"),
)
_NOT_RUNNING = (
    (SERVICE, "ExecMainPID"),
    (SERVICE, "ExecMainCode"),
    (SERVICE, "ExecMainStatus"),
    (SERVICE, "ExecMainExitTimestamp"),
    (SERVICE, "Result"),
    (UNIT, "StateChangeTimestamp"),
)


@dataclass(slots=True)
class Census:
    """What is known of every container; kept up to date by the owner."""

    units: dict[str, Known] = field(default_factory=dict)
    scopes: dict[str, bool] = field(default_factory=dict)
    """Containers whose scope is there, and whether it is frozen."""
    scope_times: dict[str, int] = field(default_factory=dict)
    """Since when, microseconds since the epoch; those without are not known."""
    job_types: dict[int, str] = field(default_factory=dict)
    gates: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """ActiveState of ctr-healthy@, and whether a job is queued for it."""
    timers: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """The same of the ctr-health@ timer."""
    believed: list[str] = field(default_factory=list)
    """Containers of which nothing was asked."""

    def note(self, kind: str, name: str, active: str, has_job: bool) -> None:
        """Take down the state of a 'gate' or a 'timer'."""
        kept = self.gates if kind == "gate" else self.timers
        if active == "inactive" and not has_job:
            kept.pop(name, None)
        else:
            kept[name] = (active, has_job)

    def health(self, name: str) -> str:
        """See `supervisor.lifecycle.phase.health`."""
        return health(self.gates.get(name, IDLE), self.timers.get(name, IDLE))

    def healths(self) -> dict[str, str]:
        """The health of every container that has one."""
        return {name: health for name in self.gates.keys() | self.timers.keys() if (health := self.health(name))}


async def take_census(
    connection: Connection, invocations: str, known: Mapping[str, Known], thawed: Callable[[], Collection[str]]
) -> Census:
    """Ask for everything that is not *known*. *invocations*: the directory, usually `INVOCATIONS`. *thawed*: containers
    that the kernel says are not frozen; of others systemd is asked. Raises `BusError`, `BusLostError`."""
    census = Census()
    work: list[Callable[[], Awaitable[None]]] = []
    rows = await _list(connection, _PATTERNS)
    awake = thawed()
    for row in rows:
        unit, _, _, active, _, _, path, job, job_type, _ = row
        kind, name = signals.kind_of(unit)
        if job:
            census.job_types[job] = job_type
        if kind == "service":
            if now := _believed(known.get(name), row, invocations):
                census.units[name] = now
                census.believed.append(name)
            else:
                work.append(partial(_ask_service, connection, census, name, row, invocations))
        elif kind == "scope" and active in ("active", "deactivating"):
            census.scope_times[name] = _link(invocations, unit)[1]
            census.scopes[name] = False
            if name not in awake:
                work.append(partial(_ask_scope, connection, census, name, path))
        elif kind in ("gate", "timer"):
            census.note(kind, name, active, bool(job))
    await _all(work)
    for name in census.units.keys() & {name for name, frozen in census.scopes.items() if frozen}:
        census.units[name] = census.units[name].with_frozen(True)
    return census


async def confirmed(connection: Connection, known: Known) -> Known:
    """*known*, which was believed, with what may be another; see the module. Raises as `take_census`."""
    unit = unit_path(service_unit(known.state.name))
    pid, restarts = [await connection.get(SYSTEMD, unit, SERVICE, key) for key in ("MainPID", "NRestarts")]
    if not pid:
        return known  # the run is at its end: a signal of that is on its way
    return replace(known, state=replace(known.state, main_pid=pid, exit_pid=pid, restarts=restarts))


async def state_of(connection: Connection, name: str, invocations: str) -> Known | None:
    """The state of one container's unit, its freezer left out; None when it is not loaded. Raises as `take_census`."""
    for row in await _list(connection, (service_unit(name),)):
        return await _state(connection, name, row, invocations)
    return None


def _believed(before: Known | None, row: _Row, invocations: str) -> Known | None:
    """What *row* need not be asked about; None when it has to be. The list is older than the link: a run that the link
    still names is the one that the list tells of."""
    unit, _, _, active, sub, _, _, job, _, _ = row
    return before.still(active, sub, _link(invocations, unit)[0]) if before and not job else None


async def _ask_service(connection: Connection, census: Census, name: str, row: _Row, invocations: str) -> None:
    census.units[name] = await _state(connection, name, row, invocations)


async def _ask_scope(connection: Connection, census: Census, name: str, path: str) -> None:
    census.scopes[name] = await connection.get(SYSTEMD, path, UNIT, "FreezerState") != "running"


async def _list(connection: Connection, patterns: tuple[str, ...]) -> list[_Row]:
    path, manager = "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager"
    reply = await connection.call(SYSTEMD, path, manager, "ListUnitsByPatterns", "asas", [], list(patterns))
    rows: list[_Row] = reply[0]
    return rows


async def _state(connection: Connection, name: str, row: _Row, invocations: str) -> Known:
    unit, _, _, active, sub, _, path, job, job_type, _ = row
    wanted = _ALWAYS if (active, sub) == ("active", "running") else _ALWAYS + _NOT_RUNNING
    # A unit that is forgotten meanwhile is loaded for the answer, and says that it is inactive.
    of = {key: await connection.get(SYSTEMD, path, interface, key) for interface, key in wanted}
    invocation, begun = _link(invocations, unit)
    if not invocation:
        invocation = bytes(await connection.get(SYSTEMD, path, UNIT, "InvocationID")).hex()
    return signals.fetched(name, (active, sub), (job, job_type), invocation, begun, of)


def _link(invocations: str, unit: str) -> tuple[str, int]:
    """The present run's invocation ID, and when it began (microseconds since the epoch); empty and 0 without one."""
    path = f"{invocations}/invocation:{unit}"
    try:
        return os.readlink(path), os.lstat(path).st_mtime_ns // 1000
    except OSError:
        return "", 0


async def _all(work: list[Callable[[], Awaitable[None]]]) -> None:
    """Do all of *work*, `_WORKERS` at a time. Raises the first of the errors on the bus."""
    waiting, errors = iter(work), []

    async def some() -> None:
        for one in waiting:
            try:
                await one()
            except (BusError, BusLostError) as error:
                errors.append(error)
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_WORKERS, len(work))):
            tasks.start_soon(some)
    if errors:
        raise errors[0]
