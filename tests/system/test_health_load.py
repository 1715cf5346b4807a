"""Probes as the supervisor has them made: many containers, commands that hang or flood, actions that do not help."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import (
    cgroup_of,
    ctrctl,
    is_active,
    main_pid,
    messages,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

Define = Callable[..., str]

SUPERVISOR = "ctr-supervisor.service"
#: The CI machine is slow, and two processors may probe ten containers a second.
PATIENCE = 60.0


def definition(image: str, *lines: str, before: str = "") -> str:
    """A container that does nothing and has a health check: /ready is there."""
    common = ["[Container]", f"Image={image}", "Network=none", "Exec=sleep 1000000", "StopSignal=SIGKILL"]
    check = ["HealthCmd=test -e /ready", "HealthInterval=1s", "HealthRetries=1"]
    return "\n".join([before, *common, *check, *lines]) + "\n"


def healthy(name: str) -> str:
    return f"ctr-healthy@{name}.service"


def log(name: str) -> list[dict[str, object]]:
    """The last results of container *name*."""
    found: dict[str, list[dict[str, object]]] = json.loads(ctrctl("inspect", "-f", "health", name).stdout) or {}
    return found.get("log", [])


def next_probe(name: str) -> None:
    """Wait until container *name* was probed once more."""
    last = log(name)
    wait_until(lambda: log(name) not in ([], last), PATIENCE, f"{name} is probed")


def set_ready(name: str, ready: bool) -> None:
    """Have the check of container *name* pass or fail from now on."""
    ctrctl("exec", name, *(("touch", "/ready") if ready else ("rm", "/ready")))


@pytest.fixture
def no_supervisor() -> Iterator[None]:
    """The supervisor does not run."""
    systemctl("stop", SUPERVISOR)
    yield
    systemctl("start", SUPERVISOR)


def test_many_containers(define: Define, busybox: str) -> None:
    """16 of them at a second: those that become unhealthy are found and the others left alone, what is unhealthy is
    probed on and recovers, a supervisor that was killed goes on, and others start as if nothing were there."""
    names = [f"c{number:02}" for number in range(16)]
    for name in names:
        define(name, definition(busybox, "HealthStartPeriod=10min"), apply=False)
    define("plain", f"[Container]\nImage={busybox}\nNetwork=none\nExec=sleep 1000000\nStopSignal=SIGKILL\n")
    systemctl("start", *map(service, names))
    for name in names:
        Path(f"/proc/{main_pid(name)}/root/ready").touch()
    wait_until(lambda: states(names) == {"active"}, PATIENCE, "all are healthy")
    sick = names[::6]
    for name in sick:
        set_ready(name, False)
    wait_until(lambda: not any(map(is_active, map(healthy, sick))), PATIENCE, "the sick are found")
    assert states([name for name in names if name not in sick]) == {"active"}
    systemctl("start", service("plain"))
    systemctl("kill", "--signal=KILL", SUPERVISOR)
    for name in sick:
        set_ready(name, True)
    wait_until(lambda: states(names) == {"active"}, PATIENCE, "all are healthy again")


def states(names: list[str]) -> set[str]:
    """ActiveState of their health units."""
    shown = systemctl("show", "--property=ActiveState", "--value", *map(healthy, names)).stdout
    return set(shown.split())


def test_commands_that_hang_hold_up_nobody(define: Define, busybox: str) -> None:
    """More of them than processors, under way at the same time; another container is probed meanwhile."""
    count = min(20, 2 * (os.cpu_count() or 1) + 2)
    slow = [f"slow{number}" for number in range(count)]
    for name in slow:
        # Well at first, so that its gate ends; hangs from then on.
        script = "HealthCmd=test -e /ready || exec touch /ready; exec sleep 1000000"
        define(name, definition(busybox, script, "HealthTimeout=10min"), apply=False)
    define("quick", definition(busybox, "HealthCmd=true"))
    ctrctl("start", "--wait", "quick", *slow)

    def all_hang() -> bool:
        return all(show(f"ctr-health@{name}.service", "ActiveState")["ActiveState"] == "activating" for name in slow)

    wait_until(all_hang, PATIENCE, "all probes are under way")
    for _ in range(3):
        next_probe("quick")
    assert all_hang()


def test_the_timer_probes_when_the_supervisor_does_not(define: Define, busybox: str, no_supervisor: None) -> None:
    """A minute later than it would have; here the minute is taken away."""
    define("db", definition(busybox, "HealthStartPeriod=10min"))
    timer = "ctr-health@db.timer"
    assert "OnUnitInactiveSec=61000000us" in systemctl("cat", timer).stdout
    soon = Path(f"/run/systemd/system/{timer}.d/90-test.conf")
    soon.parent.mkdir(parents=True)
    soon.write_text("[Timer]\nOnActiveSec=\nOnActiveSec=100ms\nOnUnitInactiveSec=100ms\nAccuracySec=10ms\n")
    systemctl("daemon-reload")
    try:
        systemctl("start", service("db"))
        Path(f"/proc/{main_pid('db')}/root/ready").touch()
        wait_until(lambda: is_active(healthy("db")))
        set_ready("db", False)
        wait_until(lambda: not is_active(healthy("db")))
    finally:
        soon.unlink()
        soon.parent.rmdir()
        systemctl("daemon-reload")


def test_a_probe_that_floods(define: Define, busybox: str) -> None:
    """Zeros without end: it ends by its timeout, what is kept is short, what reads it stays small, and its processor
    time is the container's."""
    define("db", definition(busybox, "HealthCmd=cat /dev/zero", "HealthTimeout=2s", "HealthInterval=disable"))
    systemctl("start", service("db"))
    main_pid("db")
    before = used("db")
    script = (
        "import resource, subprocess; subprocess.run(['/usr/lib/ctr/ctr-probe', 'once', 'db'], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    kilobytes = int(run(sys.executable, "-c", script).stdout)
    assert kilobytes < 64 << 10
    (result,) = log("db")
    output = str(result["output"])
    assert result["exit_code"] == -1
    assert output.startswith("no answer within 2 s")
    assert len(output) <= 500
    assert used("db") - before > 0.1


def used(name: str) -> float:
    """Processor seconds of a container so far."""
    return int((cgroup_of(scope(name)) / "cpu.stat").read_text().split()[1]) / 1e6


@pytest.mark.parametrize("action", ["restart", "kill"])
def test_an_action_that_does_not_help_is_not_repeated_at_once(define: Define, busybox: str, action: str) -> None:
    """Unhealthy after every start: restarted at once the first time, then after pauses that grow; systemd's start limit
    (5 in 10 s) does not end it, as it did without the pauses."""
    restart = "[Service]\nRestart=always" if action == "kill" else ""
    check = ("HealthCmd=false", "HealthInterval=100ms", f"HealthOnFailure={action}", restart)
    define("db", definition(busybox, *check))
    systemctl("start", service("db"))
    first = show(service("db"), "InvocationID")
    wait_until(lambda: show(service("db"), "InvocationID") != first and is_active(service("db")), PATIENCE)
    said = f"{action} in "
    wait_until(lambda: any(said in line for line in messages(unit=service("db"))), PATIENCE, "it is said")
    wait_until(lambda: acted("db") > 1, PATIENCE, "it goes on, more slowly")
    wait_until(lambda: is_active(service("db")), PATIENCE)


def acted(name: str) -> int:
    """How many actions in a row."""
    return int(Path(f"/var/lib/ctr/containers/{name}/last-action").read_text().split()[0])
