"""The supervisor under attack while containers come and go: none of them notices, and the event log stays the truth.

``CTR_SOAK=600 contrib/testbed run -- python3 -m pytest tests/system/test_churn.py`` is the long version: a hundred
containers for so many seconds, with stops of a minute.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from eventkit import SUPERVISOR, events, exits_logged, exits_told, model, settled, supervisor_pid
from hostkit import DEFINITIONS, ctrctl, main_pid, run, show, systemctl, wait_until

SECONDS = int(os.environ.get("CTR_SOAK", "10"))
IS_LONG = SECONDS > 60
RESTLESS = 100 if IS_LONG else 10
STEADY = 3
#: Ends by itself after up to a second, with a status that says when it was.
LIFE = "n=$(( $(od -An -N1 -tu1 /dev/urandom) % 90 + 1 )); sleep 0.$(( n % 10 )); exit $n"

DEFINITION = """[Unit]
StartLimitIntervalSec=0
[Container]
Image={image}
Network=none
StopSignal=SIGKILL
Exec={command}
[Service]
Restart=always
RestartSec=200ms
"""


@pytest.fixture
def crowd(busybox: str) -> Iterator[tuple[list[str], list[str]]]:
    """Containers that end again and again, and some that do not; all run."""
    restless = [f"churn-{number}" for number in range(RESTLESS)]
    steady = [f"steady-{number}" for number in range(STEADY)]
    for name in restless:
        command = 'sh -c "' + LIFE.replace("%", "%%").replace("$", "$$") + '"'
        (DEFINITIONS / f"{name}.container").write_text(DEFINITION.format(image=busybox, command=command))
    for name in steady:
        (DEFINITIONS / f"{name}.container").write_text(DEFINITION.format(image=busybox, command="sleep infinity"))
    ctrctl("apply", timeout=300)
    settled()
    units = [f"ctr@{name}.service" for name in (*restless, *steady)]
    systemctl("start", *units, timeout=300)
    yield restless, steady
    bus_up()
    systemctl("start", "polkit.service", check=False)
    for pid in (supervisor_pid(), int(show("systemd-journald.service", "MainPID")["MainPID"])):
        if pid:
            os.kill(pid, signal.SIGCONT)
    systemctl("stop", *units, timeout=300)
    for name in (*restless, *steady):
        (DEFINITIONS / f"{name}.container").unlink()
    ctrctl("apply", timeout=300)
    systemctl("reset-failed", "ctr*", check=False)
    settled()


Crowd = tuple[list[str], list[str]]


def test_a_supervisor_that_is_killed_and_stopped_all_the_time(crowd: Crowd) -> None:
    """Every exit that PID 1 has logged is told once, with its code, and nothing else; steady containers are the same
    processes as before; the model is systemd's."""
    restless, steady = crowd
    before, began = {name: main_pid(name) for name in steady}, time.time()
    attack(
        began + SECONDS,
        lambda: hurt(signal.SIGKILL),
        lambda: hurt(signal.SIGKILL),
        lambda: suspended(60.0 if IS_LONG else 1.0),
    )
    quiet_down(restless)
    check_exits(began, is_logged=True)
    assert {name: main_pid(name) for name in steady} == before
    check_model([*restless, *steady])


def test_bus_polkit_and_journal_that_come_and_go(crowd: Crowd) -> None:
    """Whatever it talks to is stopped, killed and restarted under load, and descriptors run out: it comes back by
    itself, and misses no exit."""
    restless, steady = crowd
    before, began = {name: main_pid(name) for name in steady}, time.time()
    attack(began + SECONDS, bus_gone, bus_killed, journal_stopped, journal_killed, polkit_gone, out_of_descriptors)
    quiet_down(restless)
    check_exits(began, is_logged=False)
    assert {name: main_pid(name) for name in steady} == before
    check_model([*restless, *steady])


def attack(until: float, *ways: Callable[[], None]) -> None:
    """Each of *ways* in turn, then any of them, until the time.time() *until*."""
    chosen = random.Random(1)
    for way in ways:
        way()
    while time.time() < until:
        time.sleep(chosen.uniform(0.1, 1.0))  # it shall have come up, or not yet
        chosen.choice(ways)()


def hurt(number: int) -> None:
    """Send the supervisor a signal."""
    if pid := supervisor_pid():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return  # it was just restarted


def suspended(seconds: float) -> None:
    hurt(signal.SIGSTOP)
    time.sleep(seconds)
    hurt(signal.SIGCONT)


def bus_up() -> None:
    """However often it went down: systemd counts its starts."""
    systemctl("reset-failed", "dbus.socket", "dbus.service", check=False)
    systemctl("start", "dbus.socket", "dbus.service")


def bus_gone() -> None:
    systemctl("stop", "dbus.socket", "dbus.service")
    time.sleep(1)
    bus_up()


def bus_killed() -> None:
    systemctl("kill", "--signal=KILL", "dbus.service")
    bus_up()


def journal_stopped() -> None:
    systemctl("kill", "--signal=STOP", "systemd-journald.service")
    time.sleep(1)
    systemctl("kill", "--signal=CONT", "systemd-journald.service")


def journal_killed() -> None:
    systemctl("kill", "--signal=KILL", "systemd-journald.service")
    wait_until(lambda: run("journalctl", "--sync", check=False).returncode == 0, what="journald is back")


def out_of_descriptors() -> None:
    """While it has to connect again, it may open nothing."""
    pid = supervisor_pid()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
    bus_killed()
    time.sleep(1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def polkit_gone() -> None:
    systemctl("restart", "polkit.service")


def quiet_down(names: list[str]) -> None:
    """Stop *names*, and wait until nothing more comes."""
    bus_up()
    systemctl("stop", *(f"ctr@{name}.service" for name in names), timeout=300)
    settled()


def check_exits(since: float, *, is_logged: bool) -> None:
    """The event log against PID 1's own record."""

    def complete() -> bool:
        return set(exits_logged(since)) <= set(exits_told(since))

    try:
        wait_until(complete, 60 if IS_LONG else 20, "every exit is told")
    except AssertionError:
        missing = set(exits_logged(since)) - set(exits_told(since))
        pytest.fail(f"logged by PID 1, not told: {sorted(missing)}; told: {told_of(missing, since)}")
    told, logged = exits_told(since), exits_logged(since)
    assert len(logged) > RESTLESS
    repeated = [invocation for invocation, count in Counter(i for i, _, _ in told).items() if count > 1]
    assert repeated == []
    per_run = {"starting", "started", "ready", "exited", "restarting", "given-up", "stopped"}
    told_of_runs = [(e["invocation"], e["event"]) for e in events(since=since) if e["event"] in per_run]
    assert [pair for pair, count in Counter(told_of_runs).items() if count > 1] == []
    # PID 1 does not log an end that counts as clean (here, those by our stop), nor anything while journald is down.
    if is_logged:
        assert {(code, status) for _, code, status in set(told) - set(logged)} <= {("killed", 9)}
    lost = [event["detail"] for event in events("--filter", "event=lost", since=since)]
    assert lost == []


def told_of(missing: set[tuple[str, str, int]], since: float) -> list[tuple[object, ...]]:
    """What else was told of the runs in *missing*."""
    runs = {invocation for invocation, _, _ in missing}
    found = (event for event in events(since=since) if event["invocation"] in runs)
    return [(event["time"], event["event"], event["name"], event["exit"]) for event in found]


def check_model(names: list[str]) -> None:
    """What the supervisor shows is what systemd says."""

    def same() -> bool:
        shown = model()
        return {name: facts(shown[name]) for name in names} == {name: truth(name) for name in names}

    wait_until(same, 30, "the model is systemd's")
    assert show(SUPERVISOR, "ActiveState")["ActiveState"] == "active"


def facts(properties: dict[str, object]) -> tuple[object, object]:
    return properties["MainPID"], properties["Phase"] == "running"


def truth(name: str) -> tuple[object, object]:
    found = show(f"ctr@{name}.service", "MainPID", "ActiveState")
    return int(found["MainPID"]), found["ActiveState"] == "active"
