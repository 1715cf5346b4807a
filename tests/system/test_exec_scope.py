"""What ``ctrctl exec`` starts belongs to the container: its control group, its limits, its end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hostkit import (
    RUNTIME,
    background,
    cgroup_of,
    command_of,
    ctrctl,
    main_pid,
    names,
    processes,
    read_lines,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

RUNTIMES = ("crun", "runc")
#: Ends on SIGTERM, at once.
PATIENT = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
#: A program with a child, a grandchild whose parent is gone, and one in a session of its own that hears no SIGTERM.
FAMILY = "sleep 7001 & (sleep 7002 & ); setsid sh -c 'trap \"\" TERM; sleep 7003' & echo started; exec sleep 7000"
MEMBERS = ("sleep 7000", "sleep 7001", "sleep 7002", "sleep 7003")

Tidy = Callable[[str], str]
Start = Callable[..., str]


@pytest.fixture
def start(busybox: str, tidy: Tidy) -> Start:
    """``start("name", "--option", …)`` runs a container that waits."""

    def make(name: str, *options: str) -> str:
        ctrctl("run", "-d", "--name", tidy(name), "--network", "none", *options, busybox, "sh", "-c", PATIENT)
        return name

    return make


def members(group: Path) -> dict[str, int]:
    """The processes of `FAMILY` in *group*, by command line."""
    found = {command_of(pid): pid for pid in processes(group)}
    return {command: found[command] for command in MEMBERS if command in found}


def whole(group: Path) -> dict[str, int]:
    """Once all of them run in *group*."""
    return wait_until(lambda: found if len(found := members(group)) == len(MEMBERS) else {})


def family(name: str) -> dict[str, int]:
    """Once all of them run in the scope of the container *name*."""
    return whole(cgroup_of(scope(name)))


def gone(pids: dict[str, int]) -> bool:
    """Whether no process of that number has that command any more."""
    return not any(command_of(pid) == command for command, pid in pids.items())


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("end", ["stop", "SIGKILL"])
def test_all_that_exec_starts_is_in_the_scope_and_ends_with_it(start: Start, runtime: str, end: str) -> None:
    """Children, orphans and sessions of their own: each in the scope's control group and the container's PID
    namespace, none in that of the caller; none outlives a stop, or the death of the container's init by SIGKILL."""
    name = start(f"family-{end.lower()}-{runtime}", "--runtime", runtime)
    ctrctl("exec", "-d", name, "sh", "-c", FAMILY)
    pids = family(name)
    group = "/" + str(cgroup_of(scope(name)).relative_to("/sys/fs/cgroup"))
    inside = os.readlink(f"/proc/{main_pid(name)}/ns/pid")
    for pid in pids.values():
        assert f"0::{group}" in read_lines(f"/proc/{pid}/cgroup")
        assert os.readlink(f"/proc/{pid}/ns/pid") == inside
    if end == "stop":
        ctrctl("stop", name)
    else:
        os.kill(main_pid(name), signal.SIGKILL)
    wait_until(lambda: gone(pids))
    wait_until(lambda: show(service(name), "ActiveState")["ActiveState"] in ("inactive", "failed"))


def test_the_caller_hears_of_the_end(start: Start) -> None:
    """A foreground exec ends with 137 when the container is stopped under it."""
    name = start("heard")
    with background("ctrctl", "exec", name, "sh", "-c", FAMILY, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        pids = family(name)
        ctrctl("stop", name)
        assert program.wait(60) == 137
    assert gone(pids)


def test_a_restart_ends_them_too(start: Start) -> None:
    """systemd's own restart after SIGKILL: the new run has the scope to itself."""
    name = start("fresh", "--restart", "always")
    ctrctl("exec", "-d", name, "sh", "-c", FAMILY)
    pids, init = family(name), main_pid(name)
    os.kill(init, signal.SIGKILL)
    wait_until(lambda: main_pid(name) != init and show(service(name), "ActiveState")["ActiveState"] == "active")
    assert gone(pids)
    assert members(cgroup_of(scope(name))) == {}


def test_killing_ctrctl_leaves_its_process_to_the_container(start: Start) -> None:
    """SIGKILL to ``ctrctl exec``: what it started goes on in the scope, nothing of it stays in /run, and the end of the
    container is its end."""
    name = start("left")
    with background("ctrctl", "exec", name, "sh", "-c", FAMILY, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        pids = family(name)
        wait_until(lambda: not names(RUNTIME, ["exec-*"]))
        program.kill()
    assert members(cgroup_of(scope(name))) == pids
    ctrctl("stop", name)
    assert gone(pids)


def test_the_device_policy_holds_for_exec(start: Start) -> None:
    """A node that the container may not use cannot be opened from exec either, privileged or not as a process."""
    name = start("devices")
    script = "mknod /kmsg c 1 11 && cat /kmsg"
    done = ctrctl("exec", "--privileged", "-u", "0", name, "sh", "-c", script, check=False)
    assert (done.returncode, "Operation not permitted" in done.stderr) == (1, True)


@pytest.mark.controllers
def test_limits_count_what_exec_starts(busybox: str, tidy: Tidy) -> None:
    """What exec fills is the container's memory; its processes are among those that --pids-limit counts, so it starts
    no more than are left."""
    name = tidy("limited")
    limits = ("--pids-limit", "20", "--memory", "64m")
    # An init that starts nothing itself, so that it does not come to lack a process.
    ctrctl("run", "-d", "--name", name, "--network", "none", *limits, "--stop-signal", "KILL", busybox, "sleep", "9999")
    group = cgroup_of(scope(name))
    before = int((group / "memory.current").read_text())
    ctrctl("exec", name, "dd", "if=/dev/zero", "of=/dev/shm/filled", "bs=1M", "count=16")
    assert int((group / "memory.current").read_text()) > before + 12 * 1024 * 1024
    script = "n=0; while [ $n -lt 40 ]; do sleep 1000 >/dev/null 2>&1 & n=$((n + 1)); done; echo all"
    done = ctrctl("exec", name, "sh", "-c", script, check=False)
    assert (done.stdout, "can't fork" in done.stderr) == ("", True)
    assert 15 <= int((group / "pids.current").read_text()) <= 20
    ctrctl("exec", name, "sh", "-c", "for n in 1 2 3; do sleep 1000 >/dev/null 2>&1 & done", check=False)
    assert int((group / "pids.current").read_text()) <= 20
    assert main_pid(name) in processes(group)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_exec_into_a_group_that_the_container_made(busybox: str, tidy: Tidy, runtime: str) -> None:
    """An init that moved into a control group of its own below the scope, as an init system does: exec goes there,
    and ends with it."""
    name = tidy(f"below-{runtime}")
    script = f"mkdir /sys/fs/cgroup/own && echo 1 > /sys/fs/cgroup/own/cgroup.procs; {PATIENT}"
    ctrctl(
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "none",
        "--privileged",
        "--runtime",
        runtime,
        busybox,
        "sh",
        "-c",
        script,
    )
    group = cgroup_of(scope(name)) / "own"
    wait_until(lambda: main_pid(name) in processes(group))
    ctrctl("exec", "-d", name, "sh", "-c", FAMILY)
    pids = whole(group)
    ctrctl("stop", name)
    assert gone(pids)


def test_exec_into_a_frozen_container_is_an_error(start: Start) -> None:
    """Paused by ``ctrctl pause``, or with the slice it is in: said at once, where joining would hang until the thaw;
    afterwards exec works."""
    name = start("cold")
    ctrctl("pause", name)
    done = ctrctl("exec", name, "true", check=False)
    assert (done.returncode, "is paused; let it go on with 'ctrctl unpause cold'" in done.stderr) == (125, True)
    ctrctl("unpause", name)
    systemctl("freeze", "ctr.slice")
    try:
        done = ctrctl("exec", name, "true", check=False)
    finally:
        systemctl("thaw", "ctr.slice")
    assert (done.returncode, "ctr.slice is frozen; let it go on with 'systemctl thaw" in done.stderr) == (125, True)
    assert ctrctl("exec", name, "echo", "warm").stdout == "warm\n"
