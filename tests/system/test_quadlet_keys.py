"""Keys of [Container] and options in PodmanArgs= whose behaviour is the point, in a booted host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hostkit import (
    command_of,
    ctrctl,
    is_active,
    main_pid,
    messages,
    processes,
    read_lines,
    service,
    show,
    systemctl,
    wait_until,
)

Define = Callable[..., str]

#: Says what it was told, and goes on.
LOOP = "while :; do sleep 0.1; done"


def lines_of(name: str) -> list[str]:
    """What the container wrote, so far."""
    return messages(unit=service(name))


def inside(name: str, *command: str) -> str:
    return ctrctl("exec", name, *command).stdout.strip()


def test_reload_sends_the_signal(busybox: str, define: Define) -> None:
    """ReloadSignal=: 'systemctl reload' reaches the program, which goes on as it is."""
    unit = define(
        "hup",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        ReloadSignal=HUP
        Exec=sh -c 'trap "echo reloaded" HUP; echo ready; {LOOP}'
        """,
    )
    systemctl("start", unit)
    wait_until(lambda: "ready" in lines_of("hup"))
    pid = main_pid("hup")
    systemctl("reload", unit)
    wait_until(lambda: "reloaded" in lines_of("hup"))
    assert main_pid("hup") == pid and is_active(unit)


def test_reload_runs_the_command_in_the_container(busybox: str, define: Define, tmp_path: Path) -> None:
    """ReloadCmd=: words, environment files and user are the container's; one that fails fails the reload alone."""
    variables = tmp_path / "variables"
    # A name alone is passed on from the unit's environment; one that is not there is nothing.
    variables.write_text("WHO=file\nLANG\nCTR_TEST_NOT_THERE\n")
    unit = define(
        "cmd",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        User=1000
        EnvironmentFile={variables}
        ReloadCmd=sh -c 'echo asked; test ! -e /tmp/fail && echo "$WHO $(id -u) $0 x" >/tmp/told' "a b"
        Exec=sh -c '{LOOP}'
        """,
    )
    systemctl("start", unit)
    pid = main_pid("cmd")
    systemctl("reload", unit)
    assert inside("cmd", "cat", "/tmp/told") == "file 1000 a b x"
    wait_until(lambda: "asked" in lines_of("cmd"))
    inside("cmd", "touch", "/tmp/fail")
    assert systemctl("reload", unit, check=False).returncode != 0
    assert main_pid("cmd") == pid and is_active(unit)
    assert show(unit, "Result") == {"Result": "success"}
    assert any("reload: the command ended with 1" in line for line in messages(f"_SYSTEMD_UNIT={unit}"))


def test_a_reload_that_hangs_leaves_nothing(busybox: str, define: Define) -> None:
    """It fails before systemd's timeout, and what it started in the container is killed with it; what a reload that
    succeeds leaves running goes on."""
    unit = define(
        "hang",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        ReloadCmd=sh -c 'test -e /tmp/hang || {{ sleep 2001 & exit 0; }}; echo "<0>now"; sleep 2002 & sleep 2003'
        Exec=sh -c '{LOOP}'
        [Service]
        TimeoutStartSec=16
        """,
    )
    systemctl("start", unit)
    pid = main_pid("hang")
    group = Path("/sys/fs/cgroup") / show("ctr-hang.scope", "ControlGroup")["ControlGroup"].lstrip("/")

    def sleeping() -> set[str]:
        return {command for p in processes(group) if (command := command_of(p)).startswith("sleep 200")}

    systemctl("reload", unit)
    wait_until(lambda: sleeping() == {"sleep 2001"})
    inside("hang", "touch", "/tmp/hang")
    assert systemctl("reload", unit, check=False).returncode != 0
    assert sleeping() == {"sleep 2001"}
    assert not (group / "ctr-reload").exists()
    assert main_pid("hang") == pid and is_active(unit)
    text = "hang: reload: the command did not end within 12 s and was killed; see TimeoutStartSec="
    wait_until(lambda: {text, "<0>now"} <= {*messages(f"_SYSTEMD_UNIT={unit}")})
    assert messages("PRIORITY=0", f"_SYSTEMD_UNIT={unit}") == []


def test_the_environment_of_the_host(busybox: str, define: Define, tmp_path: Path) -> None:
    """EnvironmentHost=: what systemd gives a unit arrives, its private words do not, and everything else wins. A file
    that may be missing is no reason not to start."""
    unit = define(
        "hostenv",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        EnvironmentHost=yes
        EnvironmentFile=-{tmp_path}/missing
        Environment=CTR_TEST_OWN=definition
        Exec=sh -c 'env; echo ready; {LOOP}'
        """,
    )
    systemctl("set-environment", "CTR_TEST_HOST=from systemd", "CTR_TEST_OWN=host", "HOME=/nowhere")
    try:
        systemctl("start", unit)
        wait_until(lambda: "ready" in lines_of("hostenv"))
    finally:
        systemctl("unset-environment", "CTR_TEST_HOST", "CTR_TEST_OWN", "HOME")
    found = dict(line.split("=", 1) for line in lines_of("hostenv") if "=" in line)
    assert found["CTR_TEST_HOST"] == "from systemd"
    assert (found["CTR_TEST_OWN"], found["HOME"]) == ("definition", "/root")
    private = {"INVOCATION_ID", "NOTIFY_SOCKET", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID", "LISTEN_FDS"}
    assert not private.intersection(found)


def test_the_tag_in_the_journal(busybox: str, define: Define) -> None:
    """LogOpt=tag=: the lines are found by it, and by the unit and the container's name as ever."""
    unit = define(
        "tagged",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        LogOpt=tag=shop/{{{{.Name}}}}
        Exec=echo hello
        [Service]
        Type=oneshot
        """,
    )
    systemctl("start", unit)
    wait_until(lambda: "hello" in messages("SYSLOG_IDENTIFIER=shop/tagged", "CONTAINER_NAME=tagged"))
    assert "hello" in messages(unit=unit)


def test_namespaces_of_the_host(busybox: str, define: Define) -> None:
    """PodmanArgs=--pid=host and its like: the namespaces are PID 1's; no process stays when the container stops."""
    unit = define(
        "peer",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        PodmanArgs=--pid=host --ipc host --uts=host --cgroupns=host
        Exec=sh -c 'sleep 1000 & sleep 1001 & {LOOP}'
        """,
    )
    systemctl("start", unit)
    pid = main_pid("peer")
    for kind in ("pid", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/1/ns/{kind}")
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/1/ns/mnt")
    assert inside("peer", "hostname") == os.uname().nodename
    assert inside("peer", "stat", "-c", "%d:%i", "/dev/shm") == "{0.st_dev}:{0.st_ino}".format(os.stat("/dev/shm"))
    group = Path("/sys/fs/cgroup") / show("ctr-peer.scope", "ControlGroup")["ControlGroup"].lstrip("/")
    children = wait_until(lambda: [p for p in processes(group) if "sleep" in command_of(p) and "100" in command_of(p)])
    systemctl("restart", unit)
    assert main_pid("peer") != pid
    assert not any("sleep 100" in command_of(p) for p in children if Path(f"/proc/{p}").exists())
    systemctl("stop", unit)
    wait_until(lambda: not group.exists() or not processes(group))


def test_a_terminal_and_all_privileges(busybox: str, define: Define) -> None:
    """PodmanArgs=-it --privileged: the program has a terminal whose output is in the journal, and all the host has."""
    unit = define(
        "console",
        f"""
        [Container]
        Image={busybox}
        Network=none
        StopTimeout=1
        PodmanArgs=-it --privileged --umask 0077 --cpus=1 --rm
        Exec=sh -c 'tty; umask; grep CapEff /proc/self/status; test -t 0 && echo ready; {LOOP}'
        """,
    )
    systemctl("start", unit)
    wait_until(lambda: "ready" in [line.strip() for line in lines_of("console")])
    said = [line.strip() for line in lines_of("console")]
    assert "/dev/pts/0" in said or "/dev/console" in said
    assert "0077" in said
    bounding = next(line.split()[1] for line in read_lines("/proc/1/status") if line.startswith("CapBnd"))
    assert f"CapEff:\t{bounding}" in said
    assert show("ctr-console.scope", "CPUQuotaPerSecUSec") == {"CPUQuotaPerSecUSec": "1s"}


def test_what_podman_run_says_is_refused_by_name(busybox: str, define: Define) -> None:
    """'ctrctl apply' deploys nothing of a file with an option that cannot be had, and names it with its line."""
    define("wrong", f"[Container]\nImage={busybox}\nPodmanArgs=--cgroups=disabled --nosuch\n", apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode != 0
    assert "/etc/ctr/wrong.container:3: PodmanArgs=: --cgroups: " in done.stderr
    assert "/etc/ctr/wrong.container:3: PodmanArgs=: --nosuch: no such option of podman" in done.stderr


def test_run_in_the_hosts_namespaces(busybox: str) -> None:
    """'ctrctl run --pid=host' sees PID 1 of the host."""
    done = ctrctl("run", "--rm", "--network", "none", "--pid=host", busybox, "cat", "/proc/1/comm")
    assert done.stdout == Path("/proc/1/comm").read_text()
