"""The supervisor under attack while containers come and go: none of them notices, and the event log stays the truth.

The containers that stay have a health check, so that the supervisor asks systemd for something all the time, and
systemd asks polkit.

``contrib/testbed run --env CTR_SOAK=600 -- python3 -m pytest tests/system/test_churn.py`` is the long version: a
hundred containers for so many seconds, with stops of a minute.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

import pytest
from eventkit import SUPERVISOR, counter, events, exits_logged, exits_told, model, settled, state, supervisor_pid
from hostkit import (
    DEFINITIONS,
    JOURNALD,
    ctrctl,
    is_active,
    main_pid,
    messages,
    run,
    show,
    systemctl,
    wait_until,
)

from supervisor.systemd.manager import Manager

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
{check}
[Service]
Restart=always
RestartSec=200ms
"""
CHECK = "HealthCmd=true\nHealthInterval=1s"
BUS = ("dbus.socket", "dbus.service")
POLKIT = "polkit.service"
#: SIGCHLD's si_code (waitid(2)), as ExecMainCode has it.
CODES = {1: "exited", 2: "killed", 3: "dumped"}
#: journald may be stopped when something happens.
PATIENCE_USEC = 10_000_000


@pytest.fixture
def crowd(busybox: str) -> Iterator[tuple[list[str], list[str]]]:
    """Containers that end again and again, and some that do not; all run."""
    restless = [f"churn-{number}" for number in range(RESTLESS)]
    steady = [f"steady-{number}" for number in range(STEADY)]
    for name in restless:
        command = 'sh -c "' + LIFE.replace("%", "%%").replace("$", "$$") + '"'
        (DEFINITIONS / f"{name}.container").write_text(DEFINITION.format(image=busybox, command=command, check=""))
    for name in steady:
        text = DEFINITION.format(image=busybox, command="sleep infinity", check=CHECK)
        (DEFINITIONS / f"{name}.container").write_text(text)
    ctrctl("apply", timeout=300)
    settled()
    units = [f"ctr@{name}.service" for name in (*restless, *steady)]
    systemctl("start", *units, timeout=300)
    yield restless, steady
    bus_up()
    journal_up()
    polkit_up()
    for unit in (SUPERVISOR, "systemd-journald.service", POLKIT):
        systemctl("kill", "--signal=CONT", unit, check=False)
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
    enough(began)
    quiet_down(restless)
    check_exits(began, is_logged=True)
    assert {name: main_pid(name) for name in steady} == before
    check_model([*restless, *steady])
    check_probes(steady)


def test_bus_polkit_and_journal_that_come_and_go(crowd: Crowd) -> None:
    """Whatever it talks to is stopped, killed and restarted under load, and descriptors run out: it comes back by
    itself, says when it cannot hear systemd, tells afterwards what happened meanwhile, and misses no exit."""
    restless, steady = crowd
    before, began = {name: main_pid(name) for name in steady}, time.time()
    systemctl("stop", *BUS)
    wait_until(lambda: exits_logged(began), what="one ends of which no signal tells")
    wait_until(lambda: deaf(began), what="it says that it cannot hear")
    bus_up()
    over = time.time()
    attack(began + SECONDS, bus_killed, *JOURNAL_ATTACKS, *POLKIT_ATTACKS, out_of_descriptors, bus_gone)
    enough(began)
    quiet_down(restless)
    check_exits(began, is_logged=False)
    assert {name: main_pid(name) for name in steady} == before
    check_model([*restless, *steady])
    check_probes(steady)
    wait_until(lambda: state() == "running", what="it says that systemd can be heard again")
    assert [at for at in map(moment, events("--filter", "event=exited", since=began)) if began < at < over]


def deaf(since: float) -> bool:
    """Whether the supervisor has said that it cannot hear systemd."""
    return any(line.startswith("systemd cannot be heard: ") for line in messages(unit=SUPERVISOR, since=since))


def enough(since: float) -> None:
    """Return when so many have ended that the claims say something, however slow this host is."""
    wait_until(lambda: len(exits_logged(since)) > RESTLESS, 300, "enough ends")


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
    # Not when it is just restarted.
    systemctl("kill", "--kill-whom=main", f"--signal={signal.Signals(number).name}", SUPERVISOR, check=False)


def suspended(seconds: float) -> None:
    hurt(signal.SIGSTOP)
    time.sleep(seconds)
    hurt(signal.SIGCONT)


def bus_up() -> None:
    """However often it went down: systemd counts its starts, and those of logind, which ends without a bus."""
    systemctl("reset-failed", *BUS, "systemd-logind.service", check=False)
    systemctl("start", *BUS)


def bus_gone() -> None:
    systemctl("stop", *BUS)
    time.sleep(1)
    bus_up()


def bus_killed() -> None:
    systemctl("kill", "--signal=KILL", "dbus.service")
    bus_up()


def journal_up() -> None:
    """However often it went down, as with the bus."""
    systemctl("reset-failed", *JOURNALD, check=False)
    systemctl("start", *JOURNALD)


def journal_stopped() -> None:
    systemctl("kill", "--signal=STOP", "systemd-journald.service")
    time.sleep(1)
    systemctl("kill", "--signal=CONT", "systemd-journald.service")


def journal_killed() -> None:
    systemctl("kill", "--signal=KILL", "systemd-journald.service")
    journal_up()
    wait_until(lambda: run("journalctl", "--sync", check=False).returncode == 0, what="journald is back")


def journal_gone() -> None:
    """With its sockets: who writes is refused."""
    systemctl("stop", *JOURNALD)
    time.sleep(1)
    journal_up()


def out_of_descriptors() -> None:
    """While it has to connect again, it may open nothing."""
    pid = supervisor_pid()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limits[1]))
    bus_killed()
    time.sleep(1)
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def polkit_up() -> None:
    systemctl("unmask", "--runtime", POLKIT)
    systemctl("reset-failed", POLKIT, check=False)
    systemctl("start", POLKIT)


def polkit_killed() -> None:
    """Whoever asks it next has the bus start it."""
    systemctl("reset-failed", POLKIT, check=False)
    systemctl("kill", "--signal=KILL", POLKIT, check=False)


def polkit_stopped() -> None:
    """It is asked, and answers a second later."""
    polkit_up()
    systemctl("kill", "--signal=STOP", POLKIT, check=False)  # it may just end, since its bus has
    time.sleep(1)
    systemctl("kill", "--signal=CONT", POLKIT, check=False)


def polkit_gone() -> None:
    """Nor can it be started, until the supervisor was refused a probe."""
    before = counter("probes_refused")
    systemctl("mask", "--runtime", "--now", POLKIT)
    wait_until(lambda: counter("probes_refused") > before, 60, "a probe is refused")
    polkit_up()


JOURNAL_ATTACKS = (journal_stopped, journal_killed, journal_gone)
POLKIT_ATTACKS = (polkit_killed, polkit_stopped, polkit_gone)


def quiet_down(names: list[str]) -> None:
    """Stop *names*, and wait until nothing more comes."""
    bus_up()
    systemctl("stop", *(f"ctr@{name}.service" for name in names), timeout=300)
    settled()


def check_exits(since: float, *, is_logged: bool) -> None:
    """The event log against PID 1's own record."""

    # Of one end, what was logged and what is told may lie on either side of a moment.
    earlier = since - 60

    def complete() -> bool:
        return set(exits_logged(since)) <= set(exits_told(earlier))

    try:
        wait_until(complete, 120, "every exit is told")
    except AssertionError:
        missing = set(exits_logged(since)) - set(exits_told(earlier))
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
        unlogged = set(told) - set(exits_logged(earlier))
        assert {(code, status) for _, code, status in unlogged} <= {("killed", 9)}
    lost = [event["detail"] for event in events("--filter", "event=lost", since=since)]
    assert lost == []


def moment(event: dict[str, object]) -> float:
    """When an event happened, as a time.time()."""
    return datetime.fromisoformat(str(event["time"])).timestamp()


def told_of(missing: set[tuple[str, str, int]], since: float) -> list[tuple[object, ...]]:
    """What else was told of the runs in *missing*."""
    runs = {invocation for invocation, _, _ in missing}
    found = (event for event in events(since=since) if event["invocation"] in runs)
    return [(event["time"], event["event"], event["name"], event["exit"]) for event in found]


def check_model(names: list[str]) -> None:
    """What the supervisor shows is what systemd says."""

    def differences() -> list[tuple[object, ...]]:
        shown = model()
        with Manager.open() as manager:
            return [
                found
                for name in names
                for found in (compared(shown[name], f"ctr@{name}.service", manager) if name in shown else [(name,)])
            ]

    try:
        wait_until(lambda: not differences(), what="the model is systemd's")
    except AssertionError:
        pytest.fail(f"unit, property, shown, systemd's: {differences()}")
    assert show(SUPERVISOR, "ActiveState")["ActiveState"] == "active"


def compared(shown: dict[str, object], unit: str, manager: Manager) -> Iterator[tuple[object, ...]]:
    """What the supervisor shows otherwise than systemd does, which forgets all but the state when it unloads a unit."""
    own = manager.properties(unit, "Unit", "ActiveState", "InvocationID", "Job", "InactiveExitTimestamp")
    service = manager.properties(
        unit, "Service", "MainPID", "Result", "NRestarts", "ExecMainCode", "ExecMainStatus", "ExecMainExitTimestamp"
    )
    truth = {"MainPID": service["MainPID"], "JobId": own["Job"][0]}
    if own["ActiveState"] == "active":
        truth |= {"Phase": "running"}
    if own["InvocationID"]:
        truth |= {"InvocationID": bytes(own["InvocationID"]).hex(), "Result": service["Result"]}
        truth |= {"Restarts": service["NRestarts"]}
        yield from later(unit, "StartingAt", shown, own["InactiveExitTimestamp"])
    if service["ExecMainCode"]:
        truth |= {"LastExitCode": CODES[service["ExecMainCode"]], "LastExitStatus": service["ExecMainStatus"]}
        yield from later(unit, "LastExitAt", shown, service["ExecMainExitTimestamp"])
    yield from ((unit, key, shown[key], value) for key, value in truth.items() if shown[key] != value)


def later(unit: str, key: str, shown: dict[str, object], at: int) -> Iterator[tuple[object, ...]]:
    """A time that may be that of the journal's entry instead, which comes later."""
    if not 0 <= int(str(shown[key])) - at < PATIENCE_USEC:
        yield unit, key, shown[key], at


def check_probes(names: list[str]) -> None:
    """The supervisor has each of them probed again (their timers would a minute later), and all are healthy."""
    last = {name: results(name) for name in names}

    def all_probed() -> bool:
        return not any(results(name) in ([], last[name]) for name in names)

    wait_until(all_probed, 40, "all are probed")
    wait_until(lambda: all(is_active(f"ctr-healthy@{name}.service") for name in names), what="all are healthy")


def results(name: str) -> list[object]:
    """Of the last probes of a container."""
    found: dict[str, list[object]] = json.loads(ctrctl("inspect", "-f", "health", name).stdout) or {}
    return found.get("log", [])
