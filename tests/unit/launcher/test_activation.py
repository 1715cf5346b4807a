"""Sockets on their way into the container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import supervisor
from supervisor.launcher import activation
from supervisor.launcher.plan import Plan

ROOT = str(Path(supervisor.__file__).parent.parent)


def test_the_program_is_told_what_it_has() -> None:
    """sd_listen_fds(3): how many, their names, and that they are meant for it, where that can be known."""
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "4711", "LISTEN_FDNAMES": "http:local"}
    assert activation.variables(environ, 2, "1") == {
        "LISTEN_FDS": "2",
        "LISTEN_PID": "1",
        "LISTEN_FDNAMES": "http:local",
    }
    assert "LISTEN_PID" not in activation.variables(environ, 2, "")


def test_the_plan_says_who_it_is() -> None:
    """1, unless the plan knows better."""
    assert Plan("ctr-plan=1\n").listen_pid == "1"
    assert Plan("ctr-plan=1\nlisten-pid=2\n").listen_pid == "2"
    assert Plan("ctr-plan=1\nlisten-pid=\n").listen_pid == ""


def test_only_the_program_is_told(tmp_path: Path) -> None:
    """The configuration that others take their environment from stays as it is."""
    places = tmp_path / "run"
    places.mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"process": {"env": ["A=b", "LISTEN_PID=9"]}, "root": {}}))
    own = activation.bundle(str(tmp_path), str(places), {"LISTEN_PID": "1"})
    assert json.loads(Path(own, "config.json").read_text()) == {"process": {"env": ["A=b", "LISTEN_PID=1"]}, "root": {}}
    assert not (places / "config.json").exists()
    assert Path(own, "config.json").stat().st_mode & 0o777 == 0o600


def test_other_programs_inherit_nothing() -> None:
    """Between `receive` and `pass_on`, what the launcher executes does not have them; afterwards it does."""
    code = f"""
import os, subprocess, sys
sys.path.insert(0, {ROOT!r})
from supervisor.launcher import activation

def inherited():
    return subprocess.run(["ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout.split()

null = os.open("/dev/null", os.O_RDONLY)
for fd in (3, 4):
    os.dup2(null, fd)
found = [inherited()]
count = activation.receive({{"LISTEN_FDS": "2"}})
found.append(inherited())
activation.pass_on(count)
found.append(inherited())
activation.close(count)
found.append(inherited())
print([("3" in fds, "4" in fds) for fds in found], count)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 3 is also where ls has the directory itself.
    assert done.stdout == "[(True, True), (True, False), (True, True), (True, False)] 2\n"


def test_what_is_no_socket_has_no_place() -> None:
    """A FIFO of ListenFIFO=, say: nobody could tell whether it is used."""
    reader, writer = os.pipe()
    try:
        assert activation._listener(reader) is None
        os.fstat(reader)  # it is still open
    finally:
        os.close(reader)
        os.close(writer)
