"""contrib/testbed vm seen from outside. Each machine takes about half a minute to boot under emulation. Needs root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTBED = str(Path(__file__).resolve().parents[2] / "contrib/testbed")
SUITES = ("trixie", "bookworm")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="testbed needs root"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86 is not installed"),
]


def command(suite: str, script: str) -> list[str]:
    """A command line that runs a shell script in a virtual machine."""
    return [TESTBED, "vm", "run", "--no-install", "--suite", suite, "--", "sh", "-c", script]


@pytest.mark.parametrize("suite", SUITES)
def test_controllers_streams_status_and_reboot(suite: str) -> None:
    """The machine has the controllers a container lacks; streams and status pass; a reboot runs COMMAND again."""
    script = (
        "if [ $TESTBED_BOOT = 1 ]; then cat >/var/kept; systemctl reboot; sleep 1000; fi;"
        " systemctl is-system-running >&2; cat /sys/fs/cgroup/cgroup.controllers >&2;"
        " ls /usr/src/ctr/contrib/testbed >&2; cat /var/kept; exit 9"
    )
    data = os.urandom(300_000)
    done = subprocess.run(command(suite, script), check=False, input=data, capture_output=True)
    assert done.returncode == 9, done.stderr.decode()
    assert done.stdout == data
    lines = done.stderr.decode().splitlines()
    assert "running" in lines
    assert "/usr/src/ctr/contrib/testbed" in lines
    assert any({"cpu", "io", "memory", "pids"} <= set(line.split()) for line in lines)


def test_signal_ends_command_and_machine() -> None:
    """SIGTERM reaches COMMAND, then the machine is gone: status 143."""
    script = "trap 'echo trapped; exit 0' TERM; echo started; sleep 1000 & wait"
    process = subprocess.Popen(command("trixie", script), stdout=subprocess.PIPE, stderr=sys.stderr)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"trapped\n"
    assert process.wait(60) == 143
    left = subprocess.run(["pgrep", "-f", f"qemu-system.*-name ctr-trixie-{process.pid} "], check=False)
    assert left.returncode == 1
