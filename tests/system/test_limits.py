"""Limits are on the scope, ``ctrctl update`` changes them, and the OOM killer's work is called by its name.

What systemd was told is seen on every host; what the kernel makes of it (marker ``controllers``) in the virtual
machine, which is slow: few containers, each for many claims.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Define
from eventkit import kinds, settled
from hostkit import (
    DEFINITIONS,
    STATE,
    cgroup_of,
    command_of,
    ctrctl,
    main_pid,
    messages,
    processes,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

Tidy = Callable[[str], str]

#: Ends when it is asked to, unlike a plain `sleep` as init.
PATIENT = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"
MIB = 1 << 20
#: Needs 100 MiB at once.
HUNGRY = "dd if=/dev/zero of=/dev/null bs=100M count=1"


def limit(name: str, file: str) -> str:
    return (cgroup_of(scope(name)) / file).read_text().strip()


def state(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(ctrctl("inspect", name).stdout)[0]["state"]
    return found


def status(name: str) -> str:
    rows = json.loads(ctrctl("ps", "-a", "--format", "json").stdout)
    return str(next(row["status"] for row in rows if row["name"] == name))


# what systemd was told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("MemoryMax=-1G", "MemoryMax=: '-1G' is negative"),
        ("CPUQuota=200x", "CPUQuota=: '200x' is not a CPU quota"),
        ("AllowedCPUs=3-1", "AllowedCPUs=: '3-1' is not a list of numbers"),
        ("IOReadBandwidthMax=/dev/vda lots", "IOReadBandwidthMax=: 'lots' is not a rate"),
    ],
)
def test_a_bad_limit_is_an_error_with_its_line(busybox: str, define: Define, line: str, message: str) -> None:
    """Before anything is deployed."""
    define("bad", f"[Container]\nImage={busybox}\n[Service]\n{line}\n", apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode == 1
    assert f"{DEFINITIONS}/bad.container:4: {message}" in done.stderr
    assert not (STATE / "containers/bad").exists()


def test_a_limit_on_a_disk_that_is_not_there_is_an_error(busybox: str, tidy: Tidy) -> None:
    """systemd would ignore it."""
    tidy("nodisk")
    words = ("--name", "nodisk", "--network", "none", "--device-read-bps", "/dev/nosuch:1m", busybox, "true")
    done = ctrctl("run", *words, check=False)
    assert done.returncode == 125
    assert "device /dev/nosuch: no such device node" in done.stderr
    assert not (STATE / "containers/nodisk").exists()


def test_update_is_live_and_stays(busybox: str, tidy: Tidy) -> None:
    """The scope that runs is changed without a restart, and so are its next ones, the restart policy too."""
    tidy("grows")
    words = ("-d", "--name", "grows", "--network", "none", "-m", "64m", "--memory-swap", "80m")
    ctrctl("run", *words, busybox, "sh", "-c", PATIENT)
    pid = main_pid("grows")
    done = ctrctl("update", "--memory", "128m", "--cpus", "0.5", "--pids-limit", "99", "--restart", "always", "grows")
    assert (done.stdout, done.stderr) == ("grows\n", "")
    assert main_pid("grows") == pid

    def check() -> None:
        names = ("MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax")
        # The swap that was chosen stays.
        assert tuple(show(scope("grows"), *names)[name] for name in names) == (
            *(str(128 * MIB), str(16 * MIB)),
            *("500ms", "99"),
        )
        assert show(service("grows"), "Restart") == {"Restart": "always"}

    check()
    systemctl("daemon-reload")
    check()
    assert systemctl("is-enabled", service("grows")).stdout == "enabled\n"
    ctrctl("restart", "grows")
    check()
    ctrctl("update", "--pids-limit", "-1", "--memory", "0", "--restart", "no", "grows")
    assert show(scope("grows"), "MemoryMax", "TasksMax") == {"MemoryMax": "infinity", "TasksMax": "infinity"}
    assert show(service("grows"), "Restart") == {"Restart": "no"}
    ctrctl("stop", "grows")
    assert ctrctl("update", "--cpus", "2", "grows").stdout == "grows\n"
    ctrctl("start", "grows")
    assert show(scope("grows"), "CPUQuotaPerSecUSec") == {"CPUQuotaPerSecUSec": "2s"}


def test_update_of_a_definition_lasts_until_its_restart(busybox: str, define: Define) -> None:
    """The file is its author's; the answer says what to write there."""
    text = f'[Container]\nImage={busybox}\nNetwork=none\nExec=sh -c "{PATIENT}"\n[Service]\nMemoryMax=50%\n'
    unit = define("written", text)
    words = ("update", "--memory", "64m", "--pids-limit", "9", "written")
    assert f"in [Service] of {DEFINITIONS}/written.container" in ctrctl(*words, check=False).stderr  # does not run
    systemctl("start", unit)
    before = show(scope("written"), "MemoryMax")
    done = ctrctl(*words)
    keys = "MemoryMax= and TasksMax="
    kept = f"changed until its next restart; write {keys} in [Service] of {DEFINITIONS}/written.container"
    assert kept in done.stderr
    assert show(scope("written"), "MemoryMax", "TasksMax") == {"MemoryMax": str(64 * MIB), "TasksMax": "9"}
    refused = ctrctl("update", "--restart", "always", "written", check=False)
    assert "write Restart= there" in refused.stderr
    systemctl("restart", unit)
    assert show(scope("written"), "MemoryMax") == before
    assert not list(Path("/run/systemd/transient").glob("ctr-written.scope.d/*"))


def test_update_refused_changes_nothing(busybox: str, tidy: Tidy) -> None:
    """Not half of it: words that make no sense, a caller who may not, a value that systemd refuses."""
    tidy("same")
    ctrctl("run", "-d", "--name", "same", "--network", "none", busybox, "sh", "-c", PATIENT)
    before = show(scope("same"))
    deployed = os.readlink(STATE / "containers/same/current")
    for words, message in (
        (("--cpus", "2", "--memory", "-1G"), "--memory: '-1G' is negative"),
        (("--memory-swap", "1g"), "a limit for swap needs one for memory"),
        (("--device-write-bps", "/dev/nosuch:1m"), "/dev/nosuch: no such device node"),
        ((), "nothing to change"),
    ):
        done = ctrctl("update", *words, "same", check=False)
        assert done.returncode == 125
        assert message in done.stderr
    nobody = run("setpriv", "--reuid=65534", "ctrctl", "update", "--cpus", "2", "same", check=False)
    assert "update: needs root" in nobody.stderr
    program = (
        "import sys; sys.path.insert(0, '/usr/lib/ctr')\n"
        "from supervisor.systemd.manager import Manager\n"
        "with Manager.open() as manager:\n"
        f"    manager.set_properties('{scope('same')}', [('TasksMax', ('t', 7)), ('CPUWeight', ('t', 10**6))])\n"
    )
    assert "ctr-same.scope: " in run("python3", "-c", program, check=False).stderr
    volatile = re.compile(r"Current|NSec|MemoryAvailable|Peak|Timestamp|Effective|(Read|Write)(Bytes|Operations)")
    after = show(scope("same"))
    assert {k: v for k, v in after.items() if not volatile.search(k)} == {
        k: v for k, v in before.items() if not volatile.search(k)
    }
    assert os.readlink(STATE / "containers/same/current") == deployed


# what the kernel does


@pytest.mark.controllers
def test_the_kernel_has_every_limit_and_update_changes_it(busybox: str, define: Define) -> None:
    """[Service] limits are in the scope's cgroup; what is exec'd counts and is refused; update and daemon-reload."""
    disk = next(f"/dev/{path.name}" for path in Path("/sys/block").glob("vda"))
    number = os.stat(disk).st_rdev
    unit = define(
        "tight",
        f"""\
        [Container]
        Image={busybox}
        Network=none
        AddCapability=CAP_MKNOD
        Exec=sh -c "{PATIENT}"
        [Service]
        MemoryMax=64M
        MemoryHigh=48M
        MemoryLow=8M
        MemorySwapMax=16M
        CPUQuota=90%
        CPUQuotaPeriodSec=50ms
        CPUWeight=20
        AllowedCPUs=0
        TasksMax=12
        IOReadBandwidthMax={disk} 500M
        IOWriteIOPSMax={disk} 9000
        """,
    )
    systemctl("start", unit)
    expected = {
        "memory.max": str(64 * MIB),
        "memory.high": str(48 * MIB),
        "memory.low": str(8 * MIB),
        "memory.swap.max": str(16 * MIB),
        "cpu.max": "45000 50000",
        "cpu.weight": "20",
        "cpuset.cpus": "0",
        "pids.max": "12",
        "io.max": f"{os.major(number)}:{os.minor(number)} rbps=500000000 wbps=max riops=max wiops=9000",
    }
    assert {file: limit("tight", file) for file in expected} == expected

    def room() -> bool:
        for pid in processes(cgroup_of(scope("tight"))):
            if command_of(pid) == "sleep 100":  # some are just becoming that
                os.kill(pid, signal.SIGKILL)
        return int(limit("tight", "pids.current")) < 6

    many = "for i in $(seq 20); do sleep 100 >/dev/null 2>&1 & done"
    assert "can't fork" in ctrctl("exec", "tight", "sh", "-c", many, check=False).stderr
    wait_until(room, what="room for more processes")
    ctrctl("exec", "tight", "mknod", "/disk", "b", str(os.major(number)), str(os.minor(number)))
    assert "/disk: Operation not permitted" in ctrctl("exec", "tight", "head", "-c", "1", "/disk", check=False).stderr
    words = ("-m", "96m", "--memory-swap", "96m", "--cpus", "1.5", "--pids-limit", "30")
    ctrctl("update", *words, "--device-write-iops", f"{disk}:8000", "tight")
    expected |= {"memory.max": str(96 * MIB), "memory.swap.max": "0", "cpu.max": "75000 50000", "pids.max": "30"}
    expected["io.max"] = expected["io.max"].replace("wiops=9000", "wiops=8000")
    assert {file: limit("tight", file) for file in expected} == expected
    systemctl("daemon-reload")
    assert {file: limit("tight", file) for file in expected} == expected
    assert "/disk: Operation not permitted" in ctrctl("exec", "tight", "head", "-c", "1", "/disk", check=False).stderr


@pytest.mark.controllers
def test_out_of_memory_is_said(busybox: str, tidy: Tidy) -> None:
    """A child, an exec and init killed by the OOM killer are 'oom' everywhere, events included, and a plain SIGKILL is
    not."""
    tidy("hungry")
    settled()
    began = time.time()
    script = f"[ -e /ate ] || {HUNGRY}; touch /ate; until [ -e /go ]; do sleep 0.1; done; rm /go; exec {HUNGRY}"
    words = ("-d", "--name", "hungry", "--network", "none", "-m", "32m", "--memory-swap", "32m")
    ctrctl("run", *words, busybox, "sh", "-c", script)
    wait_until(lambda: status("hungry").endswith("(oom 1)"), 120, "the child was killed")
    wait_until(lambda: kinds("hungry", began).count("oom") >= 1, what="it is told, apart from the next")
    pid = main_pid("hungry")

    done = ctrctl("exec", "hungry", *HUNGRY.split(), check=False)
    assert (done.returncode, "out of memory" in done.stderr) == (137, True)
    assert status("hungry").endswith("(oom 2)")
    wait_until(lambda: kinds("hungry", began).count("oom") >= 2, what="it is told, apart from the next")
    assert main_pid("hungry") == pid, "the container lives on"
    assert (state("hungry")["oom_killed"], state("hungry")["oom_kills"]) == (True, 2)

    ctrctl("exec", "hungry", "touch", "/go")
    wait_until(lambda: show(service("hungry"), "ActiveState")["ActiveState"] == "failed", 120, "init was killed")
    assert re.fullmatch(r"Exited \(137\) .* ago \(oom\)", status("hungry"))
    assert state("hungry")["oom_killed"] is True
    waited = ctrctl("wait", "hungry")
    assert (waited.stdout, "out of memory" in waited.stderr) == ("137\n", True)
    assert any(line.startswith("hungry: out of memory: ") for line in messages(unit=service("hungry")))

    ctrctl("start", "hungry")
    ctrctl("kill", "hungry")
    wait_until(lambda: show(service("hungry"), "ActiveState")["ActiveState"] == "failed")
    assert re.fullmatch(r"Exited \(137\) .* ago", status("hungry"))
    assert state("hungry")["oom_killed"] is False
    wait_until(lambda: kinds("hungry", began).count("exited") == 2, 60, "both ends are told")
    told = kinds("hungry", began)
    lived = ["starting", "started", "ready"]
    assert [kind for kind in told if kind != "oom"] == ["created", *lived, "exited", *lived, "exited"]
    # The last comes with the end of the scope, where systemd may be too late to see it.
    assert told.count("oom") in (2, 3) and "oom" not in told[told.index("exited") + 2 :]


@pytest.mark.controllers
def test_out_of_memory_is_why_a_command_fails(busybox: str, define: Define) -> None:
    """``ctrctl run`` says why it returns 137, and ``start`` why a job that was to run to its end did not."""
    words = ("--rm", "--network", "none", "-m", "32m", "--memory-swap", "32m")
    done = ctrctl("run", *words, busybox, *HUNGRY.split(), check=False)
    assert (done.returncode, "out of memory" in done.stderr) == (137, True)
    limits = "Type=oneshot\nMemoryMax=32M\nMemorySwapMax=0"
    define("job", f"[Container]\nImage={busybox}\nNetwork=none\nExec={HUNGRY}\n[Service]\n{limits}\n")
    done = ctrctl("start", "job", check=False)
    assert (done.returncode, "job: start failed: out of memory" in done.stderr) == (125, True)
