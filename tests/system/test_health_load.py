"""Probes as the supervisor has them made: many containers, commands that hang or flood, actions that do not help.

``contrib/testbed run --env CTR_PROBED=250 -- python3 -m pytest -rP tests/system/test_health_load.py -k many`` measures
250 containers that want to be probed every second. CTR_FLOOD_GB=8 is a probe that prints 8 GB.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
from eventkit import counter, resident, restart, settled, supervisor_pid
from hostkit import (
    RUNTIME,
    background,
    cgroup_of,
    ctrctl,
    is_active,
    main_pid,
    messages,
    read_lines,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

Define = Callable[..., str]

SUPERVISOR = "ctr-supervisor.service"
COUNT = int(os.environ.get("CTR_PROBED", "16"))
FLOOD_GB = int(os.environ.get("CTR_FLOOD_GB", "1"))
#: The CI machine is slow, and two processors may probe ten containers a second.
PATIENCE = 180.0 * max(1.0, COUNT / 16)
SLEEP = "exec sleep 1000000"


def definition(image: str, *lines: str, before: str = "", script: str = SLEEP) -> str:
    """A container that does nothing and has a health check: /ready is there."""
    common = ["[Container]", f"Image={image}", "Network=none", f'Exec=sh -c "{script}"', "StopSignal=SIGKILL"]
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
    """So many of them at a second: each is probed in turn, later where the processors do not suffice; another container
    starts as if nothing were there, and the supervisor does nothing late. Those that become unhealthy are found and the
    others left alone, what is unhealthy is probed on and recovers, and a supervisor that was killed goes on."""
    names = [f"c{number:03}" for number in range(COUNT)]
    for name in names:
        define(name, definition(busybox, "HealthStartPeriod=1h", script=f"touch /ready; {SLEEP}"), apply=False)
    plain = f"[Container]\nImage={busybox}\nNetwork=none\nExec=sleep 1000000\nStopSignal=SIGKILL\n"
    define("plain", f"[Unit]\nStartLimitIntervalSec=0\n{plain}")
    systemctl("start", *map(service, names), timeout=PATIENCE)
    wait_until(lambda: states(names) == {"active"}, PATIENCE, "all are healthy")
    restart()  # what it did late before, other tests had it do
    measure(names)
    sick = names[:: max(6, COUNT // 6)]
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


def measure(names: list[str]) -> None:
    """Until each was probed once more, start and stop another container; say, and bound, what that took."""
    seen = {name: {at} for name, at in last_probes(names).items()}
    started, took = counter("probes_started"), list[float]()
    began = time.monotonic()
    while min(map(len, seen.values())) < 2:
        assert time.monotonic() < began + PATIENCE, f"not probed: {[n for n, at in seen.items() if len(at) < 2]}"
        before = time.monotonic()
        systemctl("start", service("plain"))
        took.append(time.monotonic() - before)
        systemctl("stop", service("plain"))
        for name, at in last_probes(names).items():
            seen[name].add(at)
    seconds = time.monotonic() - began
    rate = (counter("probes_started") - started) / seconds
    gaps = sorted(after - before for at in seen.values() for before, after in itertools.pairwise(sorted(at)))
    lag = counter("loop_lag_max_usec") / 1e6
    print(
        f"{len(names)} containers at 1 s, {seconds:.0f} s: {rate:.1f} probes/s, one every {median(gaps):.1f} s "
        f"(longest {gaps[-1]:.1f} s); another starts in {median(took):.2f} s (longest {max(took):.2f} s); "
        f"lag of the supervisor {lag * 1000:.0f} ms"
    )
    assert max(took) < 30
    assert lag < 15
    # In turn: nobody waits for much longer than it takes to probe all the others.
    assert gaps[-1] < 3 * (1 + len(names) / rate) + 10


def last_probes(names: list[str]) -> dict[str, float]:
    """When the last result of each container was kept, as a time.time()."""
    return {name: (RUNTIME / f"containers/{name}/health").stat().st_mtime for name in names}


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
    """Zeros without end: it ends by its timeout, and its processor time is the container's."""
    define("db", definition(busybox, "HealthCmd=cat /dev/zero", "HealthTimeout=2s", "HealthInterval=disable"))
    systemctl("start", service("db"))
    main_pid("db")
    before = used("db")
    run("/usr/lib/ctr/ctr-probe", "once", "db")
    (result,) = log("db")
    output = str(result["output"])
    assert result["exit_code"] == -1
    assert output.startswith("no answer within 2 s")
    assert len(output) <= 500
    assert used("db") - before > 0.05  # of two seconds, of which it may have been given few


def test_a_probe_that_prints_gigabytes(define: Define, busybox: str) -> None:
    """What is kept is short, what reads it stays small, as does the supervisor, and another container is probed."""
    flood = f"HealthCmd=dd if=/dev/zero bs=1M count={FLOOD_GB << 10}"
    define("quick", definition(busybox, "HealthCmd=true"), apply=False)
    define("db", definition(busybox, flood, "HealthTimeout=5min", "HealthInterval=disable"))
    ctrctl("start", "--wait", "quick")
    systemctl("start", service("db"))
    main_pid("db")
    settled()
    before, began = resident(supervisor_pid()), time.monotonic()
    script = (
        "import resource, subprocess; subprocess.run(['/usr/lib/ctr/ctr-probe', 'once', 'db'], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    with background(sys.executable, "-c", script, stdout=subprocess.PIPE) as flooded:
        count = 0
        while flooded.poll() is None or not count:
            next_probe("quick")
            count += 1
        assert flooded.stdout is not None
        most = int(flooded.stdout.read())
    after = resident(supervisor_pid())
    (result,) = log("db")
    took = time.monotonic() - began
    print(
        f"{FLOOD_GB} GB in {took:.1f} s: {most} kB read them, the supervisor has {after} kB, {count} probes beside it"
    )
    assert (result["exit_code"], result["output"]) == (0, "\0" * 500)
    assert most < 64 << 10
    assert after < before + (20 << 10)


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
    lines = read_lines(f"/var/lib/ctr/containers/{name}/last-action")
    return int(lines[0].split()[0]) if lines else 0
