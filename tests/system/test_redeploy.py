"""A network that is deployed anew under running containers, and an apply that is killed in the middle."""

from __future__ import annotations

from collections.abc import Callable

from hostkit import ctrctl, is_active, main_pid, run, service, show, systemctl, wait_until
from netkit import addresses, resolves

Define = Callable[..., str]

TEXT = "[Container]\nImage={image}\nNetwork=shop.network\n{more}StopSignal=SIGKILL\nExec=sleep 1000\n"


def shop(define: Define, image: str, subnet: str, more: str = "") -> None:
    """Two containers in the network shop, deployed."""
    define("shop", f"[Network]\n{subnet}\n", suffix=".network", apply=False)
    define("one", TEXT.format(image=image, more=more), apply=False)
    define("two", TEXT.format(image=image, more=""), apply=False)
    ctrctl("apply")


def test_a_changed_subnet_reaches_all_that_run(define: Define, busybox: str) -> None:
    """New addresses, a gateway that answers, and names, though the bridge never went away."""
    shop(define, busybox, "Subnet=10.61.0.0/24")
    systemctl("start", service("one"), service("two"))
    for subnet, prefix, gateway in (
        ("Subnet=10.62.0.0/24", "10.62.0.", "10.62.0.1"),
        ("Subnet=10.62.0.0/24\nSubnet=fd62::/64", "10.62.0.", "fd62::1"),
    ):
        shop(define, busybox, subnet)
        assert is_active(service("one")) and is_active(service("two"))
        assert all(any(a.startswith(prefix) for a in addresses(name)) for name in ("one", "two"))
        bridge = run("ip", "-brief", "address", "show", "ctr-shop").stdout
        assert gateway in bridge and "10.61.0.1" not in bridge
        wait_until(lambda: resolves("one", "two") >= set(addresses("two")), what="names")


def test_an_apply_that_was_killed_is_completed_by_the_next(define: Define, busybox: str) -> None:
    """SIGKILL after the version was switched: the next apply finds nothing changed, and yet has the container run what
    is deployed."""
    shop(define, busybox, "Subnet=10.63.0.0/24")
    systemctl("start", service("one"))
    before = main_pid("one")
    define("one", TEXT.format(image=busybox, more="IP=10.63.0.77\nEnvironment=A=B\n"), apply=False)
    killed = run(
        *("strace", "-f", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:signal=SIGKILL:when=4"),
        *("ctrctl", "apply"),
        check=False,
    )
    assert killed.returncode in (-9, 137)
    assert main_pid("one") == before
    ctrctl("apply")
    assert main_pid("one") != before
    assert "10.63.0.77" in addresses("one")
    assert show(service("one"), "NeedDaemonReload")["NeedDaemonReload"] == "no"


def test_many_stops_and_starts_in_a_row(define: Define, busybox: str) -> None:
    """No start limit of ours is in the way of a person who stops and starts a container ten times."""
    shop(define, busybox, "Subnet=10.64.0.0/24", "PublishPort=18997:80\n")
    for _ in range(10):
        ctrctl("start", "one")
        ctrctl("stop", "one")
        assert show("ctr-netns@one.service", "ActiveState")["ActiveState"] == "inactive"
