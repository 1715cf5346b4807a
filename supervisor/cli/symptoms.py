"""What ``ctrctl diagnose`` saw of a container, and what it makes of it, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from supervisor.graph.waiting import Job
from supervisor.lifecycle.phase import Phase
from supervisor.names import service_unit


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    BUSY = "busy"
    """Something is under way; wait."""
    IDLE = "idle"
    """It does not run, and nothing is wrong."""
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The likely cause, in a sentence, and what to do about it (empty: nothing)."""

    level: Level
    cause: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Culprit:
    """A unit that failed by itself and so keeps the container from starting: how people call it, the way to it, and its
    own last words."""

    name: str
    unit: str
    way: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What was seen of one container; what could not be seen is left at its default."""

    name: str
    phase: Phase = Phase.CREATED
    load: str = "loaded"
    """LoadState of its unit"""
    result: str = "success"
    """systemd's Result of the last run"""
    code: str = ""
    """How the last run ended: 'exited', 'killed', 'dumped'; empty: not yet, or never"""
    status: int = 0
    signal: str = ""
    """The signal that ended it, as in 'signal 9 (SIGKILL)'."""
    oom: int = 0
    """How many of its processes the OOM killer ended, in the present or else the last run."""
    seconds: float | None = None
    """How long the last run took."""
    restarts: int = 0
    """By systemd itself"""
    policy: str = "no"
    """Restart="""
    launcher: str = ""
    """The last words of the launcher, when it failed."""
    output: str = ""
    """The last line that the container itself wrote in the last run."""
    credentials: str = ""
    """Why systemd could not load its secrets."""
    jobs: tuple[tuple[int, Job], ...] = ()
    health: str = ""
    streak: int = 0
    probe: str = ""
    """What the last failed probe said."""
    culprits: tuple[Culprit, ...] = ()
    ailing: tuple[str, ...] = ()
    """The containers that it requires, and that run, but are unhealthy."""
    condition: bool = True
    """Whether the Condition… lines of its unit were met."""
    image: str = ""
    image_missing: bool = False
    pids: int = 0
    """How often it hit its limit of processes."""
    memory_max: int = 0
    """How often it hit MemoryMax=, and was throttled at MemoryHigh="""
    memory_high: int = 0
    throttled: float = 0.0
    """The share of CPU periods in which it was held back by CPUQuota="""

    @property
    def is_down(self) -> bool:
        return not self.phase.is_up

    @property
    def is_asked_to_stop(self) -> bool:
        """Somebody wants it stopped, or stopped and started again."""
        own = service_unit(self.name)
        return any(job.unit == own and job.type in ("stop", "restart") for _, job in self.jobs)

    @property
    def ended_badly(self) -> bool:
        """Its last run failed, and it does not run now, or is being cleaned up after."""
        if self.phase in (Phase.FAILED, Phase.RESTARTING):
            return True
        over = self.is_down or (self.phase is Phase.STOPPING and not self.is_asked_to_stop)
        return over and self.result not in ("success", "") and bool(self.code or self.launcher)


def counted(count: int, what: str = "time") -> str:
    """As in '1 time', '2 times'; of *what* happened as often."""
    return f"{count} {what}{'' if count == 1 else 's'}"
