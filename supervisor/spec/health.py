"""How a container tells that it is well, and when its service counts as started."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Notify(Enum):
    """What makes ``ctr@NAME.service`` active (podman-run(1) ``--sdnotify``)."""

    STARTED = "started"
    """Its first process runs."""
    CONTAINER = "container"
    """The container says READY=1 (sd_notify(3))."""
    HEALTHY = "healthy"
    """Its health check passed."""


class HealthAction(Enum):
    """What happens to a container that becomes unhealthy (podman-run(1) ``--health-on-failure``)."""

    NONE = "none"
    KILL = "kill"
    RESTART = "restart"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class StartupProbe:
    """Runs instead of the health check until it has passed *successes* times. Durations are seconds."""

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 0
    """Consecutive failures after which the container is restarted; 0: never."""
    successes: int = 1


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A command run inside the container: exit status 0 is healthy. Durations are seconds."""

    command: tuple[str, ...]
    """The words to execute; a shell command line is ('/bin/sh', '-c', TEXT)."""
    interval: float = 30.0
    """Time from the end of one probe to the next; 0: no probe by itself, only ``ctrctl healthcheck run``."""
    timeout: float = 30.0
    """A probe that takes longer is killed and counts as a failure; 0: none."""
    retries: int = 3
    """Consecutive failures that make the container unhealthy."""
    start_period: float = 0.0
    """Time after the start in which failures do not count."""
    start_interval: float = 5.0
    """The interval during *start_period* (docker-run(1) ``--health-start-interval``)."""
    action: HealthAction = HealthAction.NONE
    startup: StartupProbe | None = None
    log_count: int = 5
    """How many results ``ctrctl inspect`` shows; 0: without limit (podman)."""
    log_size: int = 500
    """Characters kept of one result's output; 0: without limit."""


@dataclass(frozen=True, slots=True)
class HealthChanges:
    """What a container changes of its image's health check: members of `HealthCheck`, None for the image's own."""

    action: HealthAction | None = None
    startup: StartupProbe | None = None
    log_count: int | None = None
    log_size: int | None = None
