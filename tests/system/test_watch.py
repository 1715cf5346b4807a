"""supervisor.systemd.watch against this host's systemd, with a real container."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from conftest import Define
from hostkit import ctrctl, main_pid, run, scope, service, show, systemctl, wait_until

from supervisor.lifecycle.observation import UnitState
from supervisor.systemd.watch import Watch

DEFINITION = """
    [Container]
    Image={image}
    RunInit=true
    Exec=sleep infinity
    [Service]
    Restart=on-failure
    RestartSec=100ms
    ExecStop=/bin/sh -c 'while test -e /run/test-watch; do sleep 0.1; done'
"""
#: While it is there, the container's stop goes on.
HOLD = Path("/run/test-watch")


class Told:
    """A sink that keeps the latest, and what has passed; read from the test's thread."""

    def __init__(self) -> None:
        self.units: dict[str, UnitState] = {}
        self.passed: list[UnitState] = []
        self.scopes: dict[str, bool] = {}
        self.jobs: dict[int, tuple[str, str]] = {}
        self.rebuilds = 0
        self.losses: list[str] = []

    def rebuilt(self, units: Mapping[str, UnitState], health: Mapping[str, str]) -> None:
        self.units = dict(units)
        self.rebuilds += 1

    def changed(self, unit: UnitState) -> None:
        self.units[unit.name] = unit
        self.passed.append(unit)

    def scope(self, name: str, active: bool, at: int) -> None:
        self.scopes[name] = active

    def health(self, name: str, health: str) -> None:
        pass

    def job_ended(self, id: int, unit: str, result: str) -> None:
        self.jobs[id] = (unit, result)

    def lost(self, reason: str) -> None:
        self.losses.append(reason)


@contextmanager
def watching() -> Iterator[tuple[Watch, Told, BlockingPortal]]:
    """A watch in a thread of its own, after its first rebuild."""
    told = Told()
    with start_blocking_portal() as portal:
        watch: Watch = portal.call(Watch, told)
        scopes: list[anyio.CancelScope] = []

        async def watch_on() -> None:
            with anyio.CancelScope() as here:
                scopes.append(here)
                await watch.run()

        done = portal.start_task_soon(watch_on)
        try:
            wait_until(lambda: told.rebuilds or done.done(), what="the first rebuild")
            yield watch, told, portal
        finally:
            if not done.done():
                portal.call(scopes[0].cancel)
            done.result(60)


@pytest.fixture
def web(define: Define, busybox: str) -> str:
    """A container, not started."""
    define("web", DEFINITION.format(image=busybox))
    return "web"


def until(told: Told, condition: Callable[[UnitState], object], what: str) -> UnitState:
    """Wait for a state of the container that fits."""

    def fits() -> UnitState | None:
        unit = told.units.get("web")
        return unit if unit and condition(unit) else None

    return wait_until(fits, what=what)


def as_systemd_says(told: Told) -> None:
    """What is told in the end is what systemctl shows."""

    def same() -> bool:
        of = show(service("web"), "ActiveState", "SubState", "MainPID", "InvocationID", "NRestarts", "Result")
        unit = told.units.get("web", UnitState("web"))
        return of == {
            "ActiveState": unit.active,
            "SubState": unit.sub,
            "MainPID": str(unit.main_pid),
            "InvocationID": unit.invocation,
            "NRestarts": str(unit.restarts),
            "Result": unit.result,
        }

    wait_until(same, what="what is told is what systemd says")


def say_freezer(name: str) -> None:
    """systemd 252 sends no signal when a freezer's state changes, but its state with the next: here, of a job that has
    nothing to do."""
    systemctl("start", "--job-mode=ignore-dependencies", scope(name))


def test_a_containers_life(web: str) -> None:
    """Start, kill, restart by systemd, pause, stop: each state arrives, with its run, its exit and its job; no state
    says that a run is over that has not begun."""
    with watching() as (watch, told, portal):
        assert web not in told.units or told.units[web].active == "inactive"
        job = portal.call(watch.start, service(web))
        first = until(told, lambda u: u.sub == "running" and not u.job, "it runs")
        wait_until(lambda: told.jobs.get(int(job.rpartition("/")[2])) == (service(web), "done"), what="its job ended")
        wait_until(lambda: told.scopes.get(web), what="its scope is there")
        assert 0 < first.starting_at < first.ready_at and first.invocation
        pid = main_pid(web)
        os.kill(pid, signal.SIGKILL)
        second = until(told, lambda u: u.sub == "running" and u.invocation != first.invocation, "it runs again")
        ends = [u for u in told.passed if u.invocation == first.invocation and u.exit_code]
        assert ends and {(u.exit_pid, u.exit_code, u.exit_status) for u in ends} == {(pid, "killed", 9)}
        assert {u.starting_at for u in ends} == {first.starting_at}
        assert second.starting_at >= ends[0].exited_at > 0 and second.ready_at > second.starting_at
        assert second.restarts == 1
        wait_until(lambda: told.scopes.get(web), what="its scope is there")
        ctrctl("pause", web)
        say_freezer(web)
        until(told, lambda u: u.frozen, "it is paused")
        ctrctl("unpause", web)
        say_freezer(web)
        until(told, lambda u: not u.frozen, "it goes on")
        HOLD.touch()
        try:
            systemctl("stop", "--no-block", service(web))
            # Its type is asked of systemd: a job that is over has none any more.
            wait_until(lambda: any(u.job_type == "stop" for u in [*told.passed]), what="its job is told")
        finally:
            HOLD.unlink()
        last = until(told, lambda u: u.active in ("failed", "inactive") and not u.job, "it is down")
        assert last.invocation == second.invocation and last.exit_code
        wait_until(lambda: told.scopes.get(web) is False, what="its scope is gone")
        begun = [u for u in told.passed if u.main_pid and u.active in ("inactive", "failed")]
        assert not begun
        as_systemd_says(told)


def test_systemd_and_the_bus_go_and_come(web: str) -> None:
    """After daemon-reload, daemon-reexec and a stopped bus, what is told is systemd's truth, changes in between
    included, and the connection is said to be lost only where it was."""
    with watching() as (watch, told, _):
        systemctl("start", service(web))
        until(told, lambda u: u.sub == "running", "it runs")
        rebuilds = told.rebuilds
        systemctl("daemon-reload")
        wait_until(lambda: told.rebuilds > rebuilds, what="everything was told after daemon-reload")
        assert not told.losses
        as_systemd_says(told)
        rebuilds = told.rebuilds
        systemctl("daemon-reexec")
        wait_until(lambda: told.rebuilds > rebuilds and told.losses, what="everything was told after daemon-reexec")
        as_systemd_says(told)
        pid = main_pid(web)
        rebuilds, before = told.rebuilds, until(told, lambda u: u.sub == "running", "it runs")
        systemctl("stop", "dbus.socket", "dbus.service")
        try:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: main_pid(web) not in (0, pid), what="it runs again")
        finally:
            systemctl("start", "dbus.socket", "dbus.service")
        wait_until(lambda: told.rebuilds > rebuilds, what="everything was told after the bus came back")
        until(told, lambda u: u.sub == "running" and u.invocation != before.invocation, "it runs again")
        as_systemd_says(told)
        wait_until(lambda: watch.reconnects >= 2, what="it has connected again, twice")
        systemctl("stop", service(web))
        until(told, lambda u: u.active in ("failed", "inactive"), "it is down")


def test_the_scope_of_a_paused_container_is_found(web: str) -> None:
    """A watch that begins later tells the same: pause and scope are systemd's to remember, not ours."""
    systemctl("start", service(web))
    main_pid(web)
    run("systemctl", "freeze", scope(web))
    try:
        with watching() as (_, told, _):
            assert told.units[web].frozen
            wait_until(lambda: told.scopes == {web: True}, what="its scope is told, after its unit")
            as_systemd_says(told)
    finally:
        run("systemctl", "thaw", scope(web))
