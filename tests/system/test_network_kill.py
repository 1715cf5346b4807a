"""SIGKILL at each step of making and removing a network, and many rounds of both: nothing stays behind.

strace(1) injects the signal, as in test_killed_launcher: ``--inject=SYSCALL:signal=SIGKILL:when=N`` kills whichever
process of ours, of netavark's or of its firewall tool's makes its N-th call of that kind. The namespace unit is started
by itself; nobody needs it, so systemd stops it at once (StopWhenUnneeded=), and one start is a whole round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import netkit
import pytest
from hostkit import ctrctl, run, systemctl, wait_until

UP = [
    *(("mkdir", n) for n in (1,)),
    *(("rename", n) for n in (1, 5)),
    *(("bind", n) for n in (1,)),
    *(("mount", n) for n in (2,)),
    *(("unshare", n) for n in (1,)),
    *(("setns", n) for n in (1,)),
    *(("flock", n) for n in (1,)),
    # Of netavark: interfaces, addresses and routes, one by one.
    *(("sendto", n) for n in (1, 6, 10, 14)),
    # netavark's firewall tool, and ours.
    *(("execve", n) for n in (2,)),
    *(("sendmsg", n) for n in (2,)),
    *(("wait4", n) for n in (1,)),
    *(("exit_group", n) for n in (1,)),
]
DOWN = [
    *(("flock", n) for n in (1,)),
    *(("unlink", n) for n in (1, 3)),
    *(("sendto", n) for n in (1, 3, 5)),
    *(("wait4", n) for n in (1,)),
    *(("sendmsg", n) for n in (1,)),
    *(("umount2", n) for n in (1,)),
    *(("rmdir", n) for n in (1,)),
]

UNIT = "ctr-netns@web.service"
DROPIN = Path(f"/run/systemd/system/{UNIT}.d/90-strace.conf")
INJECT = Path("/run/inject")
# Not with --seccomp-bpf: strace then injects no signal (6.1, 6.13).
TRACED = (
    "/usr/bin/strace --daemonize --follow-forks --quiet=all --output=/dev/null --trace=${%(verb)s} "
    "--inject=${%(verb)s}:signal=SIGKILL:when=${%(verb)s_WHEN} /usr/lib/ctr/ctr-netns %(verb)s %%i"
)
NEVER = ("acct", 1)


@pytest.fixture
def deployed(busybox: str, tidy: Callable[[str], str]) -> Iterator[Callable[..., None]]:
    """``deployed("web", "-p", "8080:80")`` deploys a container on the network kill; nothing is started."""
    ctrctl("network", "create", "kill")
    made = []

    def deploy(name: str, *options: str) -> None:
        made.append(tidy(name))
        ctrctl(
            "create",
            "--network",
            "kill",
            "--stop-signal",
            "SIGKILL",
            "--name",
            name,
            *options,
            busybox,
            "sleep",
            "9999",
        )

    yield deploy
    ctrctl("rm", "--force", *made)
    ctrctl("network", "rm", "kill")


@pytest.fixture
def traced(deployed: Callable[..., None]) -> Iterator[Callable[..., bool]]:
    """Run the unit once, with a SIGKILL injected into `up` or `down`, wait until it is over; whether it had started."""
    deployed("web", "-p", "8080:80", "-p", "5300:53/udp")
    DROPIN.parent.mkdir(parents=True)
    stop = "test ! -e /run/ctr/networks/%i && test ! -e /run/netns/ctr-%i || exec /usr/lib/ctr/ctr-netns purge %i"
    DROPIN.write_text(
        f"[Service]\nEnvironmentFile={INJECT}\nExecStart=\nExecStart={TRACED % {'verb': 'up'}}\n"
        f"ExecStopPost=\nExecStopPost=-{TRACED % {'verb': 'down'}}\nExecStopPost=/bin/sh -c '{stop}'\n"
    )
    systemctl("daemon-reload")

    def once(up: tuple[str, int] = NEVER, down: tuple[str, int] = NEVER) -> bool:
        pairs = {"up": up[0], "up_WHEN": up[1], "down": down[0], "down_WHEN": down[1]}
        INJECT.write_text("".join(f"{name}={value}\n" for name, value in pairs.items()))
        started = systemctl("start", UNIT, check=False).returncode == 0
        ended(UNIT)
        return started

    yield once
    DROPIN.unlink()
    DROPIN.parent.rmdir()
    INJECT.unlink()
    systemctl("daemon-reload")


def ended(*units: str) -> None:
    """Wait until all have stopped; that they failed is forgotten."""

    def stopped() -> bool:
        states = systemctl("show", "--value", "--property=ActiveState", *units).stdout.split()
        return set(states) <= {"inactive", "failed"}

    wait_until(stopped, 60, f"{units} stop")
    systemctl("reset-failed", *units, check=False)


def nothing_stays(rules: str) -> bool:
    """Neither interface, namespace, record, name nor rule; nor a process that still works at one."""
    working = run("pgrep", "--full", "ctr-netns (up|down)|netavark (setup|teardown)", check=False).stdout
    return not working and not netkit.traces() and netkit.rules() == rules


def test_nothing_stays_whatever_step_it_died_in(traced: Callable[..., bool]) -> None:
    """After a SIGKILL at every step, on the way up and on the way down."""
    traced()
    wait_until(lambda: not netkit.traces())
    rules = netkit.rules()
    died = 0
    for step in UP:
        died += not traced(up=step)
        wait_until(lambda: nothing_stays(rules), what=f"clean after SIGKILL at {step} of up: {netkit.traces()}")
    for step in DOWN:
        traced(down=step)
        wait_until(lambda: nothing_stays(rules), what=f"clean after SIGKILL at {step} of down: {netkit.traces()}")
    assert died > len(UP) * 3 // 4, "most injections were meant to hit"


def test_a_neighbour_is_not_hurt(traced: Callable[..., bool], deployed: Callable[..., None]) -> None:
    """What is removed after a SIGKILL is the dead container's own: another one of the network keeps port and name."""
    deployed("neighbour", "-p", "8081:80")
    ctrctl("start", "neighbour")
    traced()
    before, rules = netkit.traces(), netkit.rules()
    for step in (("rename", 5), ("sendto", 5), ("sendto", 9), ("wait4", 2)):
        traced(up=step)
        wait_until(lambda: netkit.traces() == before and netkit.rules() == rules, what=f"as before {step}")
    traced(down=("sendto", 2))
    wait_until(lambda: netkit.traces() == before and netkit.rules() == rules, what="as before down")
    wait_until(lambda: netkit.resolves("neighbour", "neighbour.dns.ctr") == set(netkit.addresses("neighbour")))


def test_three_hundred_rounds(deployed: Callable[..., None]) -> None:
    """Six containers beside one that stays, up and down fifty times, all at once: nothing stays, and nothing fails."""
    deployed("stays", "-p", "8090:80")
    ctrctl("start", "stays")
    units = []
    for number in range(6):
        deployed(f"round{number}", *(("-p", f"{8100 + number}:80") if number == 0 else ()))
        units.append(f"ctr-netns@round{number}.service")
    before, rules = netkit.traces(), netkit.rules()
    for _ in range(50):
        systemctl("start", *units, timeout=120)
        ended(*units)
        assert (netkit.traces(), netkit.rules()) == (before, rules)
    wait_until(lambda: netkit.resolves("stays", "stays.dns.ctr") == set(netkit.addresses("stays")))
