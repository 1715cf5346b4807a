"""What one scrape knows: of every container, of the supervisor, and of the control groups. Pure values.

`supervisor.metrics.sources` fills them in; `supervisor.metrics.families` turns them into metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.stats.usage import Usage


@dataclass(frozen=True, slots=True)
class Facts:
    """One container. Times: microseconds since the epoch, 0: never. None: nobody knows it at the moment, which is
    another thing than 0."""

    name: str
    project: str = ""
    image: str = ""
    image_digest: str = ""
    active: bool = False
    """Whether its unit is active: it runs, or is paused, or is done and stays active (oneshot)."""
    failed: bool | None = None
    """Whether its unit is failed."""
    phase: str = ""
    """Value of `supervisor.lifecycle.phase.Phase`; empty: not known."""
    health: str = ""
    """'starting', 'healthy', 'unhealthy'; empty without a health check that repeats."""
    starting_at: int = 0
    started_at: int = 0
    ready_at: int = 0
    restarts: int | None = None
    exits: Mapping[str, int] | None = None
    """How often it ended, by reason: `supervisor.lifecycle.model.Container.exits`."""
    last_exit_code: int | None = None
    """As a shell would report it."""
    last_exit_at: int = 0
    probe_time: int = 0
    """How long its last health probe took, microseconds."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one of our own services uses."""

    cpu: int
    """Microseconds."""
    resident: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at one moment."""

    containers: tuple[Facts, ...] = ()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    """By container; those that run."""
    slices: Mapping[str, Usage] = field(default_factory=dict)
    """By slice unit."""
    services: Mapping[str, Service] = field(default_factory=dict)
    """Our own, by unit."""
    supervisor_version: str = ""
    """Empty: the supervisor does not answer."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """The supervisor's own, by the names of its D-Bus property Counters."""
    systemd: bool = True
    """False: neither the supervisor nor systemd answers, and only the kernel was asked."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each source took: 'supervisor', 'systemd', 'kernel'."""
