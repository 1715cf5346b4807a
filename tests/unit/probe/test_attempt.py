"""What follows from a probe, and what is said about it."""

from __future__ import annotations

import os
import subprocess

import pytest

from supervisor.health import machine
from supervisor.health.record import HEALTHY, STARTING, UNHEALTHY, Result
from supervisor.probe.attempt import due_actions, last_words
from supervisor.probe.run import age

UP, DOWN = machine.BECAME_HEALTHY, machine.BECAME_UNHEALTHY


@pytest.mark.parametrize(
    ("status", "wanted", "is_said_healthy", "due"),
    [
        (STARTING, (), False, ()),
        (STARTING, (), True, ()),  # its gate is at work
        (STARTING, (machine.RESTART,), True, (machine.RESTART,)),
        (HEALTHY, (UP,), False, (UP,)),
        (HEALTHY, (), True, ()),
        (HEALTHY, (), False, (UP,)),
        (UNHEALTHY, (DOWN, machine.KILL), True, (DOWN, machine.KILL)),
        (UNHEALTHY, (DOWN, machine.STOP), False, (machine.STOP,)),
        (UNHEALTHY, (), True, (DOWN,)),
        (UNHEALTHY, (), False, ()),
    ],
)
def test_the_unit_is_made_to_agree(
    status: str, wanted: tuple[str, ...], is_said_healthy: bool, due: tuple[str, ...]
) -> None:
    """Also when nothing has changed now; the container is acted on only when that is wanted."""
    assert due_actions(status, wanted, is_said_healthy) == due


def test_last_words_fit_in_a_message() -> None:
    """However much the probe wrote, on one line."""
    assert len(last_words(Result(0, 1, 1, "much\nmore " * 100_000))) < 1100
    assert len(last_words(Result(0, 1, -1, "x" * 1_000_000))) <= 1000


def test_the_age_of_a_process() -> None:
    """A run began when its init did, not with the first probe."""
    with subprocess.Popen(["sleep", "100"]) as child:
        assert 0 <= age(child.pid) <= age(os.getpid())
        assert age(1) > age(child.pid)
        child.kill()
    assert age(child.pid) == 0
