"""SIGKILL to the launcher at each of its steps: the unit fails, and nothing stays behind.

strace(1) injects the signal: `--inject=SYSCALL:signal=SIGKILL:when=N` kills whichever process of the launch makes its
N-th call of that kind, so every window between two steps is hit exactly, not by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import RUNTIME, is_active, run, scope, service, show, systemctl, wait_until

Define = Callable[..., str]

#: Both ends of the relay's outbox; each stream adds two.
OWN_DESCRIPTORS = 2

# What the launcher, its stub and the runtime do, in order; numbers past the last call of a kind inject nothing.
STEPS = [
    *(("mkdir", n) for n in (1, 2, 4, 6)),
    *(("connect", n) for n in (1, 2)),
    *(("clone", n) for n in (1,)),
    *(("unshare", n) for n in (1, 2)),
    *(("mount", n) for n in (1, 2, 3, 5, 9)),
    *(("sendmsg", n) for n in (1, 2, 3, 4, 5, 6)),
    *(("write", n) for n in (1, 2, 3)),
    *(("wait4", n) for n in (1, 2)),
    *(("execve", n) for n in (2, 3, 4)),
    *(("clone3", n) for n in (1,)),
    *(("pivot_root", n) for n in (1,)),
    *(("exit_group", n) for n in (1,)),
]


@pytest.fixture
def traced(define: Define, busybox: str) -> Iterator[Callable[[str, int], None]]:
    """Make the next start of ctr@web run under strace with one injected SIGKILL."""
    define("web", f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n")
    dropin = Path("/run/systemd/system/ctr@web.service.d/90-strace.conf")
    dropin.parent.mkdir(parents=True, exist_ok=True)

    def arrange(syscall: str, when: int) -> None:
        inject = f"--inject={syscall}:signal=SIGKILL:when={when}"
        dropin.write_text(
            "[Service]\nExecStart=\nExecStart=/usr/bin/strace --daemonize --follow-forks --quiet=all "
            f"--output=/dev/null --trace={syscall} {inject} /usr/lib/ctr/ctr-launch %i\n"
        )
        systemctl("daemon-reload")

    yield arrange
    dropin.unlink()
    dropin.parent.rmdir()
    systemctl("daemon-reload")


def stored_descriptors() -> int:
    """How many descriptors systemd keeps for the log relay."""
    return int(show("ctr-log.service", "NFileDescriptorStore")["NFileDescriptorStore"])


def nothing_stays() -> bool:
    """No scope, process, runtime state or runtime file of ctr@web, no stream of it in the fd store."""
    state = [str(p) for p in (RUNTIME / "containers/web", RUNTIME / "crun/web") if p.exists()]
    active = show(scope("web"), "ActiveState")["ActiveState"]
    launchers = run("pgrep", "-f", "ctr-launch web", check=False).stdout
    gone = not state and not launchers and active in ("inactive", "failed")
    return gone and stored_descriptors() == OWN_DESCRIPTORS


def test_nothing_stays_whatever_step_it_died_in(traced: Callable[[str, int], None]) -> None:
    """After a SIGKILL at every step the unit has failed or runs, nothing stays of it, and the next start works."""
    unit = service("web")
    systemctl("start", unit)
    systemctl("stop", unit, check=False)
    systemctl("reset-failed", unit, check=False)
    wait_until(lambda: stored_descriptors() == OWN_DESCRIPTORS, what="streams ended")
    died = 0
    for syscall, when in STEPS:
        traced(syscall, when)
        started = systemctl("start", unit, check=False)
        if started.returncode == 0 and is_active(unit):
            systemctl("stop", unit)
        else:
            died += 1
        wait_until(nothing_stays, what=f"clean after SIGKILL at {syscall} #{when}")
        systemctl("reset-failed", unit, check=False)
    assert died >= len(STEPS) // 2, "most injections were meant to hit"
    traced("acct", 1)
    systemctl("start", unit)
    assert is_active(unit)
    systemctl("stop", unit)
