"""contrib/testbed seen from outside: what goes in and comes out, and what it leaves behind. Needs root."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TESTBED = str(CHECKOUT / "contrib/testbed")
CACHE = Path(os.environ.get("CTR_TESTBED_CACHE") or "/var/cache/ctr-testbed")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="testbed needs root")


def command(*argv: str) -> list[str]:
    """A testbed command line; installing the checkout is beside the point of most tests here."""
    return [TESTBED, "run", "--no-install", "--", *argv]


def outcome(argv: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """subprocess.run of a command that may fail."""
    return subprocess.run(argv, check=False, **options)


def groups(pid: int) -> list[Path]:
    """Control groups of the run with that process id. Not by Path.glob, which fails when any group goes meanwhile."""
    tree = os.walk("/sys/fs/cgroup")
    return [Path(where, name) for where, names, _ in tree for name in names if re.fullmatch(rf"ctr-\w+-{pid}", name)]


def left_by(pid: int) -> list[str]:
    """Scratch directories, control groups and processes of the run with that process id."""
    name = f"-{pid}"
    found = [str(path) for path in (CACHE / "runs").glob(f"ctr-*{name}")]
    found += [str(path) for path in groups(pid)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if re.search(rb"--machine=ctr-\w+" + name.encode() + rb"\0", words):
                found.append(str(process))
        except OSError:
            continue
    mounts = Path("/proc/self/mountinfo").read_text()
    return found + re.findall(rf"\S*/runs/ctr-\w+{name}\S*", mounts)


def populated(pid: int) -> list[Path]:
    """Control groups of the run in which processes live."""
    found = []
    for group in groups(pid):
        with suppress(OSError):  # it has gone, or is of the older hierarchy
            if "populated 1" in (group / "cgroup.events").read_text():
                found.append(group)
    return found


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Ask until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(*argv: str, before: str = ":") -> subprocess.Popen[bytes]:
    """Start a run and wait until its COMMAND has printed a line; *before*: what its shell does ahead of that."""
    script = f"{before}; echo started; {' '.join(argv)}"
    process = subprocess.Popen(command("sh", "-c", script), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    return process


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_exit_status_is_passed_through(script: str, status: int) -> None:
    """The exit status is COMMAND's, 128 + n when a signal ended it."""
    assert outcome(command("sh", "-c", script)).returncode == status


def test_command_that_is_not_there() -> None:
    """As in a shell: 127."""
    assert outcome(command("/no/such"), stderr=subprocess.DEVNULL).returncode == 127


def test_bytes_are_passed_through() -> None:
    """Standard input reaches COMMAND, output and error come back, apart and byte for byte."""
    data = os.urandom(3_000_000)
    done = outcome(command("sh", "-c", "cat; echo oops >&2"), input=data, capture_output=True)
    assert (done.stdout, done.stderr) == (data, b"oops\n")


def test_standard_input_of_the_terminal_is_left_alone() -> None:
    """What COMMAND does not read stays for whoever comes after."""
    reader, writer = os.pipe()
    os.write(writer, b"for later")
    os.close(writer)
    subprocess.run(command("true"), stdin=reader, check=True)
    assert os.read(reader, 100) == b"for later"
    os.close(reader)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_it_quickly_and_cleanly(signum: signal.Signals) -> None:
    """A signal ends COMMAND and the host within seconds: status 128 + n, nothing left."""
    process = start("sleep 1000")
    began = time.monotonic()
    process.send_signal(signum)
    assert process.wait(60) == 128 + signum
    assert time.monotonic() - began < 20  # a machine may be busy; idle it is below 4
    assert left_by(process.pid) == []


def test_signal_is_given_to_the_command() -> None:
    """COMMAND gets the signal, and a moment to act on it."""
    process = start("sleep 1000 & wait", before="trap 'echo trapped; exit 0' TERM")
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.read() == b"trapped\n"
    assert process.wait(60) == 143


def test_sigkill_leaves_no_process_and_the_next_run_sweeps() -> None:
    """Killed without warning, the host dies with it; the next run removes the directories."""
    process = start("setsid sleep 1000")
    assert populated(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not populated(process.pid), 60)
    subprocess.run(command("true"), check=True)
    assert left_by(process.pid) == []


def test_sigkill_of_nspawn_is_noticed() -> None:
    """When the host dies under COMMAND, testbed ends and cleans up."""
    process = start("sleep 1000")
    nspawn = [line for line in left_by(process.pid) if line.startswith("/proc")]
    for line in nspawn:
        with suppress(ProcessLookupError):  # the one before took it along
            os.kill(int(line.removeprefix("/proc/")), signal.SIGKILL)
    assert process.wait(60) == 137
    assert left_by(process.pid) == []


def test_no_sweep_meets_a_directory_that_is_half_removed() -> None:
    """It would take it for that of a killed run, and neither of the two could remove it: who ends waits for sweeps."""
    process = subprocess.Popen(command("sh", "-c", "echo started; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    with (CACHE / "runs/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process.stdin.close()
        waits = re.compile(rf"-> FLOCK .* {process.pid} ")  # proc_locks(5)
        wait_until(lambda: process.poll() is not None or waits.search(Path("/proc/locks").read_text()), 60)
        assert process.poll() is None
        assert (CACHE / f"runs/ctr-trixie-{process.pid}/alive").exists()
    assert process.wait(60) == 0
    assert left_by(process.pid) == []


def test_two_side_by_side() -> None:
    """Two hosts at once know nothing of each other: own machine id, own processes, own tree of control groups."""
    script = (
        "cat /etc/machine-id; systemd-run --quiet --unit=same-name sleep 1000; systemctl show -P MainPID same-name;"
        " echo ready; read go; systemctl is-active same-name; find /sys/fs/cgroup -name 'ctr-*' | wc -l"
    )
    both = [
        subprocess.Popen(command("sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    machine_ids = set()
    for process in both:
        assert process.stdout is not None
        machine_ids.add(process.stdout.readline())
        process.stdout.readline()
        assert process.stdout.readline() == "ready\n"
    assert len(machine_ids) == 2
    for process in both:
        answer, _ = process.communicate("go\n", timeout=60)
        assert answer == "active\n0\n"
        assert left_by(process.pid) == []


@pytest.mark.parametrize("suite", ["trixie", "bookworm"])
def test_reboot_runs_the_command_again(suite: str) -> None:
    """COMMAND that reboots the host is run once more, and what it wrote is still there."""
    script = (
        "echo boot $TESTBED_BOOT; [ -e /var/x ] && [ -e /etc/x ] && exit 5;"
        " touch /var/x /etc/x; systemctl reboot; sleep 100"
    )
    argv = [TESTBED, "run", "--no-install", "--suite", suite, "--", "sh", "-c", script]
    done = outcome(argv, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("boot 1\nboot 2\n", 5)


def test_poweroff_ends_it() -> None:
    """A host that is switched off ends the run, with the status COMMAND had."""
    done = outcome(command("sh", "-c", "trap 'exit 9' TERM; systemctl poweroff; sleep 100 & wait"))
    assert done.returncode == 9


def test_binds_and_environment(tmp_path: Path) -> None:
    """--bind, --bind-ro and --env, also with names that have colons and spaces."""
    strange = tmp_path / "a: b"
    strange.mkdir()
    (tmp_path / "ro").mkdir()
    options = [f"--bind={tmp_path}:/mnt/rw", f"--bind-ro={tmp_path}/ro:/mnt/ro", "--env=A=b c=d"]
    argv = [TESTBED, "run", "--no-install", *options]
    script = 'echo "$A"; touch "/mnt/rw/a: b/x"; touch /mnt/ro/x 2>/dev/null || echo read-only'
    done = outcome([*argv, "--", "sh", "-c", script], capture_output=True, text=True)
    assert done.stdout == "b c=d\nread-only\n"
    assert (strange / "x").exists()


def test_checkout_is_installed() -> None:
    """The checkout is installed as a user would install it."""
    done = outcome([TESTBED, "run", "--", "ls", "/usr/bin/ctrctl", "/usr/lib/ctr/ctr-launch"])
    assert done.returncode == 0


def test_shell_has_a_terminal() -> None:
    """`shell` gives bash a terminal of the host's own."""
    import pty

    primary, secondary = pty.openpty()
    process = subprocess.Popen([TESTBED, "shell", "--no-install"], stdin=secondary, stdout=secondary, stderr=secondary)
    os.close(secondary)
    os.write(primary, b"tty; exit 4\n")
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(primary, 4096)
            except OSError:
                return
            if not data:
                return
            shown.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert process.wait(60) == 4
    reader.join(60)
    assert b"/dev/pts/" in shown


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["run"], "COMMAND is missing"),
        (["run", "--suite", "sid", "true"], "invalid choice"),
        (["run", "--bind", "x", "true"], "HOST:GUEST"),
        (["run", "--env", "x", "true"], "NAME=VALUE"),
        (["walk"], "invalid choice"),
    ],
)
def test_own_failures_are_125(argv: list[str], words: str) -> None:
    """A mistake in the command line is named, with status 125."""
    done = outcome([TESTBED, *argv], capture_output=True, text=True)
    assert done.returncode == 125
    assert words in done.stderr


def test_missing_tools_are_named(tmp_path: Path) -> None:
    """What is missing is said, with the command that gets it."""
    done = outcome([TESTBED, "run", "true"], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode == 125
    assert "systemd-nspawn" in done.stderr
    assert "apt-get install --no-install-recommends" in done.stderr
    assert "systemd-container" in done.stderr


def test_needs_root() -> None:
    """Without root it says so."""
    done = outcome([TESTBED, "run", "true"], capture_output=True, text=True, user=65534, group=65534)
    assert done.returncode == 125
    assert "needs root" in done.stderr


def test_a_mirror_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    """With the first attempt out of the way. The stand-in's root is empty, and does not boot."""
    fake = tmp_path / "mmdebstrap"
    fake.write_text(f"""#!/bin/sh
for word; do case $word in *.partial) root=$word ;; esac; done
[ ! -e "$root" ] || exit 2
mkdir -p "$root/var"
[ -e {tmp_path}/failed ] || {{ touch {tmp_path}/failed; exit 1; }}
""")
    fake.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=CACHE) as cache:
        environment = os.environ | {"CTR_TESTBED_CACHE": cache, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = outcome(command("true"), capture_output=True, text=True, env=environment)
    assert done.returncode == 125
    assert "mmdebstrap failed; once more" in done.stderr
    assert "built in" in done.stderr


def test_too_little_disk_is_said(tmp_path: Path) -> None:
    """A full disk is found before anything is begun."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", small], check=True)
    try:
        environment = os.environ | {"CTR_TESTBED_CACHE": str(small)}
        done = outcome(command("true"), capture_output=True, text=True, env=environment)
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 125
    assert "GiB free" in done.stderr
