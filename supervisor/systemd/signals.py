"""What systemd's D-Bus signals say of containers. Pure: raw messages and property values in, `UnitState` out.

**Which signals matter** is decided on a message's raw bytes (`wanted`): a host sends hundreds of others for every one
that is about a container, each health probe alone a dozen, and decoding one costs 0.3 ms.

**One state from two messages.** When a service changes, systemd sends PropertiesChanged for the interface Service and
right after it for Unit, each complete ("the clients may rely on this order to get atomic behavior", dbus-unit.c). So a
Service message is kept until the Unit message of the same unit, and the two are one state of one moment: an exit status
is never taken for that of another run.

**One state that is none.** While systemd forks the first process of a run, the pair already has the new InvocationID,
MainPID and a fresh Result, but still the ActiveState and SubState from before: 'inactive', or 'auto-restart-queued'.
Such a pair says that the new run is over. It is known by a new invocation in a state that is as old as that of the
one before, and left out (`is_between`); the pair that follows at once has it right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from supervisor.lifecycle.observation import UnitState
from supervisor.names import is_name

UNITS = "/org/freedesktop/systemd1/unit/"
UNIT, SERVICE, SCOPE = (f"org.freedesktop.systemd1.{kind}" for kind in ("Unit", "Service", "Scope"))

#: Of a unit's name: what stands before and after the container's, and what the unit is to us.
_KINDS = (
    ("ctr@", ".service", "service"),
    ("ctr-healthy@", ".service", "gate"),
    ("ctr-health@", ".timer", "timer"),
    ("ctr-", ".scope", "scope"),
)
_ESCAPES = {"-": "_2d", "@": "_40", ".": "_2e"}
_CODES = {0: "", 1: "exited", 2: "killed", 3: "dumped"}

_RAW_UNITS = UNITS.encode()
_RAW_UNIT_INTERFACE = UNIT.encode() + b"\0"


def _escaped(text: str) -> bytes:
    return "".join(_ESCAPES.get(letter, letter) for letter in text).encode()


_RAW_KINDS = tuple((_escaped(before), _escaped(after), kind) for before, after, kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Known:
    """A container's state, and when systemd last changed it (StateChangeTimestamp, microseconds since the epoch)."""

    state: UnitState
    changed_at: int = 0

    def with_frozen(self, frozen: bool) -> Known:
        """The same, with the state of the scope's freezer."""
        return replace(self, state=replace(self.state, frozen=frozen))

    def after(self, before: Known | None) -> Known:
        """The same, with what *before* knows better of the run: a link is not as exact as a signal."""
        if before is None or before.state.invocation != self.state.invocation or not before.state.starting_at:
            return self
        return replace(self, state=_of_this_run(self.state, before.state.starting_at))

    def still(self, active: str, sub: str, invocation: str) -> Known | None:
        """What it still is, job and freezer left out, when systemd now says *active* and *sub*, and the present run is
        *invocation*; None when that has to be asked. While a run goes on, nothing of it changes but what
        `supervisor.systemd.census` names."""
        was = self.state
        if {(active, sub), (was.active, was.sub)} != {("active", "running")} or was.invocation != invocation:
            return None
        return replace(self, state=replace(was, job=0, job_type="", frozen=False)) if invocation else None

    def with_job_type(self, kind: str) -> Known:
        """The same, with the type of its job."""
        return replace(self, state=replace(self.state, job_type=kind))


def wanted(raw: bytearray) -> bool:
    """Whether the signal *raw* is about a container, or about systemd itself."""
    at = raw.find(_RAW_UNITS)
    if at < 0:
        if b"UnitRemoved\0" in raw or b"JobNew\0" in raw:
            return b"ctr@" in raw
        return b"ctr" in raw or b"JobRemoved\0" not in raw
    start = at + len(_RAW_UNITS)
    if not raw.startswith(b"ctr_", start):
        return False
    path = raw[start : raw.find(0, start)]
    for before, after, kind in _RAW_KINDS:
        if path.startswith(before) and path.endswith(after):
            return kind == "service" or _RAW_UNIT_INTERFACE in raw
    return False


@lru_cache(8192)
def unit_of(path: str) -> tuple[str, str]:
    """What the unit with the object *path* is to us ('service', 'scope', 'gate', 'timer') and the container's name;
    two empty strings for others."""
    parts = path.removeprefix(UNITS).split("_")
    try:
        return kind_of(parts[0] + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts[1:]))
    except ValueError:
        return "", ""


def kind_of(unit: str) -> tuple[str, str]:
    """As `unit_of`, of the unit's name."""
    for before, after, kind in _KINDS:
        if unit.startswith(before) and unit.endswith(after):
            name = unit[len(before) : -len(after)]
            return (kind, name) if is_name(name) else ("", "")
    return "", ""


def state(
    name: str, service: Mapping[str, Any], unit: Mapping[str, Any], before: Known | None, job_types: Mapping[int, str]
) -> Known:
    """The state behind one pair of messages; *before* is what was known until now. Values are bare (no Variant).

    Raises `KeyError` when a property is missing.
    """
    job = int(unit["Job"][0])
    code = _CODES.get(service["ExecMainCode"], "unknown")
    changed_at = int(unit["StateChangeTimestamp"])
    now = UnitState(
        name,
        active=unit["ActiveState"],
        sub=unit["SubState"],
        invocation=bytes(unit["InvocationID"]).hex(),
        job=job,
        job_type=job_types.get(job, ""),
        main_pid=service["MainPID"],
        exit_pid=service["ExecMainPID"],
        exit_code=code,
        exit_status=service["ExecMainStatus"],
        exited_at=service["ExecMainExitTimestamp"] if code else 0,
        result=service["Result"],
        restarts=service["NRestarts"],
        starting_at=unit["InactiveExitTimestamp"],
        ready_at=unit["ActiveEnterTimestamp"],
    )
    return Known(_of_this_run(now, _started(now, changed_at, before)), changed_at)


def fetched(
    name: str, states: tuple[str, str], job: tuple[int, str], invocation: str, begun: int, of: Mapping[str, Any]
) -> Known:
    """The state behind properties *of* the unit and its service that were asked for one by one; what a running unit was
    not asked is as it is while one runs. *states*: ActiveState, SubState. *begun*: when the run began, as a link tells;
    0: not known."""
    active, sub = states
    code = _CODES.get(of.get("ExecMainCode", 0), "unknown")
    now = UnitState(
        name,
        active=active,
        sub=sub,
        invocation=invocation,
        job=job[0],
        job_type=job[1],
        main_pid=of["MainPID"],
        exit_pid=of.get("ExecMainPID", of["MainPID"]),
        exit_code=code,
        exit_status=of.get("ExecMainStatus", 0),
        exited_at=of["ExecMainExitTimestamp"] if code else 0,
        result=of.get("Result", "success"),
        restarts=of["NRestarts"],
        starting_at=of["InactiveExitTimestamp"],
        ready_at=of["ActiveEnterTimestamp"],
    )
    started = 0 if "auto-restart" in sub else max(now.starting_at, 0 if is_resting(now) else begun)
    return Known(_of_this_run(now, started), of.get("StateChangeTimestamp", 0))


def is_between(now: Known, before: Known | None) -> bool:
    """Whether *now* mixes the run that begins with the state of the one *before*; see the module."""
    if not is_resting(now.state):
        return False
    if before is None:
        return now.state.main_pid > 0 or (now.changed_at == 0 and now.state.invocation != "")
    same_state = now.state.main_pid > 0 or now.changed_at == before.changed_at
    return same_state and now.state.invocation != before.state.invocation


def is_resting(unit: UnitState) -> bool:
    """Whether no run goes on: the unit is down, or waits for its restart."""
    return unit.active in ("inactive", "failed") or "auto-restart" in unit.sub


def _started(now: UnitState, changed_at: int, before: Known | None) -> int:
    """When the run began. InactiveExitTimestamp says that, but for a restart by Restart=: since systemd 254 it is when
    the wait before the restart began, so the first state of the new run tells."""
    if before and before.state.invocation == now.invocation:
        return before.state.starting_at
    if before and not is_resting(now) and now.starting_at <= before.changed_at:
        return changed_at
    return now.starting_at


def _of_this_run(now: UnitState, started: int) -> UnitState:
    """With its beginning, and without an ActiveEnterTimestamp that is that of a run before."""
    return replace(now, starting_at=started, ready_at=now.ready_at if now.ready_at >= started else 0)
