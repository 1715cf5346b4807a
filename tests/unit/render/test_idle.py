"""What deploy writes for containers that are stopped when idle."""

from __future__ import annotations

import pytest

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import dropins, idle
from supervisor.spec.container import NamespaceMode
from tests.unit.render.sample import FACTS, IMAGE, container


def test_others_pay_nothing() -> None:
    """No unit, no line in the drop-in, none in the plan."""
    assert idle.units(container(), Layout()) == ()
    assert idle.companions(container()) == []
    assert list(idle.plan_lines(container())) == []


@pytest.mark.parametrize(
    ("timeout", "every", "accuracy"), [(600.0, 60000, 15000), (60.0, 15000, 3750), (1.0, 250, 62), (1e6, 60000, 15000)]
)
def test_the_timer_looks_several_times(timeout: float, every: int, accuracy: int) -> None:
    """Four times in the idle time, at least every minute."""
    (unit,) = idle.units(container(idle_timeout=timeout), Layout())
    assert unit.path == "/etc/systemd/system/ctr-idle@web.timer.d/50-ctr.conf"
    assert unit.text.splitlines()[1:] == [
        "[Timer]",
        f"OnActiveSec={every}ms",
        f"OnUnitInactiveSec={every}ms",
        f"AccuracySec={accuracy}ms",
    ]


def test_the_timer_comes_with_the_run() -> None:
    """Started by the unit itself, after the container; its failure is not the container's."""
    text = dropins.text(container(idle_timeout=60.0), IMAGE, FACTS, Layout())
    line = "ExecStartPost=-/usr/bin/systemctl --no-block --job-mode=fail start ctr-idle@web.timer"
    assert line in text.splitlines()
    assert list(idle.plan_lines(container(idle_timeout=60.0))) == [("idle", "60.0")]


def test_a_job_that_ends_is_refused() -> None:
    """Also one that no definition was checked for."""
    with pytest.raises(UserError, match="runs to completion"):
        idle.units(container(idle_timeout=60.0, oneshot=True), Layout())


def test_the_program_knows_that_the_sockets_are_for_it() -> None:
    """LISTEN_PID= is the program's number as it sees it: 2 below an init, unknown in the host's namespace, else 1."""
    assert list(idle.plan_lines(container(run_init=True))) == [("listen-pid", "2")]
    assert list(idle.plan_lines(container(run_init=True, pid_namespace=NamespaceMode.HOST))) == [("listen-pid", "")]
