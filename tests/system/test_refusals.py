"""What cannot work is refused with one clear error that says where and what, before anything runs; what ran goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hostkit import DEFINITIONS, STATE, ctrctl, is_active, main_pid, run, service, systemctl

Define = Callable[..., str]

RUNNING = "[Container]\nImage={image}\nNetwork=lan.network\nStopSignal=SIGKILL\nExec=sleep 1000\n"
BASE = "[Container]\nImage={image}\nExec=sleep 1000\n"

#: What the author wrote, by file name; what the error says.
MISTAKES = {
    "a subnet that overlaps another": (
        {"other.network": "[Network]\nSubnet=10.77.0.0/17\n"},
        ("other.network:2: Subnet=", "10.77.0.0/17", "overlaps", "lan"),
    ),
    "a network that does not exist": (
        {"new.container": BASE + "Network=nowhere\n"},
        ("new.container:4: Network=", "nowhere"),
    ),
    "a network file that does not exist": (
        {"new.container": BASE + "Network=nowhere.network\n"},
        ("new.container:4", "Network=", "nowhere.network"),
    ),
    "an address that is taken": (
        {"new.container": BASE + "Network=lan.network\nIP=10.77.0.2\n"},
        ("new.container:5: IP=", "10.77.0.2", "running"),
    ),
    "an address of another subnet": (
        {"new.container": BASE + "Network=lan.network\nIP=10.78.0.2\n"},
        ("new.container:5: IP=", "10.78.0.2", "10.77.0.0/24"),
    ),
    "a subnet that is full": (
        {
            "tiny.network": "[Network]\nSubnet=10.79.0.0/30\n",
            "one.container": BASE + "Network=tiny.network\n",
            "two.container": BASE + "Network=tiny.network\n",
        },
        ("two.container:4: Network=", "tiny", "10.79.0.0/30"),
    ),
    "a secret that is missing": (
        {"new.container": BASE + "Secret=nobody-knows\n"},
        ("new.container:4: Secret=", "nobody-knows"),
    ),
    "an image that is nowhere": (
        {"new.container": "[Container]\nPull=never\nImage=localhost/nowhere\n"},
        ("new.container:3: Image=", "localhost/nowhere"),
    ),
    "a limit below zero": (
        {"new.container": BASE + "[Service]\nMemoryMax=-1G\n"},
        ("new.container:5", "MemoryMax=", "-1G"),
    ),
    "a port that is none": (
        {"new.container": BASE + "PublishPort=80:x\n"},
        ("new.container:4", "PublishPort=", "80:x"),
    ),
}


@pytest.fixture
def running(define: Define, busybox: str) -> str:
    """A container on a network, which no mistake of others may touch."""
    define("lan", "[Network]\nSubnet=10.77.0.0/24\n", suffix=".network", apply=False)
    unit = define("running", RUNNING.format(image=busybox))
    systemctl("start", unit)
    return unit


@pytest.mark.parametrize("mistake", MISTAKES)
def test_apply_says_what_is_wrong_and_changes_nothing(
    mistake: str, running: str, define: Define, busybox: str
) -> None:
    """One error, with file, value and the other party; nothing new is deployed, what ran still runs."""
    files, words = MISTAKES[mistake]
    before = main_pid("running")
    for name, text in files.items():
        stem, dot, suffix = name.rpartition(".")
        define(stem, text.format(image=busybox), suffix=dot + suffix, apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert main_pid("running") == before and is_active(running)
    assert {path.name for path in (STATE / "containers").iterdir()} == {"running"}
    for name in files:
        (DEFINITIONS / name).unlink()
    assert "unchanged" in ctrctl("apply").stdout


def test_a_port_that_is_taken_names_who_holds_it(running: str, tidy: Callable[[str], str], busybox: str) -> None:
    """By a process of the host, and by another container: the start fails before anything of the container runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = ctrctl(
            "run", "-d", "--name", tidy("late"), "-p", f"{port}:80", busybox, "sleep", "1000", check=False
        )
    assert done.returncode == 125
    assert f"port {port}/tcp" in done.stderr and "python" in done.stderr, done.stderr
    ctrctl("run", "-d", "--name", tidy("first"), "-p", "18999:80", busybox, "sleep", "1000")
    done = ctrctl("run", "-d", "--name", tidy("second"), "-p", "18999:80", busybox, "sleep", "1000", check=False)
    assert done.returncode == 125
    assert "port 18999/tcp" in done.stderr and "first" in done.stderr, done.stderr
    assert not is_active(service("second")) and is_active(service("first"))


def test_a_port_is_free_when_its_container_has_stopped(tidy: Callable[[str], str], busybox: str) -> None:
    """`ctrctl stop` returns when the port can be used again, and so does `systemctl stop` for whoever starts next."""
    for name in ("one", "two"):
        ctrctl("create", "--name", tidy(name), "-p", "18998:80", "--stop-signal", "KILL", busybox, "sleep", "1000")
    for stop in (("ctrctl", "stop", "one"), ("systemctl", "stop", service("one"))):
        ctrctl("start", "one")
        run(*stop)
        ctrctl("start", "two")
        ctrctl("stop", "two")


def test_a_volume_path_that_is_a_file(define: Define, tidy: Callable[[str], str], busybox: str) -> None:
    """A file where the image has a directory, and a path that does not exist: the error names both paths."""
    done = ctrctl("run", "--name", tidy("bad"), "-v", "/etc/hostname:/tmp", busybox, "true", check=False)
    assert done.returncode == 125
    assert "/etc/hostname" in done.stderr and "/tmp" in done.stderr, done.stderr
    done = ctrctl("run", "--name", tidy("worse"), "-v", "/no/such/thing:/data", busybox, "true", check=False)
    assert done.returncode == 125
    assert "/no/such/thing" in done.stderr, done.stderr
