"""AppArmor, on a kernel that uses it (marker ``apparmor``): the virtual machine, which is slow, so there are few
containers, each for many claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import ctrctl, is_active, main_pid, messages, run, service, show, systemctl, wait_until

Define = Callable[..., str]
Tidy = Callable[[str], str]

pytestmark = pytest.mark.apparmor

PROFILE = """\
abi <abi/3.0>,
profile ctr-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  ptrace,
  deny /etc/group r,
}
"""
MINE, DEFAULT = "ctr-test (enforce)", "ctr-default (enforce)"
#: Debian 13 names the runtimes, and so the sender of some signals.
RUNTIMES = tuple(path for path in map(Path, ("/etc/apparmor.d/crun", "/etc/apparmor.d/runc")) if path.exists())


@pytest.fixture(scope="module")
def profile() -> Iterator[Path]:
    """A profile of the administrator's, loaded like those of Debian."""
    path = Path("/etc/apparmor.d/ctr-test")
    path.write_text(PROFILE)
    load(path, *RUNTIMES)
    yield path
    load(path, *RUNTIMES, how="--remove")
    path.unlink()


def load(*paths: Path, how: str = "--replace") -> None:
    run("apparmor_parser", how, *paths)


def confinement(name: str) -> str:
    """The kernel's word on the first process of a container (proc_pid_attr(5))."""
    return Path(f"/proc/{main_pid(name)}/attr/current").read_text().strip()


def test_a_profile_of_ones_own(profile: Path, define: Define, busybox: str) -> None:
    """The container and what is executed in it are confined; a profile that is not loaded is an error of the apply,
    which leaves the container as it is, and one that went away since, of the start."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=KILL\nExec=sleep 1000\nAppArmor=ctr-test\n"
    unit = define("confined", text)
    systemctl("start", unit)
    assert confinement("confined") == MINE
    done = ctrctl("exec", "confined", "cat", "/proc/self/attr/current", "/etc/group", check=False)
    assert done.stdout.strip() == MINE and "Permission denied" in done.stderr
    define("confined", text.replace("ctr-test", "nosuch"), apply=False)
    refused = ctrctl("apply", check=False)
    assert "AppArmor profile 'nosuch': is not loaded on this host; load its file with" in refused.stderr
    assert refused.returncode != 0 and is_active(unit)
    systemctl("stop", unit)
    load(profile, how="--remove")
    try:
        told = ctrctl("start", "confined", check=False)
    finally:
        load(profile)
    assert told.returncode != 0 and "AppArmor= names another) is not loaded; load its file" in told.stderr


#: What an administrator opened and the profile keeps closed: a mount, a setting of the whole host; not one of its own.
ABLE = ("--network", "none", "--cap-add", "SYS_ADMIN", "--security-opt", "unmask=ALL")
TRY = (
    "cat /proc/self/attr/current; mount -t tmpfs none /tmp && echo mounted; cd /proc/sys; "
    "cat vm/swappiness | tee vm/swappiness >/dev/null && echo set; echo 250 32000 32 128 > kernel/sem && echo own; "
    "sleep 1000 & kill $!; wait $!; status=$?; trap 'exit 3' TERM; echo $status"
)


def test_the_usual_profile(profile: Path, tidy: Tidy, busybox: str) -> None:
    """Without AppArmor= it is ctr-default, which denies what the capability and Unmask= allow; processes signal each
    other, and a stop is heard, also when the sender has a profile of its own. Unconfined means that."""
    name = tidy("usual")
    forever = ("-d", "--name", name, "--runtime", "runc", *ABLE)
    ctrctl("run", *forever, busybox, "sh", "-c", f"{TRY}; while :; do sleep 0.1; done")
    assert confinement(name) == DEFAULT
    wait_until(lambda: said(name)[-1:] == ["143"], what="it has tried")
    assert said(name) == [DEFAULT, "own", "143"]
    ctrctl("stop", "--time", "60", name)
    assert show(service(name), "ExecMainStatus") == {"ExecMainStatus": "3"}
    free = ctrctl("run", "--rm", *ABLE, "--security-opt", "apparmor=unconfined", busybox, "sh", "-c", TRY)
    assert free.stdout.splitlines() == ["unconfined", "mounted", "set", "own", "143"]


def said(name: str) -> list[str]:
    return messages(f"CONTAINER_NAME={name}", "PRIORITY=6")
