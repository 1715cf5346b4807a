"""Health checks and the order they give: ctr-healthy@NAME.service, probes, actions, ``Notify=healthy``."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from eventkit import events, wait_for_story
from hostkit import (
    RUNTIME,
    cgroup_of,
    ctrctl,
    is_active,
    journal,
    main_pid,
    message,
    messages,
    processes,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

Define = Callable[..., str]

#: Ends at once on SIGTERM, and is well while /ready exists.
PATIENT = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"


def definition(image: str, *container: str, unit: str = "", extra: str = "", script: str = PATIENT) -> str:
    """A definition with a health check, quick enough for a test; *container* lines come last and win."""
    lines = [
        unit and f"[Unit]\n{unit}",
        "[Container]",
        f"Image={image}",
        "Network=none",
        f'Exec=sh -c "{script}"',
        "HealthCmd=test -e /ready",
        "HealthInterval=200ms",
        "HealthRetries=2",
        *container,
        extra,
    ]
    return "\n".join(lines) + "\n"


def healthy(name: str) -> str:
    return f"ctr-healthy@{name}.service"


def timer(name: str) -> str:
    return f"ctr-health@{name}.timer"


def state(unit: str) -> str:
    return show(unit, "ActiveState")["ActiveState"]


def touch(name: str) -> None:
    ctrctl("exec", name, "touch", "/ready")


def health(name: str) -> dict[str, object]:
    """``ctrctl inspect``'s word on it."""
    found: dict[str, object] = json.loads(ctrctl("inspect", "-f", "health", name).stdout) or {}
    return found


def status(name: str) -> str:
    """The STATUS column."""
    (found,) = [item for item in json.loads(ctrctl("ps", "--format", "json").stdout) if item["name"] == name]
    return str(found["status"])


@pytest.fixture
def begun() -> float:
    """When the test began; other tests have used the same names."""
    return time.time()


def announced(name: str, since: float) -> list[str]:
    """The words about the health of *name* in its own journal."""
    entries = journal(f"CTR_CONTAINER={name}", "SYSLOG_IDENTIFIER=ctr-health", unit=service(name), since=since)
    return [message(entry).decode() for entry in entries]


# health is a unit


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_health_is_a_unit(define: Define, busybox: str, runtime: str, begun: float) -> None:
    """ctr-healthy@ is active exactly while the container is healthy; ps and inspect agree, and each change is said
    once in the container's journal, and is an event."""
    Path("/etc/ctr/ctr.conf").write_text(f"[ctr]\nruntime={runtime}\n")
    try:
        define("db", definition(busybox, "HealthStartPeriod=5min"))
    finally:
        Path("/etc/ctr/ctr.conf").unlink()
    systemctl("start", service("db"))
    wait_until(lambda: health("db").get("status") == "starting")
    assert state(healthy("db")) == "activating"
    assert "(health: starting)" in status("db")
    touch("db")
    wait_until(lambda: is_active(healthy("db")))
    assert "(healthy)" in status("db")
    ctrctl("exec", "db", "rm", "/ready")
    wait_until(lambda: state(healthy("db")) == "inactive")
    wait_until(lambda: "(unhealthy)" in status("db"))
    assert health("db")["status"] == "unhealthy"
    touch("db")
    wait_until(lambda: is_active(healthy("db")))
    assert health("db")["status"] == "healthy"
    systemctl("stop", service("db"))
    wait_until(lambda: [state(unit) for unit in (healthy("db"), timer("db"))] == ["inactive", "inactive"])
    wait_until(lambda: len(announced("db", begun)) == 3)
    assert announced("db", begun) == [
        "healthy",
        "unhealthy after 2 failed probes: the last probe exited with 1",
        "healthy",
    ]
    lived = ["starting", "started", "ready", "healthy", "unhealthy", "healthy"]
    wait_for_story("db", begun, ["created", *lived, "exited", "stopped"])
    (unhealthy,) = events("--filter", "name=db", "--filter", "event=unhealthy", since=begun)
    assert unhealthy["detail"] == "the last probe exited with 1"


def test_probes_are_quiet_and_remembered(define: Define, busybox: str, begun: float) -> None:
    """A container that is well leaves no line a probe in the journal; the last five results, with their output, are
    in inspect."""
    define("db", definition(busybox, "HealthCmd=echo fine", "HealthMaxLogSize=3"))
    ctrctl("start", "--wait", "db")
    seen: set[str] = set()

    def many() -> bool:
        seen.update(result["start"] for result in health("db")["log"])  # type: ignore[attr-defined]
        return len(seen) > 7

    wait_until(many)
    log = health("db")["log"]
    assert isinstance(log, list)
    assert len(log) == 5
    assert {(result["exit_code"], result["output"]) for result in log} == {(0, "fin")}
    assert messages("_SYSTEMD_UNIT=ctr-health@db.service", since=begun) == []
    assert messages("UNIT=ctr-health@db.service", "_PID=1", since=begun) == []


def test_no_health_check_no_units(define: Define, busybox: str, begun: float) -> None:
    """Nothing of it runs for a container without one, and its gate says what is missing."""
    define("db", definition(busybox, "HealthCmd=none").replace("HealthInterval=200ms\nHealthRetries=2\n", ""))
    ctrctl("start", "--wait", "db")
    assert state(timer("db")) == "inactive"
    assert "(" not in status("db")
    assert systemctl("start", healthy("db"), check=False).returncode != 0
    wait_until(lambda: "db: has no health check; set HealthCmd=" in messages(unit=healthy("db"), since=begun))


# where a probe runs


def test_a_probe_runs_in_the_containers_scope(define: Define, busybox: str) -> None:
    """As the container's own user, with its environment, in a control group below its own; which is gone afterwards."""
    define(
        "db",
        definition(
            busybox,
            "Environment=WHERE=here",
            "User=1234",
            "HealthCmd=echo $WHERE $(id -u) $(grep ^0:: /proc/self/cgroup)",
        ),
    )
    ctrctl("start", "--wait", "db")
    done = ctrctl("healthcheck", "run", "db")
    assert done.stdout == "here 1234 0::/ctr-probe\n"
    wait_until(lambda: not (cgroup_of(scope("db")) / "ctr-probe").exists())


def test_environment_files_reach_the_probe(define: Define, busybox: str) -> None:
    """They are read at each start, after the probe's command was deployed."""
    file = Path("/root/health.env")
    file.write_text("FROM_FILE=yes\n")
    define("db", definition(busybox, f"EnvironmentFile={file}", "HealthCmd=echo $FROM_FILE"))
    ctrctl("start", "--wait", "db")
    assert ctrctl("healthcheck", "run", "db").stdout == "yes\n"
    file.unlink()


def test_a_timeout_kills_all_of_a_probe(define: Define, busybox: str) -> None:
    """What the command started too, in a session of its own; it counts as a failure, and says so."""
    define(
        "db",
        definition(busybox, "HealthInterval=disable", "HealthTimeout=1s", "HealthCmd=setsid sleep 987 & sleep 987"),
    )
    systemctl("start", service("db"))
    done = ctrctl("healthcheck", "run", "db", check=False)
    assert (done.returncode, done.stdout) == (1, "no answer within 1 s\n")
    init = main_pid("db")
    # The container's own program may be in a sleep of its own.
    wait_until(lambda: not [pid for pid in processes(cgroup_of(scope("db"))) if pid != init and "987" in words(pid)])
    assert health("db")["log"][0]["exit_code"] == -1  # type: ignore[index]


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_paused_container_is_not_probed(define: Define, busybox: str) -> None:
    """While others are; and being frozen says nothing about its health: it is as healthy afterwards as before."""
    define("db", definition(busybox, "HealthCmd=true", "HealthTimeout=5s"))
    define("other", definition(busybox, "HealthCmd=true"))
    ctrctl("start", "--wait", "db", "other")
    ctrctl("pause", "db")

    def only_the_other() -> bool:
        before, until = health("db")["log"], time.monotonic() + 6
        while time.monotonic() < until:  # longer than a probe of it could hang
            next_probe("other")
        return health("db")["log"] == before

    wait_until(only_the_other, what="other is probed again and again, db never")
    assert ctrctl("healthcheck", "run", "db", check=False).returncode == 125
    ctrctl("unpause", "db")
    assert is_active(healthy("db"))
    next_probe("db")
    assert {result["exit_code"] for result in health("db")["log"]} == {0}  # type: ignore[attr-defined]


def next_probe(name: str) -> None:
    """Wait until container *name* was probed once more."""
    last = health(name)["log"]
    wait_until(lambda: health(name).get("log") not in (None, last), what=f"{name} is probed")


# ctrctl


def test_healthcheck_run_counts(define: Define, busybox: str) -> None:
    """0 and 1, the output, and its results make the container healthy or not like any other's."""
    define("db", definition(busybox, "HealthInterval=disable", "HealthCmd=ls /ready"))
    systemctl("start", service("db"))
    touch("db")
    done = ctrctl("healthcheck", "run", "db")
    assert (done.returncode, done.stdout) == (0, "/ready\n")
    wait_until(lambda: is_active(healthy("db")))
    ctrctl("exec", "db", "rm", "/ready")
    for _ in range(2):
        done = ctrctl("healthcheck", "run", "db", check=False)
        assert (done.returncode, "No such file" in done.stdout) == (1, True)
    wait_until(lambda: state(healthy("db")) == "inactive")
    assert health("db")["status"] == "unhealthy"
    systemctl("stop", service("db"))
    stopped = ctrctl("healthcheck", "run", "db", check=False)
    assert (stopped.returncode, "db: is not running" in stopped.stderr) == (125, True)


def test_a_command_that_is_not_there_is_a_failure(define: Define, busybox: str) -> None:
    """With the runtime's own words for it."""
    define("db", definition(busybox, 'HealthCmd=["/nosuch"]', "HealthInterval=disable"))
    systemctl("start", service("db"))
    done = ctrctl("healthcheck", "run", "db", check=False)
    assert (done.returncode, "nosuch" in done.stdout) == (1, True), done.stderr


def test_a_probe_right_after_the_start_waits_for_the_program(define: Define, busybox: str) -> None:
    """The unit is active a moment before the runtime starts the program, however long it takes for that."""
    slow = Path("/usr/local/bin/crun")
    slow.write_text('#!/bin/sh\ncase " $* " in *" start "*) sleep 1 ;; esac\nexec /usr/bin/crun "$@"\n')
    slow.chmod(0o755)
    try:
        define("db", definition(busybox, "HealthCmd=true", "HealthInterval=disable"))
        systemctl("start", service("db"))
        ctrctl("healthcheck", "run", "db")
    finally:
        slow.unlink()


def test_start_wait_says_why_not(define: Define, busybox: str) -> None:
    """Unhealthy: with the last probe's output. Ended meanwhile: that, at once."""
    define("db", definition(busybox, "HealthCmd=echo still broken; exit 3"))
    done = ctrctl("start", "--wait", "db", check=False)
    assert done.returncode == 125
    assert "db: unhealthy: the last probe exited with 3: still broken" in done.stderr
    define("brief", definition(busybox, "HealthStartPeriod=5min", script="sleep 0.3; exit 4"))
    done = ctrctl("start", "--wait", "brief", check=False)
    assert done.returncode == 125
    assert "brief: ended before it was healthy" in done.stderr


# what is lost


def test_a_killed_probe_loses_nothing(define: Define, busybox: str, begun: float) -> None:
    """SIGKILL to a probe that has found the container unhealthy, before systemd knows: the next one tells it."""
    define("db", definition(busybox, "HealthOnFailure=stop", "HealthStartPeriod=5min"))
    systemctl("start", service("db"))
    touch("db")
    wait_until(lambda: is_active(healthy("db")))
    dropin = Path("/run/systemd/system/ctr-health@db.service.d/90-strace.conf")
    dropin.parent.mkdir(parents=True)
    dropin.write_text(
        "[Service]\nExecStart=\nExecStart=/usr/bin/strace --quiet=all --output=/dev/null --trace=connect "
        "--inject=connect:signal=SIGKILL /usr/lib/ctr/ctr-probe once %i\n"
    )
    systemctl("daemon-reload")
    try:
        ctrctl("exec", "db", "rm", "/ready")
        wait_until(lambda: "unhealthy, so stop" in announced("db", begun))
        wait_until(lambda: state("ctr-health@db.service") != "activating")
        assert (is_active(service("db")), is_active(healthy("db"))) == (True, True)
    finally:
        dropin.unlink()
        dropin.parent.rmdir()
        systemctl("daemon-reload")
    wait_until(lambda: state(service("db")) == "inactive")


def test_health_that_was_lost_comes_back(define: Define, busybox: str) -> None:
    """Whatever ended its unit: a probe that passes starts it."""
    define("db", definition(busybox, "HealthCmd=true"))
    ctrctl("start", "--wait", "db")
    systemctl("stop", healthy("db"))
    wait_until(lambda: is_active(healthy("db")))


def test_a_long_output_is_announced(define: Define, busybox: str, begun: float) -> None:
    """More than a datagram holds."""
    define("db", definition(busybox, "HealthMaxLogSize=0", "HealthCmd=yes | head -c 500000; false"))
    systemctl("start", service("db"))
    wait_until(lambda: [line for line in announced("db", begun) if line.startswith("unhealthy after 2 failed probes")])


# order


def test_order(define: Define, busybox: str, begun: float) -> None:
    """What requires db's health starts when db is healthy, in this order in the journal; it stops when db stops,
    and when db becomes unhealthy."""
    script = "sleep 0.7; touch /ready; echo db-up; " + PATIENT
    define("db", definition(busybox, "HealthStartPeriod=5min", script=script))
    unit = "Requires=ctr-healthy@db.service\nAfter=ctr-healthy@db.service"
    define("app", definition(busybox, unit=unit, script="echo app-up; " + PATIENT))
    systemctl("start", service("app"))
    wait_until(lambda: "app-up" in messages(unit=service("app"), since=begun))
    # Not db-up: what a container writes comes by way of the relay, so it may stand behind what came later.
    heard = [line for line in messages(since=begun) if line in ("app-up", "healthy")]
    assert heard[:2] == ["healthy", "app-up"]
    systemctl("stop", service("db"))
    wait_until(lambda: state(service("app")) == "inactive")
    systemctl("start", service("app"))
    ctrctl("exec", "db", "rm", "/ready")
    wait_until(lambda: state(service("app")) == "inactive")
    assert is_active(service("db"))


def test_what_cannot_become_healthy_keeps_others_from_starting(define: Define, busybox: str) -> None:
    """The dependent's job fails as 'dependency', and never runs."""
    define("db", definition(busybox))
    unit = "Requires=ctr-healthy@db.service\nAfter=ctr-healthy@db.service"
    define("app", definition(busybox, unit=unit))
    done = ctrctl("start", "app", check=False)
    assert done.returncode == 125
    assert "db: unhealthy: the last probe exited with 1" in done.stderr
    assert show(service("app"), "MainPID") == {"MainPID": "0"}


def test_ctrctl_stop_leaves_dependents_alone(define: Define, busybox: str) -> None:
    """As for every unit that requires the container: systemctl stops it, ctrctl does not."""
    define("db", definition(busybox, "HealthCmd=true"))
    define("app", definition(busybox, "HealthCmd=true", unit="Requires=ctr-healthy@db.service"))
    ctrctl("start", "--wait", "app", "db")
    ctrctl("stop", "db")
    wait_until(lambda: (state(service("db")), state(healthy("db"))) == ("inactive", "inactive"))
    assert is_active(service("app"))


def test_restart_brings_health_and_dependents_back(define: Define, busybox: str) -> None:
    """db is killed and comes back by Restart=: its health goes and comes, and so does app, which is bound to it and
    wanted by it; `systemctl restart` restarts both in order."""
    script = "sleep 0.3; touch /ready; " + PATIENT
    define("db", definition(busybox, "HealthStartPeriod=5min", script=script, extra="[Service]\nRestart=always"))
    app = definition(
        busybox,
        unit="BindsTo=ctr-healthy@db.service\nAfter=ctr-healthy@db.service",
        extra="[Install]\nWantedBy=ctr-healthy@db.service",
    )
    define("app", app)
    systemctl("start", service("app"))
    first, run_of_db = show(service("app"), "InvocationID"), show(service("db"), "InvocationID")
    systemctl("kill", "--kill-whom=main", "--signal=KILL", service("db"))
    wait_until(lambda: show(service("db"), "InvocationID") != run_of_db and is_active(healthy("db")))
    wait_until(lambda: show(service("app"), "InvocationID") != first and is_active(service("app")))
    second = show(service("app"), "InvocationID")
    systemctl("restart", service("db"))
    wait_until(lambda: show(service("app"), "InvocationID") != second and is_active(service("app")))
    assert is_active(healthy("db"))


# what follows from being unhealthy


@pytest.mark.parametrize("action", ["kill", "restart", "stop"])
def test_an_unhealthy_container_is_acted_on(define: Define, busybox: str, action: str, begun: float) -> None:
    """HealthOnFailure=: killed (and brought back by its Restart=), restarted, or stopped; the reason is in its
    journal."""
    restart = "[Service]\nRestart=always\nRestartSec=50ms" if action == "kill" else ""
    define("db", definition(busybox, f"HealthOnFailure={action}", "HealthStartPeriod=5min", extra=restart))
    systemctl("start", service("db"))
    touch("db")
    wait_until(lambda: is_active(healthy("db")))
    first = show(service("db"), "InvocationID")
    ctrctl("exec", "db", "rm", "/ready")
    if action == "stop":
        wait_until(lambda: state(service("db")) == "inactive")
    else:
        wait_until(lambda: show(service("db"), "InvocationID") != first and is_active(service("db")))
        wait_until(lambda: health("db").get("status") == "starting")
    wait_until(lambda: f"unhealthy, so {action}" in announced("db", begun))


def test_the_startup_probe_restarts_what_does_not_come_up(define: Define, busybox: str) -> None:
    """After its retries; the health check has its turn only after it."""
    startup = ("HealthCmd=test -e /ready", "HealthStartupCmd=test -e /begun", "HealthStartupInterval=100ms")
    retries = ("HealthStartupRetries=3", "HealthStartupSuccess=2")
    define("db", definition(busybox, *startup, *retries, unit="StartLimitIntervalSec=0"))
    systemctl("start", service("db"))
    first = show(service("db"), "InvocationID")
    wait_until(lambda: show(service("db"), "InvocationID") != first and is_active(service("db")))
    systemctl("stop", service("db"))
    define("db", definition(busybox, *startup, "HealthStartPeriod=5min"))
    systemctl("start", service("db"))
    wait_until(lambda: len(health("db").get("log", ())) > 2)  # type: ignore[arg-type]
    ctrctl("exec", "db", "touch", "/ready", "/begun")
    wait_until(lambda: is_active(healthy("db")))


# Notify=healthy


def test_notify_healthy_starts_when_healthy(define: Define, busybox: str, begun: float) -> None:
    """systemctl start returns when the check has passed, and not before."""
    script = "sleep 0.7; touch /ready; echo db-ready; " + PATIENT
    define("db", definition(busybox, "Notify=healthy", "HealthStartPeriod=5min", script=script))
    systemctl("start", service("db"))
    assert is_active(service("db"))
    wait_until(lambda: "db-ready" in messages(unit=service("db"), since=begun))
    wait_until(lambda: is_active(healthy("db")))


def test_notify_healthy_fails_with_the_container(define: Define, busybox: str) -> None:
    """One that ends first fails with its own exit status, one that becomes unhealthy is ended; nothing stays."""
    define("db", definition(busybox, "Notify=healthy", "HealthStartPeriod=5min", script="sleep 0.3; exit 4"))
    done = ctrctl("start", "db", check=False)
    assert (done.returncode, "exited with status 4" in done.stderr) == (125, True)
    define("sick", definition(busybox, "Notify=healthy", "HealthCmd=echo broken; false"))
    done = ctrctl("start", "sick", check=False)
    assert done.returncode == 125
    assert "sick: unhealthy: the last probe exited with 1: broken" in done.stderr
    wait_until(lambda: not (RUNTIME / "containers" / "sick").exists())


def test_notify_healthy_is_a_part_of_the_start(define: Define, busybox: str, begun: float) -> None:
    """What is ordered after the container waits for it; the launcher does not stay for that, and when what does is
    killed, the start fails and the container ends."""
    define("db", definition(busybox, "Notify=healthy", "HealthStartPeriod=5min"))
    unit = f"Requires={service('db')}\nAfter={service('db')}"
    define("app", definition(busybox, "HealthCmd=true", unit=unit))
    systemctl("start", "--no-block", service("app"))
    wait_until(lambda: show(service("db"), "SubState")["SubState"] == "start-post")
    init = main_pid("db")
    wait_until(lambda: processes(cgroup_of(scope("db"))))
    assert Path(f"/proc/{init}/cgroup").read_text().rstrip().endswith("/ctr-db.scope")
    assert state(service("app")) == "inactive"
    systemctl("kill", "--kill-whom=control", "--signal=KILL", service("db"))
    wait_until(lambda: state(service("db")) == "failed")
    assert not Path(f"/proc/{init}").exists()
    systemctl("start", "--no-block", service("app"))
    wait_until(lambda: health("db").get("log"))  # its program runs
    assert show(service("db"), "SubState")["SubState"] == "start-post"
    Path(f"/proc/{main_pid('db')}/root/ready").touch()  # `ctrctl exec` wants it to be started
    wait_until(lambda: is_active(service("app")))
    assert is_active(service("db"))


def test_notify_healthy_is_started_again(define: Define, busybox: str) -> None:
    """By its Restart=, whether it ends or becomes unhealthy before."""
    again = "[Service]\nRestart=on-failure\nRestartSec=50ms"
    unit = "StartLimitIntervalSec=0"
    script = "sleep 0.2; exit 4"
    define("db", definition(busybox, "Notify=healthy", "HealthStartPeriod=5min", script=script, extra=again, unit=unit))
    define("sick", definition(busybox, "Notify=healthy", extra=again, unit=unit))
    systemctl("start", "--no-block", service("db"), service("sick"))
    for name in ("db", "sick"):
        wait_until(lambda name=name: int(show(service(name), "NRestarts")["NRestarts"]) > 1)  # type: ignore[misc]
    systemctl("stop", service("db"), service("sick"))


def test_a_new_check_needs_no_restart(define: Define, busybox: str) -> None:
    """A changed command and interval apply at once; the container runs on."""
    define("db", definition(busybox, "HealthCmd=echo one", "HealthInterval=1h"))
    ctrctl("start", "--wait", "db")
    pid = main_pid("db")
    define("db", definition(busybox, "HealthCmd=echo two", "HealthInterval=100ms"))
    wait_until(lambda: (health("db").get("log") or [{}])[-1].get("output") == "two")  # type: ignore[index]
    assert main_pid("db") == pid


def test_a_restart_waits_as_long_as_restartsec_says(define: Define, busybox: str) -> None:
    """What a container starts beside itself must not start it before its time (systemd 257 does so with Wants=)."""
    extra = "[Service]\nRestart=always\nRestartSec=3s"
    systemctl("start", define("waits", definition(busybox, "HealthCmd=true", extra=extra)))
    wait_until(lambda: is_active(healthy("waits")), what="it is healthy")
    first, pid = show(service("waits"), "InvocationID"), main_pid("waits")
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: show(service("waits"), "InvocationID") != first and is_active(service("waits")), what="it is back"
    )
    assert time.monotonic() - began > 3
    wait_until(lambda: is_active(healthy("waits")), what="it is healthy again")
