"""Phase and health: what a person is told of the states of systemd's units."""

from __future__ import annotations

import pytest

from supervisor.lifecycle.phase import Phase, health, phase


@pytest.mark.parametrize(
    ("active", "sub", "expected"),
    [
        ("active", "running", Phase.RUNNING),
        ("active", "exited", Phase.EXITED),
        ("reloading", "reload", Phase.RUNNING),
        ("activating", "start", Phase.STARTING),
        ("activating", "auto-restart", Phase.RESTARTING),
        ("activating", "auto-restart-queued", Phase.RESTARTING),
        ("deactivating", "stop-sigterm", Phase.STOPPING),
        ("inactive", "dead", Phase.CREATED),
        ("failed", "failed", Phase.FAILED),
    ],
)
def test_phase_follows_systemd(active: str, sub: str, expected: Phase) -> None:
    """Each state of a service has one phase."""
    assert phase(active, sub) is expected


def test_a_recorded_exit_makes_it_exited() -> None:
    """Whether systemd still remembers the failure or not, a program that ended has exited."""
    assert phase("failed", "failed", ended=True) is Phase.EXITED
    assert phase("inactive", "dead", ended=True) is Phase.EXITED


def test_a_start_that_came_to_nothing_has_failed() -> None:
    """Without an exit status to show."""
    assert phase("failed", "failed", ended=False) is Phase.FAILED


def test_a_oneshot_runs_while_it_activates() -> None:
    """For Type=oneshot, 'activating' is the work itself."""
    assert phase("activating", "start", oneshot=True) is Phase.RUNNING
    assert phase("activating", "start", oneshot=True, frozen=True) is Phase.PAUSED


def test_frozen_means_paused_only_while_running() -> None:
    """A frozen scope shows as paused."""
    assert phase("active", "running", frozen=True) is Phase.PAUSED
    assert phase("inactive", "dead", frozen=True) is Phase.CREATED


@pytest.mark.parametrize(
    ("gate", "timer", "expected"),
    [
        (("active", False), ("active", False), "healthy"),
        (("activating", False), ("inactive", False), "starting"),
        (("inactive", True), ("active", False), "starting"),
        (("inactive", False), ("active", False), "unhealthy"),
        (("failed", False), ("inactive", True), "unhealthy"),
        (("inactive", False), ("inactive", False), ""),
    ],
)
def test_health(gate: tuple[str, bool], timer: tuple[str, bool], expected: str) -> None:
    """As ctrctl ps shows it."""
    assert health(gate, timer) == expected
