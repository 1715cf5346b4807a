"""What a system test may call: run a program, ask systemd, read the journal, wait for a condition.

Owns how a test talks to the host it runs in; makes no claims itself. Answers come from systemd, the journal and the
kernel, never from ctr's own code, so that a test observes from outside. Nothing here sleeps to win a race: `wait_until`
asks again until a deadline, the rest waits for an answer.
"""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02
CGROUPS = Path("/sys/fs/cgroup")
STATE = Path("/var/lib/ctr")
RUNTIME = Path("/run/ctr")
DEFINITIONS = Path("/etc/ctr")
#: The journal, so that it does not come back by itself.
JOURNALD = ("systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service")

JsonField = str | list[int] | list[str] | None
Entry = dict[str, JsonField]


def run(
    *argv: str | Path, check: bool = True, timeout: float = 180, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its status and what it printed, as text.

    `env` is added to the environment. `check`: AssertionError, with all output, when the status is not 0. It is killed
    after `timeout` seconds, and subprocess.TimeoutExpired raised.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        check=False,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=timeout,
        env=os.environ | (env or {}),
    )
    if check:
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def ctrctl(
    *argv: str | Path, check: bool = True, timeout: float = 180, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """`run("ctrctl", …)`."""
    return run("ctrctl", *argv, check=check, timeout=timeout, stdin=stdin)


def systemctl(*argv: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """`run("systemctl", …)`."""
    return run("systemctl", *argv, check=check, timeout=timeout)


@contextmanager
def background(*argv: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`subprocess.Popen`, text, whose process is killed when the block is left: a test that fails in it is not kept
    waiting."""
    with subprocess.Popen([str(word) for word in argv], text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def service(name: str) -> str:
    """The unit of the container `name`."""
    return f"ctr@{name}.service"


def scope(name: str) -> str:
    """The scope that holds the processes of the container `name`."""
    return f"ctr-{name}.scope"


def show(unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit as `systemctl show` prints them; all of them when none is named."""
    select = [f"--property={','.join(properties)}"] if properties else []
    lines = systemctl("show", *select, "--", unit).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def is_active(unit: str) -> bool:
    """Whether the unit's ActiveState is `active`."""
    return show(unit, "ActiveState")["ActiveState"] == "active"


def main_pid(name: str) -> int:
    """MainPID of the container's unit, its init, as soon as there is one and it is the container's own program.

    The unit is active a moment before the runtime, which waits as init until then, becomes the program. Never 0, which
    to kill(2) is everybody in the group of processes that the test is in.
    """

    def started() -> int:
        pid = int(show(service(name), "MainPID")["MainPID"])
        is_runtime = command_of(pid).partition(" ")[0].rpartition("/")[2] in ("crun", "runc")
        return 0 if is_runtime else pid

    return wait_until(started, what=f"the program of {name} runs")


def cgroup_of(unit: str) -> Path:
    """The control group of a unit that runs."""
    path = show(unit, "ControlGroup")["ControlGroup"]
    assert path, f"{unit}: has no control group"
    return CGROUPS / path.lstrip("/")


def processes(cgroup: Path) -> tuple[int, ...]:
    """Every process in a control group and the groups below it; empty when there is no such group."""
    found: list[int] = []
    for directory, _, _ in os.walk(cgroup):
        try:
            found += map(int, Path(directory, "cgroup.procs").read_text().split())
        except OSError:  # it went away meanwhile (ENOENT, ENODEV)
            continue
    return tuple(sorted(found))


def command_of(pid: int) -> str:
    """The command line of a process, words separated by spaces; its short name for a kernel thread or zombie."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
        return (words or Path(f"/proc/{pid}/comm").read_bytes().rstrip()).replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """The parent of a process (proc_pid_stat(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def journal(*matches: str, unit: str | None = None, since: float | None = None) -> list[Entry]:
    """Journal entries of this boot, oldest first.

    `matches` are FIELD=VALUE as in journalctl(1); `unit` is what `journalctl -u` takes; `since` is a time.time().
    Everything that was sent before the call is there: the journal is synced first.
    """
    run("journalctl", "--sync")
    select = ["--unit", unit] if unit else []
    if since is not None:
        select += ["--since", f"@{since:.6f}"]
    lines = run("journalctl", "--boot", "--output=json", "--all", "--no-pager", *select, *matches, timeout=300).stdout
    return [json.loads(line) for line in lines.splitlines()]


def message(entry: Entry) -> bytes:
    """MESSAGE of an entry as bytes; journalctl prints text as a string and anything else as a list of numbers."""
    value = entry.get("MESSAGE")
    if isinstance(value, list):
        return bytes(number for number in value if isinstance(number, int))
    return (value or "").encode("utf-8", "surrogateescape")


def messages(*matches: str, unit: str | None = None, since: float | None = None) -> list[str]:
    """MESSAGE of each entry of `journal`, as text."""
    return [message(entry).decode(errors="replace") for entry in journal(*matches, unit=unit, since=since)]


def wait_until(condition: Callable[[], T | None], timeout: float = 60.0, what: str = "") -> T:
    """Ask `condition` until it is true and return its answer; AssertionError when it is not after `timeout` seconds.

    It is asked once more after them: on a busy host one answer may take that long.
    """
    deadline = time.monotonic() + timeout
    is_last = False
    while not (answer := condition()):
        assert not is_last, f"not within {timeout} s: {what or condition}; last answer: {answer!r}"
        time.sleep(POLL_SECONDS)
        is_last = time.monotonic() >= deadline
    return answer


def controllers() -> frozenset[str]:
    """The control group controllers of this host: none in most containers, all in the virtual machine."""
    return frozenset((CGROUPS / "cgroup.controllers").read_text().split())


def has_apparmor() -> bool:
    """Whether the kernel uses AppArmor, and this host sees it: in the virtual machine."""
    return Path("/sys/kernel/security/apparmor/profiles").exists()


def boot_number() -> int:
    """1 in the first boot of this test host, 2 after `reboot`; see contrib/testbed --help."""
    return int(os.environ.get("TESTBED_BOOT", "1"))


def reboot() -> NoReturn:
    """Reboot the host; the whole pytest command is run again after it, with `boot_number()` one higher.

    Use it in a test marked `reboot` only.
    """
    systemctl("reboot", check=False)  # it may be ended by the reboot itself
    while True:
        signal.pause()  # shutdown ends us


def read_lines(path: Path | str) -> list[str]:
    """Lines of a file, none when it does not exist."""
    try:
        return Path(path).read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def names(directory: Path, patterns: Iterable[str] = ("*",)) -> frozenset[str]:
    """Paths below `directory` that match one of the patterns, as text; none when it does not exist.

    (Path.glob of Python 3.11 raises FileNotFoundError when one goes meanwhile.)
    """
    found = (name for one in patterns for name in glob.iglob(one, root_dir=directory, include_hidden=True))
    return frozenset(f"{directory}/{name}" for name in found)
