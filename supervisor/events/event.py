"""The events: their kinds, what each carries, and the MESSAGE_ID it has in the journal. Pure.

`units/ctr.catalog` explains every kind to ``journalctl -x``; a test keeps the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What happened."""

    CREATED = "created"
    """It was deployed."""
    STARTING = "starting"
    """systemd began to start it: a new run."""
    STARTED = "started"
    """Its processes exist: the scope is there."""
    READY = "ready"
    """Its unit is active; with Notify=, it has said or shown that it is ready."""
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    OOM = "oom"
    """The kernel, or systemd-oomd, ended a process of it for lack of memory."""
    EXITED = "exited"
    """Its main process ended."""
    RESTARTING = "restarting"
    """systemd will start it again by itself (Restart=)."""
    GIVEN_UP = "given-up"
    """It was to be restarted, and systemd does not do so any more: start limit."""
    STOPPED = "stopped"
    """Its unit is down, as somebody asked for."""
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    REMOVED = "removed"
    PULLED = "pulled"
    """An image was fetched; `Event.name` is empty."""
    LOST = "lost"
    """Some of what happened cannot be told: the journal was rotated past the cursor, or refused entries."""


#: For ``journalctl MESSAGE_ID=…``; random, as systemd-id128(1) makes them.
MESSAGE_IDS: dict[Kind, str] = {
    Kind.CREATED: "14aaced732e045d68fee73f11c060741",
    Kind.STARTING: "b6431e403b6e4668bfa10b2741a4e4d5",
    Kind.STARTED: "00f7a1c6693b418ebdea115916f97a3c",
    Kind.READY: "22efa8656c764640ab5f95dd5ec182f4",
    Kind.HEALTHY: "15762f312b3143299df09b22294da45f",
    Kind.UNHEALTHY: "7970b583225e49089874a7aa0b3d4b72",
    Kind.OOM: "05a491a83a4446febac8c5b4a6a750e2",
    Kind.EXITED: "f45a63eda4714c60a56927712d7f890b",
    Kind.RESTARTING: "ed07747e10c44b9b8b2e4248d74a882a",
    Kind.GIVEN_UP: "81553c750db94560aa126320d59d3874",
    Kind.STOPPED: "c075fcce4b0f488e9200ad996c61f0ab",
    Kind.PAUSED: "fe5a3777f4d24f508aab8c887d02205b",
    Kind.UNPAUSED: "2426161e0fd94eafaa05d679521bb315",
    Kind.REMOVED: "b8a5020907c742099e6297f6b54f2901",
    Kind.PULLED: "65dc7c2300c543d79f8d04763223b90e",
    Kind.LOST: "225920d468ff4f128fed119228bb7680",
}


@dataclass(frozen=True, slots=True)
class Job:
    """The systemd job behind an event: its number, type ('start', 'restart', 'stop' …) and result, if it has ended."""

    id: int = 0
    type: str = ""
    result: str = ""


NO_JOB = Job()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, once."""

    kind: Kind
    name: str
    """The container."""
    at: int
    """When, in microseconds since the epoch."""
    invocation: str = ""
    """The run it belongs to: systemd's invocation ID, 32 hex digits; empty outside of any."""
    code: str = ""
    """EXITED: 'exited', 'killed', 'dumped', or 'unknown' when nobody has seen it."""
    status: int = 0
    """EXITED: the exit status, or the signal's number."""
    detail: str = ""
    """What else is to say, in words: the image, systemd's Result, the last words of a probe."""
    project: str = ""
    job: Job = NO_JOB
    source: str = ""
    """Cursor of the journal entry that told it; empty when systemd itself did."""

    @property
    def exit_code(self) -> int:
        """As a shell would report it: the status, or 128 plus the signal."""
        return self.status if self.code in ("exited", "") else 128 + self.status
