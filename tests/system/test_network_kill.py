"""SIGKILL at each step of making and removing a network, and many rounds of both: nothing stays behind.

strace(1) injects the signal, as in test_killed_launcher: ``--inject=SYSCALL:signal=SIGKILL:when=N`` kills whichever
process of ours, of netavark's or of its firewall tool's makes its N-th call of that kind. The namespace unit is started
by itself; that nobody needs it (StopWhenUnneeded=) does not count here.
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
UNNEEDED = Path("/run/systemd/system/ctr-netns@.service.d/90-unneeded.conf")
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
    UNNEEDED.parent.mkdir(parents=True)
    UNNEEDED.write_text("[Unit]\nStopWhenUnneeded=no\n")
    systemctl("daemon-reload")
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
    UNNEEDED.unlink()
    UNNEEDED.parent.rmdir()
    systemctl("daemon-reload")
    ctrctl("rm", "--force", *made)
    ctrctl("network", "rm", "kill")


@pytest.fixture
def traced(deployed: Callable[..., None]) -> Iterator[Callable[..., bool]]:
    """Run the unit once, with a SIGKILL injected into `up` or `down`; whether `up` got through."""
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
        systemctl("start", UNIT, check=False)
        return round_of(UNIT) == ["exited"]

    yield once
    DROPIN.unlink()
    DROPIN.parent.rmdir()
    INJECT.unlink()
    systemctl("daemon-reload")


def round_of(*units: str) -> list[str]:
    """Wait until `up` of each is over, and stop them; what they were then: exited, or failed, dead."""

    def states() -> list[str]:
        return systemctl("show", "--value", "--property=SubState", *units).stdout.split()

    def over(*wanted: str) -> list[str]:
        found = states()
        return found if set(found) <= set(wanted) else []

    ended = wait_until(lambda: over("exited", "failed", "dead"), 120, f"{units} are up, or not")
    systemctl("stop", *units, timeout=600)
    wait_until(lambda: over("failed", "dead"), what=f"{units} stop")
    systemctl("reset-failed", *units, check=False)
    return ended


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
    before, rules = netkit.traces(), netkit.rules()
    for step in (NEVER, ("rename", 5), ("sendto", 5), ("sendto", 9), ("wait4", 2)):
        traced(up=step)
        wait_until(lambda: netkit.traces() == before and netkit.rules() == rules, what=f"as before {step}")
    traced(down=("sendto", 2))
    wait_until(lambda: netkit.traces() == before and netkit.rules() == rules, what="as before down")
    netkit.finds("neighbour", {"neighbour.dns.ctr": set(netkit.addresses("neighbour"))})


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
        systemctl("start", *units, timeout=600)
        assert set(round_of(*units)) == {"exited"}
        # A veth pair goes when the kernel gets to it.
        wait_until(lambda: (netkit.traces(), netkit.rules()) == (before, rules))
    netkit.finds("stays", {"stays.dns.ctr": set(netkit.addresses("stays"))})
