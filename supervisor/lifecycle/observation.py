"""What may be seen of a container, from whatever source: the words between the edge and the state machine. Pure.

The edge (`supervisor.lifecycle.causes`) makes these of systemd's signals and of journal entries. The same thing may be
seen twice, or not at all, or late: `supervisor.lifecycle.machine` bears that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from supervisor.events.event import NO_JOB, Job


class Sign(Enum):
    """What was seen."""

    STARTING = "starting"
    SCOPE = "scope"
    """Its scope is there."""
    READY = "ready"
    EXIT = "exit"
    """Its main process ended: *code* and *status*."""
    OOM = "oom"
    ENDED = "ended"
    """Its run is over: the unit is inactive, failed, or waits for its restart. *detail* is systemd's Result."""
    RESTART = "restart"
    """A restart is scheduled."""
    STOPPED = "stopped"
    """A stop job is done."""
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    CREATED = "created"
    REMOVED = "removed"
    PULLED = "pulled"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing seen; see `supervisor.events.event.Event` for the members they share."""

    sign: Sign
    name: str
    at: int
    invocation: str = ""
    code: str = ""
    status: int = 0
    detail: str = ""
    job: Job = NO_JOB
    source: str = ""
    is_sure: bool = True
    """Whether it is known who says so; what is not sure may tell of known runs only."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of one ctr@NAME.service, as far as it has said it. Times: microseconds since the epoch, 0:
    never. Property names of org.freedesktop.systemd1(5) in comments where ours differ."""

    name: str
    """The container."""
    active: str = "inactive"
    """ActiveState"""
    sub: str = "dead"
    """SubState"""
    invocation: str = ""
    """InvocationID in hex"""
    job: int = 0
    """Job: number of the queued job, 0 for none"""
    job_type: str = ""
    main_pid: int = 0
    """MainPID"""
    exit_pid: int = 0
    """ExecMainPID: whose exit *exit_code* and *exit_status* tell"""
    exit_code: str = ""
    """ExecMainCode as 'exited', 'killed', 'dumped'; empty while it runs"""
    exit_status: int = 0
    """ExecMainStatus"""
    exited_at: int = 0
    """ExecMainExitTimestamp"""
    result: str = "success"
    restarts: int = 0
    """NRestarts"""
    starting_at: int = 0
    """InactiveExitTimestamp"""
    ready_at: int = 0
    """ActiveEnterTimestamp"""
    frozen: bool = False
    """FreezerState is not 'running'"""
