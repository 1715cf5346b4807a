"""Pods: containers that share network, ipc and host name, without a process that holds them together."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import (
    DEFINITIONS,
    RUNTIME,
    cgroup_of,
    ctrctl,
    is_active,
    main_pid,
    processes,
    service,
    show,
    systemctl,
    wait_until,
)
from netkit import page, resolves, served

Tidy = Callable[[str], str]
Define = Callable[..., str]

IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def pod() -> Iterator[Callable[..., str]]:
    """``pod("shop", "PublishPort=…", web="Exec=…")`` deploys a pod with containers; all of it goes with the test."""
    made: set[str] = set()
    files: set[Path] = set()

    def make(name: str, lines: str = "", **members: str) -> str:
        made.add(name)
        texts = {f"{name}.pod": f"[Pod]\n{lines}\n"}
        texts |= {f"{member}.container": container(name, extra) for member, extra in members.items()}
        for file, text in texts.items():
            files.add(DEFINITIONS / file)
            (DEFINITIONS / file).write_text(text)
        return ctrctl("apply").stdout

    yield make
    ctrctl("pod", "rm", "--force", *made, check=False)  # and its containers
    for path in files:
        path.unlink(missing_ok=True)


def container(pod: str, extra: str = "") -> str:
    """A definition; *extra* is further lines, from [Container] on."""
    exec_line = "" if "Exec=" in extra else f'Exec=sh -c "{IDLE}"'
    return f"[Container]\nImage=localhost/busybox\nPod={pod}.pod\n{exec_line}\n{textwrap.dedent(extra)}\n"


def web(port: int, text: str = "hello") -> str:
    """A container that serves *text* on *port*."""
    return f'Exec=sh -c "mkdir /w; echo {text} > /w/index.html; httpd -p {port} -h /w; {IDLE}"'


def target(pod: str) -> str:
    return f"ctr@{pod}.target"


def spaces(name: str) -> dict[str, str]:
    """The namespaces of a container's init."""
    pid = main_pid(name)
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "ipc", "uts", "pid", "mnt", "cgroup")}


def inside(name: str, command: str) -> str:
    return ctrctl("exec", name, "sh", "-c", command).stdout


def is_gone(pod: str) -> bool:
    """Whether neither units nor namespaces of it are left."""
    units = (target(pod), f"ctr-netns@{pod}.service")
    places = (RUNTIME / "namespaces" / pod, RUNTIME / "networks" / pod, Path(f"/run/netns/ctr-{pod}"))
    mounted = any(str(place) in Path("/proc/1/mountinfo").read_text() for place in places)
    return all(show(unit, "ActiveState")["ActiveState"] == "inactive" for unit in units) and not mounted


def gone(pod: str) -> None:
    """Wait until nothing of it is left: its namespaces end when nobody needs them any more."""
    wait_until(lambda: is_gone(pod), what=f"units and namespaces of {pod} are gone")


@pytest.mark.usefixtures("busybox")
def test_what_containers_share(pod: Callable[..., str], tidy: Tidy) -> None:
    """localhost, /dev/shm, ipc and host name are one; pids and mounts are not. One port leads in, the pod's name is
    served, and nothing but the two programs runs."""
    told = pod(
        "my-shop",
        "PublishPort=18080:8080\nShmSize=8m\nHostName=store\nVolume=/etc/hostname:/etc/of-host:ro",
        page=web(8080),
        side="",
    )
    assert "pod my-shop: created" in told
    assert ctrctl("pod", "start", "my-shop").stdout == "my-shop\n"
    shared, other = spaces("page"), spaces("side")
    assert {kind for kind in shared if shared[kind] == other[kind]} == {"net", "ipc", "uts"}
    inits = {main_pid("page"), main_pid("side")}
    group = cgroup_of(r"ctr-my\x2dshop.slice")

    def only_programs() -> bool:
        found = processes(group)
        return inits < set(found) and {command_line(pid).split()[0] for pid in found} <= {"sh", "sleep", "httpd"}

    wait_until(only_programs, what="the runtime has gone")
    served("127.0.0.1", 18080, "hello")
    assert ctrctl("port", "my-shop").stdout == ctrctl("port", "side").stdout == "8080/tcp -> 0.0.0.0:18080\n"
    for name in ("localhost", "page"):
        assert inside("side", f"wget -qO- http://{name}:8080/") == "hello\n"
    told = inside("side", "hostname; echo x > /dev/shm/x; df -k /dev/shm | tail -n 1")
    assert told.split()[:3] == ["store", "shm", "8192"]
    assert inside("page", "cat /dev/shm/x /etc/of-host") == f"x\n{Path('/etc/hostname').read_text()}"
    ctrctl("run", "-d", "--name", tidy("caller"), "localhost/busybox", "sh", "-c", IDLE)
    shown = json.loads(ctrctl("pod", "inspect", "my-shop").stdout)[0]
    assert shown["state"] == "running" and list(shown["containers"]) == ["page", "side"]
    own = set(shown["networks"][0]["addresses"])
    wait_until(lambda: resolves("caller", "my-shop") == own, what="its name is served")
    assert "my-shop" in ctrctl("network", "ls").stdout and "my-shop" not in ctrctl("ps", "-a").stdout
    assert ctrctl("pod", "stop", "my-shop").stdout == "my-shop\n"
    assert not is_active(service("page"))
    gone("my-shop")


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() or "sh"
    except OSError:
        return "sh"  # it ended meanwhile


@pytest.mark.usefixtures("busybox")
def test_one_ends_and_the_others_stay(pod: Callable[..., str]) -> None:
    """One that is killed comes back into the same namespaces, one without Restart= stays down; with the last one
    everything goes."""
    pod("shop", "", lives="[Service]\nRestart=always\nRestartSec=100ms\n", dies="", off="StartWithPod=no\n")
    systemctl("start", service("lives"))  # one starts the pod, the pod the others
    wait_until(lambda: is_active(target("shop")), what="the pod is up")
    wait_until(lambda: is_active(service("dies")), what="and the others")
    assert not is_active(service("off"))
    before, other = spaces("lives"), main_pid("dies")
    killed = main_pid("lives")
    ctrctl("kill", "lives")
    wait_until(lambda: is_active(service("lives")) and main_pid("lives") != killed, what="it is back")
    assert (spaces("lives")["net"], main_pid("dies")) == (before["net"], other)
    systemctl("restart", service("lives"))
    assert (spaces("lives")["ipc"], main_pid("dies")) == (before["ipc"], other)
    ctrctl("kill", "dies")
    wait_until(lambda: show(service("dies"), "ActiveState")["ActiveState"] == "failed", what="it has ended")
    assert is_active(target("shop")) and spaces("lives")["net"] == before["net"]
    assert "degraded" in ctrctl("pod", "ls").stdout
    systemctl("stop", service("lives"))
    gone("shop")  # with its last container
    systemctl("reset-failed", service("dies"))


@pytest.mark.usefixtures("busybox")
def test_a_pod_that_stays(pod: Callable[..., str]) -> None:
    """ExitPolicy=continue: target and namespaces outlive the containers. Network=none: only each other. A container
    that runs to completion, one that is up when healthy, and one that fails are started with the others."""
    pod(
        "isle",
        "Network=none\nExitPolicy=continue",
        job='Exec=sh -c "echo done > /dev/shm/job"\n[Service]\nType=oneshot\nRemainAfterExit=yes',
        gate="Notify=healthy\nHealthCmd=test -e /dev/shm/job\nHealthInterval=1s\n[Unit]\nAfter=job.container\n",
        bad="Exec=false\nNotify=healthy\nHealthCmd=true\n",
    )
    failed = ctrctl("pod", "start", "isle", check=False)
    assert failed.returncode == 125 and "pod isle: start failed: bad: " in failed.stderr
    systemctl("reset-failed", service("bad"))
    wait_until(lambda: is_active(service("gate")) and is_active(service("job")), what="the others are started")
    shown = inside("gate", "ip -o link; ip -o addr show lo")
    assert "eth0" not in shown and "127.0.0.1/8" in shown
    systemctl("stop", service("gate"), service("job"))
    assert is_active(target("isle")) and is_active("ctr-netns@isle.service")
    assert ctrctl("pod", "ls").stdout.splitlines()[1].split()[:3] == ["isle", "running", "0/3"]
    ctrctl("pod", "stop", "isle")
    gone("isle")


@pytest.mark.usefixtures("busybox")
def test_deployed_anew(pod: Callable[..., str], define: Define) -> None:
    """A changed port restarts the pod's containers, a further one nobody; removal takes --force, and all of it."""
    pod("shop", "PublishPort=18081:8080", page=web(8080), side="")
    ctrctl("pod", "start", "shop")
    before = {name: main_pid(name) for name in ("page", "side")}
    assert "pod shop: changed" in pod("shop", "PublishPort=18082:8080")
    assert all(is_active(service(name)) and main_pid(name) != pid for name, pid in before.items())
    served("127.0.0.1", 18082, "hello")
    assert page("127.0.0.1", 18081) == ""
    before = {name: main_pid(name) for name in ("page", "side")}
    define("late", container("shop"))
    ctrctl("start", "late")
    assert spaces("late")["net"] == spaces("page")["net"]
    assert {name: main_pid(name) for name in before} == before
    held = ctrctl("pod", "rm", "shop", check=False)
    assert held.returncode == 125 and "containers late, page, side are in it; use --force" in held.stderr
    assert ctrctl("rm", "--force", "shop", check=False).returncode == 125
    ctrctl("pod", "rm", "--force", "shop")
    assert not is_active(service("page"))
    gone("shop")
    assert ctrctl("ps", "-a", "-q").stdout == ctrctl("pod", "ls", "-q").stdout == ""


@pytest.mark.usefixtures("busybox")
def test_its_definition_alone(pod: Callable[..., str]) -> None:
    """Is for its containers as if everything was applied, whatever their own definitions are by now; what it makes no
    difference for is not restarted."""
    pod("shop", "StopTimeout=5\nHostName=old", leaves="", says="StopTimeout=7\n")
    ctrctl("pod", "start", "shop")
    before = {name: main_pid(name) for name in ("leaves", "says")}
    (DEFINITIONS / "leaves.container").write_text("[Container]\nImage=\n")
    alone = DEFINITIONS / "shop.pod"
    alone.write_text("[Pod]\nStopTimeout=3\nHostName=old\n")
    planned = ctrctl("check", "--plan", str(alone)).stdout
    assert "leaves: would be changed and restarted\n" in planned and "says" not in planned
    done = ctrctl("apply", str(alone)).stdout
    assert "leaves: changed and restarted\n" in done and "says" not in done
    stops = ctrctl("inspect", "--field", "spec.stop_timeout", "leaves", "says").stdout.split()
    assert stops == ["3.0", "7.0"] and main_pid("says") == before["says"] and main_pid("leaves") != before["leaves"]
    # As ctr-apply.path has it done.
    alone.write_text("[Pod]\nStopTimeout=3\nHostName=new\nVolume=/etc/hostname:/etc/of-host:ro\n")
    kept = ctrctl("apply", "--keep-going", check=False)
    assert kept.returncode == 1 and "leaves.container" in kept.stderr
    for name in before:
        assert inside(name, "hostname; cat /etc/of-host") == f"new\n{Path('/etc/hostname').read_text()}"


@pytest.mark.usefixtures("busybox")
def test_seen_and_handled_as_one(pod: Callable[..., str]) -> None:
    """ps and inspect know whose pod a container is; signals, freezing and lines are those of all of it."""
    says = {"page": "hello", "side": "there"}
    lines = {name: f"Exec=sh -c \"trap 'exit 0' TERM; echo {text}; {IDLE}\"\n" for name, text in says.items()}
    lines["side"] += "[Service]\nExecStopPost=/bin/sleep 0.7\n"  # its processes are gone, and it is not yet
    pod("shop", "PublishPort=18083:80", **lines)
    assert ctrctl("ps", "-aq", "--filter", "pod=shop").stdout.split() == ["page", "side"]
    table = ctrctl("ps", "-a", "--pod").stdout.splitlines()
    assert table[0].split()[-1] == "POD" and [line.split()[-1] for line in table[1:]] == ["shop", "shop"]
    nothing = ctrctl("pod", "kill", "shop", check=False)
    assert nothing.returncode == 125 and "pod shop: none of its containers is running" in nothing.stderr
    ctrctl("pod", "start", "shop")
    found = json.loads(ctrctl("inspect", "page").stdout)[0]
    assert (found["pod"], [port["host_port"] for port in found["ports"]]) == ("shop", [18083])
    ctrctl("pod", "pause", "shop")
    assert ctrctl("pod", "ps", "-q", "--filter", "status=paused").stdout == "shop\n"
    ctrctl("pod", "unpause", "shop")
    said = {"page | hello", "side | there"}
    wait_until(lambda: said <= {*ctrctl("pod", "logs", "shop").stdout.splitlines()}, what="the lines are there")
    ctrctl("pod", "pause", "shop")
    ctrctl("pod", "stop", "-t", "20", "shop")  # frozen, they would not take the signal
    assert ctrctl("inspect", "--field", "state.exit_code", "page", "side").stdout.split() == ["0", "0"]
    ctrctl("pod", "start", "shop")
    ctrctl("pod", "kill", "shop")
    gone("shop")
    assert ctrctl("inspect", "--field", "state.exit_code", "page", "side").stdout.split() == ["137", "137"]
    systemctl("reset-failed", service("page"), service("side"))


@pytest.mark.usefixtures("busybox")
def test_the_hosts_network_and_own_users(pod: Callable[..., str], define: Define) -> None:
    """Network=host: that is the host's, the rest the pod's. UserNS=auto: one range for all of it, and another one if
    only the pod's definition is applied again."""
    pod("near", "Network=host\nHostName=near", one="")
    pod("apart", "UserNS=auto", two="", three="")
    ctrctl("pod", "start", "near", "apart")
    assert spaces("one")["net"] == os.readlink("/proc/1/ns/net") and inside("one", "hostname") == "near\n"
    assert inside("one", "cat /etc/hosts") == Path("/etc/hosts").read_text()
    maps = [Path(f"/proc/{main_pid(name)}/uid_map").read_text().split() for name in ("two", "three")]
    assert maps[0] == maps[1] and maps[0][0] == "0" and int(maps[0][1]) >= 65536
    users = {os.readlink(f"/proc/{main_pid(name)}/ns/user") for name in ("two", "three")}
    assert len(users) == 1 and users != {os.readlink("/proc/1/ns/user")}
    inside("two", "echo x > /dev/shm/x")
    assert inside("three", "cat /dev/shm/x; stat -c %u /dev/shm/x").split() == ["x", "0"]
    define("apart", "[Pod]\nUserNS=auto:size=70000\n", apply=False, suffix=".pod")
    done = ctrctl("apply", str(DEFINITIONS / "apart.pod")).stdout
    assert "two: changed and restarted\n" in done and "three: changed and restarted\n" in done
    anew = [Path(f"/proc/{main_pid(name)}/uid_map").read_text().split() for name in ("two", "three")]
    assert anew[0] == anew[1] and anew[0][2] == "70000" and anew[0][1] != maps[0][1]
    ctrctl("pod", "stop", "near", "apart")
    gone("near")
    gone("apart")
