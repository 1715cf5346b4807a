"""The conditions of ``ctrctl wait``: when each holds, by what systemd says."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import pytest

from supervisor.cli.wait import CONDITIONS, HOLDS, Deadline, _TimedOutError, _watch, passed, seen
from supervisor.lifecycle.phase import Phase
from supervisor.systemd.manager import UnitStatus, unit_path
from supervisor.systemd.sdbus import Message


def _states(*rows: tuple[str, str, str]) -> dict[str, UnitStatus]:
    return {name: UnitStatus(name, "", "loaded", active, sub, 0) for name, active, sub in rows}


WEB = "ctr@web.service"
RUNNING = (WEB, "active", "running")
GATE, TIMER = "ctr-healthy@web.service", "ctr-health@web.timer"


@pytest.mark.parametrize(
    ("states", "holding"),
    [
        (_states(), {"stopped"}),
        (_states((WEB, "failed", "failed")), {"stopped"}),
        (_states((WEB, "active", "exited")), {"stopped"}),
        (_states((WEB, "activating", "auto-restart")), set()),
        (_states((WEB, "activating", "start")), set()),
        (_states((WEB, "deactivating", "stop-sigterm")), set()),
        (_states(RUNNING), {"running"}),
        (_states(RUNNING, (GATE, "activating", "start"), (TIMER, "active", "waiting")), {"running"}),
        (_states(RUNNING, (GATE, "active", "exited"), (TIMER, "active", "waiting")), {"running", "healthy"}),
        (_states(RUNNING, (GATE, "failed", "failed"), (TIMER, "active", "waiting")), {"running", "unhealthy"}),
        (_states((WEB, "deactivating", "stop"), (GATE, "active", "exited")), set()),
    ],
)
def test_what_holds_when(states: dict[str, UnitStatus], holding: set[str]) -> None:
    """A container that is between two runs is neither running nor stopped."""
    now = seen("web", states, oneshot=False)
    assert {condition for condition, holds in HOLDS.items() if holds(*now)} == holding


def test_a_oneshot_runs_while_it_starts() -> None:
    """Type=oneshot: systemd calls 'activating' what is running for the container."""
    assert seen("web", _states((WEB, "activating", "start")), oneshot=True) == (Phase.RUNNING, "")


def test_every_condition_is_known() -> None:
    """Those with ways of their own beside those that look at the state."""
    assert set(CONDITIONS) == {*HOLDS, "exited", "removed"}


def _signal(unit: str, **changed: str) -> Message:
    return Message(unit_path(unit), "org.freedesktop.DBus.Properties", "PropertiesChanged", ("x.Unit", changed, []))


def test_a_state_that_is_over_already_was_there() -> None:
    """A container that lives a millisecond has been running: the signal says so, though a look would not."""
    running = HOLDS["running"]
    assert passed("web", _signal(WEB, ActiveState="active", SubState="running"), running, oneshot=False)
    assert not passed("web", _signal(WEB, ActiveState="failed", SubState="failed"), running, oneshot=False)
    assert not passed("web", _signal(WEB, Result="success"), running, oneshot=False)
    assert not passed("web", _signal("ctr@other.service", ActiveState="active"), running, oneshot=False)
    assert not passed("web", None, running, oneshot=False)


def test_a_deadline() -> None:
    """It says how long to sleep, and when the time is over."""
    assert 0 < Deadline(None).left() <= 60
    assert 0 < Deadline(5).left() <= 5
    with pytest.raises(_TimedOutError):
        Deadline(0).left()


def test_the_kernel_tells_of_a_removal(tmp_path: Path) -> None:
    """A directory that goes, or that is moved away, wakes the waiting; one that cannot be watched is said."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    fd, complete = _watch((str(tmp_path), str(tmp_path / "a")))
    try:
        assert complete
        assert not select.select([fd], [], [], 0)[0]
        (tmp_path / "b").rmdir()
        began = time.monotonic()
        assert select.select([fd], [], [], 20)[0]
        assert time.monotonic() - began < 20
    finally:
        os.close(fd)
    fd, complete = _watch((str(tmp_path), str(tmp_path / "gone")))
    os.close(fd)
    assert not complete
