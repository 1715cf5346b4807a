"""A container's network is made while the container is: its program does not run before, nor without.

The lock that netavark runs under is held, so each test sees the moment that otherwise lasts a tenth of a second.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import netkit
import pytest
from hostkit import ctrctl, is_active, main_pid, messages, run, service, show, systemctl, wait_until

RUNTIME = Path("/run/ctr")
Create = Callable[..., None]


@contextmanager
def nobody_is_connected() -> Iterator[None]:
    """Whatever asks for netavark waits."""
    RUNTIME.mkdir(exist_ok=True)
    lock = os.open(RUNTIME / "network.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


@pytest.fixture
def create(tidy: Callable[[str], str], busybox: str) -> Create:
    """``create("web", "-p", "80", command=…)``: a container that goes with the test."""

    def created(name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
        ctrctl("create", "--stop-signal", "SIGKILL", "--name", tidy(name), *options, busybox, *command)

    return created


@pytest.fixture
def odd(create: Create) -> Iterator[str]:
    """A network that netavark cannot make: what has the name of its bridge is none."""
    ctrctl("network", "create", "odd")
    run("ip", "link", "add", "ctr-odd", "type", "veth", "peer", "name", "odd-peer")
    yield "odd"
    run("ip", "link", "delete", "ctr-odd")
    wait_until(lambda: "lost" not in systemctl("list-jobs", "--no-legend").stdout, what="all of it has ended")
    systemctl("reset-failed", service("lost"), "ctr-netns@lost.service", check=False)
    ctrctl("rm", "--force", "lost")
    ctrctl("network", "rm", "odd")


def waits_for_a_lock(pid: int) -> bool:
    """Whether process *pid* does (proc_locks(5))."""
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(row[1] == "->" and row[5] == str(pid) for row in rows)


def made(name: str) -> bool:
    """Whether the runtime has made the container."""
    path = RUNTIME / "containers" / name / "pid"
    return path.exists() and path.read_text() != ""


def test_it_is_made_meanwhile_and_runs_afterwards(create: Create) -> None:
    """Made to the last step before its program; that then finds its address at once."""
    create("web", command=("sh", "-c", "ip -4 -o addr show eth0; sleep 1000"))
    with nobody_is_connected():
        systemctl("start", "--no-block", service("web"))
        wait_until(lambda: made("web"), what="the runtime has made it")
        launcher = main_pid("web")
        wait_until(lambda: waits_for_a_lock(launcher), what="the launcher waits")
        assert show(service("web"), "ActiveState")["ActiveState"] == "activating"
    wait_until(lambda: is_active(service("web")), what="it runs")
    address = netkit.addresses("web")[0]
    wait_until(lambda: any(address in line for line in messages(unit=service("web"))), what="it saw its address")


def test_kernel_parameters_of_its_interfaces_come_after_them(create: Create) -> None:
    """The runtime, which sets them, begins when the interfaces are there."""
    create("router", "--sysctl", "net.ipv4.conf.eth0.forwarding=1")
    with nobody_is_connected():
        systemctl("start", "--no-block", service("router"))
        launcher = wait_until(lambda: main_pid("router"), what="its launcher runs")
        wait_until(lambda: waits_for_a_lock(launcher), what="the launcher waits")
        assert not made("router")
    wait_until(lambda: is_active(service("router")), what="it runs")
    assert ctrctl("exec", "router", "cat", "/proc/sys/net/ipv4/conf/eth0/forwarding").stdout == "1\n"


def test_without_a_network_it_does_not_run(create: Create) -> None:
    """What made the network is killed: the start fails and says so, its program never ran, and the next start works."""
    create("torn", command=("sh", "-c", "echo ran; sleep 1000"))
    with nobody_is_connected():
        systemctl("start", "--no-block", service("torn"))
        wait_until(lambda: made("torn"), what="the runtime has made it")
        systemctl("kill", "--signal=KILL", "ctr-netns@torn.service")
    wait_until(lambda: show(service("torn"), "ActiveState")["ActiveState"] == "failed", what="the start fails")
    run("journalctl", "--sync")
    said = messages(unit=service("torn"))
    assert any("network: what made it was killed; see 'journalctl -u ctr-netns@torn'" in line for line in said)
    assert "ran" not in said
    wait_until(lambda: "torn" not in systemctl("list-jobs", "--no-legend").stdout, what="all of it has ended")
    systemctl("reset-failed", service("torn"), "ctr-netns@torn.service", check=False)
    systemctl("start", service("torn"))


def test_what_netavark_says_is_in_the_containers_journal(create: Create, odd: str) -> None:
    """It fails after the container was made: the reason is where a person looks first."""
    create("lost", "--network", odd)
    with nobody_is_connected():
        systemctl("start", "--no-block", service("lost"))
        wait_until(lambda: made("lost"), what="the runtime has made it")
    wait_until(lambda: any("netavark setup: " in line for line in messages(unit=service("lost"))), what="it says why")


def test_it_fails_before_the_container_was_made(create: Create, odd: str) -> None:
    """Then nobody may be there to be told: the start fails all the same, and the words are in a journal of the two."""
    create("lost", "--network", odd)
    assert systemctl("start", service("lost"), check=False).returncode != 0
    units = (service("lost"), "ctr-netns@lost.service")
    wait_until(lambda: any("netavark setup: " in line for unit in units for line in messages(unit=unit)))
    assert not is_active(service("lost"))
