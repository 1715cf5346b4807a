"""org.freedesktop.systemd1(5), synchronously: jobs, units, properties, signals to processes.

Every verb waits on systemd's own words (JobRemoved, property values); nothing here decides what should run.
Survives a daemon-reexec: the connection is made anew and jobs still queued are waited for again.
"""

from __future__ import annotations

import os
import time

from supervisor.errors import HostError, NotFoundError
from supervisor.systemd.sdbus import PRIVATE_SOCKET, Bus, BusError, BusLostError, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

_PATH = "/org/freedesktop/systemd1"
_IFACE = "org.freedesktop.systemd1."
_MANAGER = _IFACE + "Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_RECONNECT_SECONDS = 30.0
_FREEZES = 10

_JOBS = frozenset({"JobRemoved"})
_SIGNALS = _JOBS | {"PropertiesChanged", "UnitRemoved"}
_VERBS = {
    "start": "StartUnit",
    "stop": "StopUnit",
    "restart": "RestartUnit",
    "try-restart": "TryRestartUnit",
    "reload": "ReloadUnit",
}


class UnitStatus:
    """One row of ListUnits: the unit's name, description, load, active and sub state, and its queued job (0: none)."""

    __slots__ = ("active", "description", "job", "load", "name", "sub")

    def __init__(self, name: str, description: str, load: str, active: str, sub: str, job: int) -> None:
        self.name = name
        self.description = description
        self.load = load
        self.active = active
        self.sub = sub
        self.job = job

    @property
    def activity(self) -> tuple[str, bool]:
        """Its active state, and whether a job is queued for it."""
        return self.active, self.job != 0


class Job:
    """A queued job: its object path and the unit it is for."""

    __slots__ = ("path", "unit")

    def __init__(self, path: str, unit: str) -> None:
        self.path = path
        self.unit = unit


class QueuedJob:
    """One row of ListJobs: the job's number, its unit, its type ('start' …) and its state ('waiting', 'running')."""

    __slots__ = ("id", "state", "type", "unit")

    def __init__(self, id: int, unit: str, type: str, state: str) -> None:
        self.id = id
        self.unit = unit
        self.type = type
        self.state = state


class Manager:
    """systemd's manager object, over one connection."""

    def __init__(self, address: str | None, *, timeout: float = 90.0) -> None:
        """*timeout*: how many seconds systemd has for an answer."""
        self._address = address
        self._timeout = timeout
        self._results: dict[str, str] = {}
        self._watched: list[str] = []
        self._connect()

    @classmethod
    def open(cls, *, timeout: float = 90.0) -> Self:
        """Root talks to PID 1 directly, which works without any bus daemon; others go through the system bus."""
        return cls(f"unix:path={PRIVATE_SOCKET}" if os.geteuid() == 0 else None, timeout=timeout)

    def close(self) -> None:
        self._bus.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # jobs

    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job:
        """Queue a job. *verb*: start, stop, restart, try-restart or reload. *mode*: systemctl(1) ``--job-mode=``.

        Raises `NotFoundError` when there is no such unit, `HostError` with systemd's own words otherwise.
        """
        self._subscribe()
        try:
            return Job(self._call(_VERBS[verb], "ss", unit, mode)[0], unit)
        except BusError as error:
            if error.name.endswith((".NoSuchUnit", ".LoadFailed")):
                raise NotFoundError(f"{unit}: {error}") from error
            raise HostError(f"{unit}: {verb}: {error}") from error

    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]:
        """Wait for *jobs*; unit name to result: 'done', 'failed', 'dependency', 'timeout', 'canceled', 'skipped' …

        After *timeout* seconds, jobs that have not ended are missing from the answer.
        """
        pending = {job.path: job.unit for job in jobs}
        results: dict[str, str] = {}
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            for path in [p for p in pending if p in self._results]:
                results[pending.pop(path)] = self._results.pop(path)
            left = 60.0 if deadline is None else deadline - time.monotonic()
            if not pending or left <= 0:
                return results
            try:
                self._note(self._bus.receive(min(left, 60.0), _JOBS))
            except BusLostError:
                self._reconnect()
                self._settle(pending)

    def jobs(self) -> tuple[QueuedJob, ...]:
        """The job queue."""
        return tuple(QueuedJob(row[0], row[1], row[2], row[3]) for row in self._call("ListJobs")[0])

    def jobs_before(self, id: int) -> tuple[int, ...]:
        """Numbers of the queued jobs that have to end before the job *id* may run; none once it has ended itself."""
        try:
            return tuple(row[0] for row in self._call("GetJobBefore", "u", id)[0])
        except BusError as error:
            if not error.name.endswith(".NoSuchJob"):
                raise
            return ()

    def start(self, unit: str, mode: str = "replace") -> str:
        """Start *unit* and wait; the job's result."""
        return self._run("start", unit, mode)

    def stop(self, unit: str, mode: str = "replace") -> str:
        """Stop *unit* and wait; the job's result."""
        return self._run("stop", unit, mode)

    def restart(self, unit: str, mode: str = "replace") -> str:
        """Restart (or start) *unit* and wait; the job's result."""
        return self._run("restart", unit, mode)

    def try_restart(self, unit: str, mode: str = "replace") -> str:
        """Restart *unit* if it runs, and wait; the job's result."""
        return self._run("try-restart", unit, mode)

    def reload_unit(self, unit: str, mode: str = "replace") -> str:
        """Reload *unit* and wait; the job's result."""
        return self._run("reload", unit, mode)

    def _run(self, verb: str, unit: str, mode: str) -> str:
        return self.wait([self.enqueue(verb, unit, mode)])[unit]

    # units

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]:
        """Loaded units whose names match one of the glob *patterns*."""
        rows = self._call("ListUnitsByPatterns", "asas", [], list(patterns))[0]
        return tuple(UnitStatus(r[0], r[1], r[2], r[3], r[4], r[7]) for r in rows)

    def properties(self, unit: str, interface: str, *names: str) -> dict[str, Any]:
        """Properties of *unit*; *interface* is 'Unit', 'Service' or 'Scope'. Without *names*, all of that interface.

        A unit that is not loaded is loaded for the answer; one without a file answers LoadState 'not-found'.
        """
        path = unit_path(unit)
        if not names:
            answer = self._retry(path, _PROPERTIES, "GetAll", "s", _IFACE + interface)[0]
            return dict(answer)
        return {n: self._retry(path, _PROPERTIES, "Get", "ss", _IFACE + interface, n)[0] for n in names}

    def start_transient(self, unit: str, properties: list[tuple[str, tuple[str, object]]]) -> Job:
        """Queue the start of a transient unit, mode 'fail'. *properties*: name and (signature, value)."""
        self._subscribe()
        return Job(
            self._bus.call(
                _PATH, _MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", properties, []
            )[0],
            unit,
        )

    def set_properties(self, unit: str, properties: list[tuple[str, tuple[str, object]]]) -> None:
        """Change *unit* while it runs and until it ends, all of *properties* or none (``systemctl set-property
        --runtime``). *properties*: name and (signature, value). Raises `HostError` with systemd's own words.
        """
        try:
            self._call("SetUnitProperties", "sba(sv)", unit, True, properties)
        except BusError as error:
            raise HostError(f"{unit}: {error}") from error

    def kill(self, unit: str, whom: str, signal: int) -> None:
        """Signal *unit*'s processes; *whom* is 'main', 'control' or 'all' (systemctl(1) kill)."""
        self._call("KillUnit", "ssi", unit, whom, signal)

    def freeze(self, unit: str) -> None:
        """Suspend every process of *unit* with the cgroup freezer.

        systemd gives up when a process joins the cgroup at that moment (a health probe, an exec), which was not frozen
        yet: seen once in 150 tries. It is frozen by the next one.
        """
        for left in reversed(range(_FREEZES)):
            try:
                self._call("FreezeUnit", "s", unit)
                return
            except BusError as error:
                if not left or not error.name.endswith(".FreezeCancelled"):
                    raise

    def thaw(self, unit: str) -> None:
        """Undo `freeze`."""
        self._call("ThawUnit", "s", unit)

    def attach(self, unit: str, pids: Iterable[int]) -> None:
        """Move processes into *unit*'s cgroup (AttachProcessesToUnit; the unit is delegated)."""
        self._call("AttachProcessesToUnit", "ssau", unit, "", list(pids))

    def daemon_reload(self) -> None:
        """Make systemd read its unit files again."""
        self._call("Reload")

    def reset_failed(self, unit: str) -> None:
        """Forget a failed state and the restart counter; a unit that is not loaded has nothing to forget."""
        try:
            self._call("ResetFailedUnit", "s", unit)
        except BusError as error:
            if not error.name.endswith(".NoSuchUnit"):
                raise

    # signals

    def watch(self, unit: str) -> None:
        """Ask for the PropertiesChanged signals of *unit*; take them with `next_signal`."""
        self._subscribe()
        self._watched.append(unit)
        self._bus.match(f"type='signal',interface='{_PROPERTIES}',path='{unit_path(unit)}'")

    def next_signal(self, timeout: float) -> Message | None:
        """The next signal from systemd, or None after *timeout* seconds. Raises nothing on a lost connection: it is
        made anew, and None is returned at once so that the caller looks at the state again."""
        try:
            return self._note(self._bus.receive(timeout, _SIGNALS))
        except BusLostError:
            self._reconnect()
            return None

    # connection

    def _connect(self) -> None:
        self._bus = Bus(self._address)
        self._subscribed = self._bus.is_peer

    def _subscribe(self) -> None:
        if not self._subscribed:
            self._bus.match(f"type='signal',interface='{_MANAGER}',path='{_PATH}'")
            self._bus.call(_PATH, _MANAGER, "Subscribe")
            self._subscribed = True

    def _reconnect(self) -> None:
        deadline = time.monotonic() + _RECONNECT_SECONDS
        self._bus.close()
        while True:
            try:
                self._connect()
                watched, self._watched = self._watched, []
                for unit in watched:
                    self.watch(unit)
                return
            except BusLostError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _settle(self, pending: dict[str, str]) -> None:
        """After a reconnect: jobs that are gone ended unseen; their units' states tell how."""
        queued = {job[4] for job in self._call("ListJobs")[0]}
        for path, unit in pending.items():
            if path not in queued:
                state = self.properties(unit, "Unit", "ActiveState")["ActiveState"]
                self._results[path] = "failed" if state == "failed" else "done"

    def _note(self, message: Message | None) -> Message | None:
        if message and message.member == "JobRemoved" and message.interface == _MANAGER:
            self._results[message.args[1]] = message.args[3]
        return message

    def _call(self, member: str, signature: str = "", *args: object) -> tuple[Any, ...]:
        return self._retry(_PATH, _MANAGER, member, signature, *args)

    def _retry(self, path: str, interface: str, member: str, signature: str, *args: object) -> tuple[Any, ...]:
        try:
            return self._bus.call(path, interface, member, signature, *args, timeout=self._timeout)
        except BusLostError:
            # Every call that comes through here may be made twice: it names a wanted state, not a step.
            self._reconnect()
            return self._bus.call(path, interface, member, signature, *args, timeout=self._timeout)


def unit_path(unit: str) -> str:
    """The D-Bus object path of *unit*."""
    return f"{_PATH}/unit/{path_element(unit)}"


def path_element(text: str) -> str:
    """*text*, not empty, as one element of an object path: everything but letters and digits as ``_xx``
    (sd_bus_path_encode(3))."""
    return "".join(
        chr(c) if chr(c).isascii() and chr(c).isalnum() and not (at == 0 and chr(c).isdigit()) else f"_{c:02x}"
        for at, c in enumerate(text.encode())
    )
