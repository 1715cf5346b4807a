"""The live model of one container: frozen values that `supervisor.lifecycle.machine` replaces. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.events.event import Kind
from supervisor.lifecycle.observation import UnitState
from supervisor.lifecycle.phase import Phase, phase
from supervisor.spec.card import Card

#: So many runs of a container are remembered: what is seen of one may come when others have begun.
RUNS = 5
FORGOTTEN = 16


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended: as in `supervisor.events.event.Event`, and systemd's Result for the unit."""

    code: str
    status: int
    at: int
    result: str = ""

    @property
    def number(self) -> int:
        """As a shell would report it: the status, or 128 plus the signal."""
        return self.status if self.code in ("exited", "") else 128 + self.status


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of the unit. Times: microseconds since the epoch, 0: not (yet)."""

    invocation: str
    starting_at: int = 0
    started_at: int = 0
    ready_at: int = 0
    ended_at: int = 0
    exit: Exit | None = None
    ooms: int = 0
    restarting: bool = False
    reported: tuple[Kind, ...] = ()
    """What was told of this run already, in that order."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as the supervisor knows it."""

    name: str
    card: Card | None = None
    """None: not deployed (any more)."""
    unit: UnitState = field(default_factory=lambda: UnitState(""))
    health: str = ""
    """'starting', 'healthy', 'unhealthy'; empty without a health check that repeats."""
    runs: tuple[Run, ...] = ()
    """The present or last run, and some before it: the latest last, `RUNS` at most."""
    forgotten: tuple[str, ...] = ()
    """Invocations of the runs before those: of these, nothing is news. `FORGOTTEN` at most."""
    last: Exit | None = None
    """How the last run that ended did so."""
    exits: tuple[tuple[str, int], ...] = ()
    """How often it ended, by reason: 'success', 'exit-code', 'signal', 'core-dump', 'oom', 'unknown'; sorted. Counted
    since the supervisor first saw it."""
    restarts: int = 0
    """Restarts by systemd itself (Restart=), counted as `exits`."""
    probe_usec: int = 0
    """How long the last health probe took, from asking systemd to its end; 0: none was made."""
    paused: bool = False
    paused_at: int = 0
    """When that last changed."""

    @property
    def run(self) -> Run | None:
        """The present or the last run."""
        return self.runs[-1] if self.runs else None

    @property
    def restarted(self) -> int:
        """*restarts*, or systemd's own count since it was last started otherwise, where that is more: what happens
        while journald is down is in no journal."""
        return max(self.restarts, self.unit.restarts)

    @property
    def phase(self) -> Phase:
        """Where it is in its life."""
        over = self.last is not None and self.unit.result not in ("protocol", "resources")
        # Not by its main process: one that has yet to say that it is ready (Notify=) has that too.
        oneshot = self.card is not None and self.card.oneshot
        return phase(self.unit.active, self.unit.sub, frozen=self.paused, oneshot=oneshot, ended=over)
