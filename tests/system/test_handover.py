"""The hand-over of a container to systemd: who its parent is, what its exit looks like, what Restart= and stop do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostkit import (
    RUNTIME,
    STATE,
    boot_number,
    cgroup_of,
    command_of,
    ctrctl,
    is_active,
    main_pid,
    messages,
    parent_of,
    processes,
    reboot,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

Define = Callable[..., str]
Exit = dict[str, str]

SLEEPER = """\
[Container]
Image={image}
Network=none
StopTimeout=2
Exec=sh -c 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
"""
STUBBORN = SLEEPER.replace('"echo bye; exit 0"', '""')

RELOADS = "for n in 1 2 3 4 5; do systemctl daemon-reload; sleep 0.2; done"


def ready(name: str) -> bool:
    """Whether the container has set its trap: the line it prints then is in the journal of this run."""
    invocation = show(service(name), "InvocationID")["InvocationID"]
    return "ready" in messages(f"CONTAINER_ID={invocation}")


def systemd_answers() -> bool:
    """While it executes itself anew, nobody can connect."""
    return systemctl("show", "--property=Version", check=False).returncode == 0


def exit_of(name: str) -> Exit:
    """How the last run ended, as systemd says it."""
    return show(service(name), "ExecMainCode", "ExecMainStatus", "Result", "NRestarts", "ActiveState")


@pytest.fixture
def web(define: Define, busybox: str) -> str:
    """A container that ends well on SIGTERM, running as ctr@web."""
    unit = define("web", SLEEPER.format(image=busybox))
    systemctl("start", unit)
    wait_until(lambda: ready("web"), what="trap set")
    return unit


@pytest.fixture
def held() -> Iterator[Callable[..., None]]:
    """Keep units loaded: systemd forgets the exit status of a unit that ended well and that nothing refers to."""
    holder = "status-holder.service"

    def hold(*units: str) -> None:
        run("systemd-run", f"--unit={holder}", *(f"--property=After={unit}" for unit in units), "sleep", "infinity")

    yield hold
    systemctl("stop", holder)


def test_systemd_is_the_parent(web: str) -> None:
    """The container's init has PID 1 as parent, lies in its scope, and is the MainPID of its service."""
    pid = main_pid("web")
    assert parent_of(pid) == 1
    assert pid in processes(cgroup_of(scope("web")))
    assert os.path.lexists(f"/proc/{pid}/root/bin/busybox")


def test_no_process_of_ours(web: str) -> None:
    """No process is there because of the container but its own: no shim, no launcher, no runtime."""

    def ours() -> list[str]:
        commands = [command_of(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))]
        left = [c for c in commands if "ctr-launch" in c or c.startswith(("crun", "/usr/bin/crun", "runc"))]
        return left + [command_of(pid) for pid in processes(cgroup_of(web))]

    wait_until(lambda: not ours(), what="the launcher, which has just started the program, has ended")


def test_root_is_invisible_to_the_host(web: str) -> None:
    """The container's root is in no mount table but its own."""
    assert "/run/ctr" not in Path("/proc/1/mountinfo").read_text()


def test_cgroup_namespace_is_rooted_at_the_scope(web: str) -> None:
    """The container sees its scope as the root of the cgroup tree."""
    inside = run("nsenter", f"--target={main_pid('web')}", "--all", "/bin/cat", "/proc/1/cgroup").stdout
    assert inside.splitlines()[-1] == "0::/"


def test_exit_status_of_short_lives(define: Define, busybox: str, held: Callable[..., None]) -> None:
    """100 containers that end within milliseconds, by exit 0, exit 3 and SIGKILL, leave 100 right values."""
    image = f"[Container]\nImage={busybox}\nNetwork=none\n"
    define("zero", f"{image}Exec=true\n", apply=False)
    define("three", f"{image}Exec=sh -c 'exit 3'\n", apply=False)
    # Nothing inside can send init a SIGKILL, so it comes from the host, the moment systemd knows whom to send it to.
    define("kill", f"{image}Exec=sleep 60\n[Service]\nExecStartPost=/bin/sh -c 'kill -KILL $MAINPID'\n")
    want = {"zero": ("1", "0"), "three": ("1", "3"), "kill": ("2", "9")}
    held(*map(service, want))

    def lives(kind: str, number: int) -> list[Exit]:
        seen = []
        for _ in range(number):
            systemctl("start", service(kind), check=False)
            wait_until(lambda: exit_of(kind)["ActiveState"] in ("inactive", "failed"), what=kind)
            seen.append(exit_of(kind))
            systemctl("reset-failed", service(kind), check=False)
        return seen

    with ThreadPoolExecutor() as pool:
        runs = dict(zip(want, pool.map(lives, want, (34, 33, 33)), strict=True))
    wrong = [
        (kind, n, seen)
        for kind, exits in runs.items()
        for n, seen in enumerate(exits)
        if (seen["ExecMainCode"], seen["ExecMainStatus"]) != want[kind]
    ]
    assert wrong == []


def test_oneshot_takes_the_container_exit(define: Define, busybox: str) -> None:
    """A Type=oneshot container runs to completion before its start job ends, and its exit status is the unit's."""
    image = f"[Container]\nImage={busybox}\nNetwork=none\n"
    text = f"{image}Exec=sh -c 'sleep 0.3; echo finished'\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
    good = define("good", text)
    systemctl("start", good)
    wait_until(lambda: "finished" in messages("CONTAINER_NAME=good"), what="the relay passes on what it said")
    assert show(good, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "exited"}
    bad = define("bad", f"{image}Exec=sh -c 'exit 7'\n[Service]\nType=oneshot\n")
    assert systemctl("start", bad, check=False).returncode != 0
    assert exit_of("bad")["ExecMainStatus"] == "7"


def test_restart_on_failure(define: Define, busybox: str) -> None:
    """Restart=on-failure: a killed container comes back with a new init; one that exits 0 does not."""
    unit = define("web", SLEEPER.format(image=busybox) + "[Service]\nRestart=on-failure\nRestartSec=0\n")
    systemctl("start", unit)
    wait_until(lambda: ready("web"), what="trap set")
    first = main_pid("web")
    os.kill(first, 9)
    wait_until(lambda: main_pid("web") != first and is_active(unit), what="running again")
    assert exit_of("web")["NRestarts"] == "1"
    wait_until(lambda: ready("web"), what="trap set again")
    os.kill(main_pid("web"), 15)
    wait_until(lambda: exit_of("web")["ActiveState"] == "inactive", what="ended well and stayed so")


def test_stop_signals_init(web: str) -> None:
    """`systemctl stop` sends the stop signal to init, and the unit ends well."""
    began = time.time()
    systemctl("stop", web)
    wait_until(lambda: "bye" in messages("CONTAINER_NAME=web", since=began), what="it has heard the signal")
    assert exit_of("web")["ActiveState"] == "inactive"
    assert show(scope("web"), "ActiveState")["ActiveState"] == "inactive"


def test_stop_kills_after_the_timeout(define: Define, busybox: str) -> None:
    """A container that ignores its stop signal is killed after StopTimeout=."""
    unit = define("web", STUBBORN.format(image=busybox))
    systemctl("start", unit)
    wait_until(lambda: ready("web"), what="trap set")
    systemctl("stop", unit)
    assert exit_of("web") | {"NRestarts": ""} == {
        "ExecMainCode": "2",
        "ExecMainStatus": "9",
        "Result": "timeout",
        "NRestarts": "",
        "ActiveState": "failed",
    }


def test_no_time_to_stop(define: Define, busybox: str) -> None:
    """StopTimeout=0 kills at once, cleanup has its time all the same, and the next start works."""
    unit = define("web", STUBBORN.format(image=busybox).replace("StopTimeout=2", "StopTimeout=0"))
    for _ in range(2):
        systemctl("start", unit)
        systemctl("stop", unit)
        assert '"status": 9' in (STATE / "containers/web/last-exit").read_text()
        assert not (RUNTIME / "containers/web").exists()


def test_stop_signal_of_the_definition(define: Define, busybox: str) -> None:
    """StopSignal= is what init gets."""
    text = SLEEPER.format(image=busybox).replace(" TERM;", " USR2;")
    unit = define("web", text + "StopSignal=SIGUSR2\n")
    systemctl("start", unit)
    wait_until(lambda: ready("web"), what="trap set")
    began = time.time()
    systemctl("stop", unit)
    wait_until(lambda: "bye" in messages("CONTAINER_NAME=web", since=began), what="it has heard the signal")


def test_restart_and_kill(web: str) -> None:
    """`systemctl restart` gives a new init in a new scope; `systemctl kill` reaches init."""
    first = main_pid("web")
    systemctl("restart", web)
    wait_until(lambda: ready("web"), what="trap set")
    second = main_pid("web")
    assert second != first
    systemctl("kill", "--kill-whom=main", "--signal=KILL", web)
    wait_until(lambda: exit_of("web")["ActiveState"] == "failed")
    assert exit_of("web")["ExecMainStatus"] == "9"


def test_main_pid_survives_daemon_reload_and_reexec(web: str) -> None:
    """daemon-reload and daemon-reexec keep the container and its MainPID."""
    first = main_pid("web")
    systemctl("daemon-reload")
    systemctl("daemon-reexec")
    wait_until(systemd_answers, what="systemd is back")
    assert main_pid("web") == first
    assert is_active(web)


def test_start_without_a_bus_broker(define: Define, busybox: str) -> None:
    """With the bus broker stopped, `systemctl start ctr@web` still works."""
    unit = define("web", SLEEPER.format(image=busybox))
    systemctl("stop", "dbus.socket", "dbus.service")
    try:
        systemctl("start", unit)
        assert is_active(unit)
        ctrctl("stop", "web")
    finally:
        systemctl("start", "dbus.socket")


def test_hundred_starts_during_reloads(define: Define, busybox: str) -> None:
    """With daemon-reload every 0.2 s and daemon-reexec every second, 100 containers start, all of them at once."""
    names = [f"many{n}" for n in range(100)]
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n"
    for name in names:
        define(name, text, apply=False)
    ctrctl("apply", timeout=600)
    # systemctl itself gives up when a daemon-reexec cuts its connection; ctrctl connects anew.
    reloads = subprocess.Popen(["sh", "-c", f"for turn in 1 2 3; do {RELOADS}; systemctl daemon-reexec; done"])
    try:
        ctrctl("start", *names, timeout=600)
    finally:
        reloads.wait(600)
    wait_until(systemd_answers, what="systemd is back")
    assert [n for n in names if not is_active(service(n))] == []


def test_a_scope_whose_job_waits_its_turn_is_waited_for(define: Define, busybox: str, tmp_path: Path) -> None:
    """However long systemd takes to come to the scope's start job, the start waits, and succeeds."""
    unit = define("late", f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n")
    dropin = Path("/run/systemd/system/ctr-late.scope.d/test.conf")
    dropin.parent.mkdir(parents=True)
    dropin.write_text("[Unit]\nAfter=test-slow.service\n")
    try:
        wait = f"until test -e {tmp_path}/go; do sleep 0.1; done"
        run("systemd-run", "--no-block", "--unit=test-slow", "--property=Type=oneshot", "sh", "-c", wait)
        systemctl("start", "--no-block", unit)
        wait_until(lambda: f"{scope('late')} start waiting" in " ".join(systemctl("list-jobs").stdout.split()))
        assert show(unit, "ActiveState") == {"ActiveState": "activating"}
        (tmp_path / "go").touch()
        wait_until(lambda: is_active(unit) and is_active(scope("late")), what="it has started")
    finally:
        (tmp_path / "go").touch()
        dropin.unlink()
        dropin.parent.rmdir()


@pytest.mark.reboot
def test_enabled_container_comes_back_after_a_reboot(define: Define, busybox: str) -> None:
    """A container with WantedBy=multi-user.target, and one that was enabled by systemctl, run after a reboot."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n"
    if boot_number() == 1:
        define("wanted", text + "[Install]\nWantedBy=multi-user.target\n")
        systemctl("enable", define("enabled", text))
        reboot()
    wait_until(lambda: is_active(service("wanted")) and is_active(service("enabled")), timeout=300)
    for name in ("wanted", "enabled"):
        ctrctl("rm", "--force", name)
