"""What containers use and do: ``ctrctl stats``, ``top``, ``wait --condition`` and ``ps -w``, by the kernel's word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Define
from hostkit import (
    background,
    cgroup_of,
    command_of,
    ctrctl,
    main_pid,
    processes,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)
from terminal import Terminal

Tidy = Callable[[str], str]
Document = dict[str, Any]

SLEEPER = "trap 'exit 0' TERM; sleep 1000 & wait"
BUSY = "trap 'exit 0' TERM; while :; do :; done"


def _stats(*names: str) -> dict[str, Document]:
    return {one["name"]: one for one in json.loads(ctrctl("stats", "--no-stream", "--format", "json", *names).stdout)}


def _run(name: str, *options: str, command: str = SLEEPER, image: str) -> str:
    ctrctl("run", "--detach", "--name", name, *options, image, "sh", "-c", command)
    return name


def _sleeps(name: str) -> None:
    """Wait until the container does nothing any more: the runtime has gone, and the shell waits for its sleep."""

    def programs() -> list[str]:
        return sorted(command_of(pid).split(" ")[0] for pid in processes(cgroup_of(scope(name))))

    wait_until(lambda: programs() == ["sh", "sleep"], what=f"{name} sleeps")


def test_usage_is_the_kernels(tidy: Tidy, busybox: str) -> None:
    """One container works, one does not; both have a network, and anybody may know."""
    busy = _run(tidy("busy"), "--network", "ctr", command=BUSY, image=busybox)
    idle = _run(tidy("idle"), "--network", "host", image=busybox)
    assert main_pid(busy)
    _sleeps(idle)
    before = cgroup_of(scope(busy)).joinpath("cpu.stat").read_text().split()[1]
    found = _stats()
    assert int(found[busy]["cpu"]["usage"]) >= int(before)
    # However slow the host is: the busy one gets something, the idle one hardly anything.
    assert found[busy]["cpu_percent"] > 10 * found[idle]["cpu_percent"]
    assert [one["name"] for one in found[busy]["interfaces"]] == ["eth0"]
    assert found[idle]["interfaces"] is None, "the host's own counters are no container's"
    unprivileged = run("runuser", "-u", "nobody", "--", "ctrctl", "stats", "--no-stream").stdout
    header, *rows = unprivileged.splitlines()
    assert header.split("   ")[0] == "NAME"
    (line,) = [row for row in rows if row.startswith("busy ")]
    assert "%" in line
    assert "B / " in line, "the network of others' processes is readable"


def test_a_container_that_is_down_has_a_row_when_it_is_named(tidy: Tidy, busybox: str) -> None:
    """As docker does; without names only what runs is shown."""
    ctrctl("create", "--name", tidy("down"), busybox, "true")
    assert _stats("down")["down"]["running"] is False
    assert "down" not in _stats()


def test_stats_ends_by_ctrl_c_and_draws_in_place(tidy: Tidy, busybox: str) -> None:
    """The way to leave it is no failure, and the table does not scroll."""
    _run(tidy("idle"), "--network", "none", image=busybox)
    with Terminal("ctrctl", "stats", "--interval", "0.2") as terminal:
        terminal.expect("\x1b[HNAME")
        terminal.expect("idle")
        terminal.expect("\x1b[HNAME")
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert terminal.is_as_before


def test_piped_stats_are_blocks_and_end_with_their_reader(tidy: Tidy, busybox: str) -> None:
    """No escape sequence in a pipe; who stops reading is not waited for."""
    _run(tidy("idle"), "--network", "none", image=busybox)
    with background("ctrctl", "stats", "--interval", "0.2", stdout=subprocess.PIPE) as child:
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(6)]
        child.stdout.close()
        assert child.wait(60) in (0, 141)
    assert [line.split(" ")[0].strip() for line in lines] == ["NAME", "idle", "", "NAME", "idle", ""]
    assert "\x1b" not in "".join(lines)


def test_top_shows_every_process_harmlessly(tidy: Tidy, busybox: str) -> None:
    """PIDs of the host, those of groups below among them; a command line cannot drive the reader's terminal."""
    command = "exec sh -c 'sleep 1000 & wait' \"$(printf '\\033[2J')\""
    name = _run(tidy("odd"), "--network", "none", command=command, image=busybox)
    _sleeps(name)
    shown = ctrctl("top", name, "pid,user", "args").stdout
    header, *rows = shown.splitlines()
    assert header.split() == ["PID", "USER", "COMMAND"]
    assert {int(row.split()[0]) for row in rows} == set(processes(cgroup_of(scope(name))))
    assert "sleep 1000 & wait \\x1b[2J" in shown
    assert "\x1b" not in shown
    ctrctl("kill", name)
    assert ctrctl("wait", name).stdout == "137\n"
    assert "not running; start it" in ctrctl("top", name, check=False).stderr


def test_wait_for_a_state_that_comes(tidy: Tidy, busybox: str) -> None:
    """Running, stopped, removed: each waits while it is not so, and says the name when it is; what is so counts."""
    ctrctl("create", "--name", tidy("job"), busybox, "sh", "-c", SLEEPER)
    for condition, act in (
        ("running", ("start", "job")),
        ("stopped", ("stop", "job")),
        ("removed", ("rm", "job")),
    ):
        waiting = ("ctrctl", "wait", "--condition", condition, "--timeout", "180", "job")
        assert ctrctl("wait", "--condition", condition, "--timeout", "0", "job", check=False).returncode == 124
        with background(*waiting, stdout=subprocess.PIPE) as child:
            ctrctl(*act)
            assert child.communicate(timeout=180)[0] == "job\n"
            assert child.returncode == 0
        if condition != "removed":
            assert ctrctl("wait", "--condition", condition, "job").stdout == "job\n"


def test_wait_gives_up_in_time(tidy: Tidy, busybox: str) -> None:
    """124 as timeout(1), and the reason; a health that nobody looks at is refused at once."""
    _run(tidy("idle"), "--network", "none", image=busybox)
    late = ctrctl("wait", "--timeout", "0.2", "idle", check=False)
    assert (late.returncode, late.stderr) == (124, "ctrctl: wait: not exited within 0.2 s: idle\n")
    never = ctrctl("wait", "--condition", "healthy", "idle", check=False)
    assert (never.returncode, "has no health check" in never.stderr) == (125, True)


def test_wait_until_healthy_and_unhealthy(define: Define, busybox: str) -> None:
    """The gate's word, by its signal."""
    define(
        "sick",
        f"""
        [Container]
        Image={busybox}
        Exec=sh -c "trap 'exit 0' TERM; touch /tmp/well; sleep 1000 & wait"
        Network=none
        HealthCmd=test -e /tmp/well
        HealthInterval=1s
        HealthRetries=1
        """,
    )
    with background("ctrctl", "wait", "--condition", "healthy", "sick", stdout=subprocess.PIPE) as child:
        ctrctl("start", "sick")
        assert child.communicate(timeout=180)[0] == "sick\n"
    with background("ctrctl", "wait", "--condition", "unhealthy", "sick", stdout=subprocess.PIPE) as child:
        ctrctl("exec", "sick", "rm", "/tmp/well")
        assert child.communicate(timeout=180)[0] == "sick\n"


def test_restarts_are_shown_when_asked_for(tidy: Tidy, busybox: str) -> None:
    """systemd's own count, in a column and in JSON; a plain ps does not ask."""
    name = _run(tidy("phoenix"), "--network", "none", "--restart", "always", image=busybox)
    os.kill(main_pid(name), signal.SIGKILL)
    wait_until(
        lambda: show(service(name), "NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"}, 60
    )
    header, row = ctrctl("ps", "-w", "--filter", f"name={name}").stdout.splitlines()
    assert (header.split()[-1], row.split()[-1]) == ("RESTARTS", "1")
    (document,) = json.loads(ctrctl("ps", "--format", "json", "--filter", f"name={name}").stdout)
    assert document["restarts"] == 1
    assert "RESTARTS" not in ctrctl("ps").stdout


@pytest.mark.controllers
def test_limits_and_controllers(tidy: Tidy, busybox: str) -> None:
    """Memory, tasks, disk and processor limits, as the kernel has them."""
    options = ("--network", "none", "--memory", "64m", "--pids-limit", "50", "--cpus", "1.5")
    command = "dd if=/dev/zero of=/tmp/block bs=1M count=8 conv=fsync 2>/dev/null; " + SLEEPER
    name = _run(tidy("limited"), *options, command=command, image=busybox)
    group = cgroup_of(scope(name))
    _sleeps(name)
    found = _stats(name)[name]
    memory, pids, cpu, io = (found[key] for key in ("memory", "pids", "cpu", "io"))
    assert memory["limit"] == 64 << 20
    assert 0 < memory["current"] <= int(group.joinpath("memory.peak").read_text())
    assert 0 < found["memory_percent"] <= 100
    assert pids == {"current": 2, "limit": 50}
    assert cpu["limit"] == 1.5
    assert io["written_bytes"] >= 8 << 20
    line = ctrctl("stats", "--no-stream", name).stdout.splitlines()[1]
    assert " / 64MiB " in line
    systemctl("stop", service(name))
