"""``ctr-reload``, as far as it goes without a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.errors import HostError
from supervisor.launcher import reload


@pytest.mark.parametrize("environ", [{}, {"MAINPID": ""}, {"MAINPID": "0"}])
def test_what_does_not_run_cannot_reload(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A container that has run to completion has no process to reload."""
    assert reload.main(["web", "1"], environ) == 125
    assert capsys.readouterr().err == "web: reload: is not running; start it\n"


def test_the_signal_goes_to_the_main_process() -> None:
    """systemd names it in $MAINPID."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert reload.main(["web", str(int(signal.SIGTERM))], {"MAINPID": str(child.pid)}) == 0
    assert child.wait() == -signal.SIGTERM
    assert reload.main(["web", "15"], {"MAINPID": str(child.pid)}) == 125


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is looked up."""
    assert reload.main(["../x", "1"], {"MAINPID": str(os.getpid())}) == 125
    assert "../x" in capsys.readouterr().err


def test_the_command_has_the_environment_of_the_run(tmp_path: Path) -> None:
    """Where the launcher had a say in it, its own configuration knows; elsewhere what was deployed is used as it is."""
    path = tmp_path / "reload.json"
    with pytest.raises(HostError, match="no such file; run 'ctrctl apply'"):
        reload._document(str(path), str(tmp_path))
    path.write_text('{"args": ["a"], "env": ["A=1"]}')
    assert reload._document(str(path), str(tmp_path)) == str(path)
    (tmp_path / "config.json").write_text('{"process": {"args": ["b"], "env": ["A=2"]}}')
    merged = Path(reload._document(str(path), str(tmp_path)))
    assert json.loads(merged.read_text()) == {"args": ["a"], "env": ["A=2"]}
    assert merged.stat().st_mode & 0o777 == 0o600


def test_output_says_no_priority_of_its_own() -> None:
    """journald takes '<0>' at the start of a line for an emergency, and writes it on every terminal: each line gets a
    priority of ours, which journald takes away; a line has no other beginning that it could see."""
    assert reload.lines(b"") == b""
    assert reload.lines(b"<0>a\n b <1>\n\n<2>") == b"<6><0>a\n<6> b <1>\n<6>\n<6><2>\n"
    assert reload.lines(b"a\0<0>b\n") == b"<6>a\n<6><0>b\n"
    long = reload.lines(b"x" * 48 * 1024 + b"<0>y")
    assert max(map(len, long.split(b"\n"))) <= 16 * 1024
    assert all(line.startswith(b"<6>") for line in long.split(b"\n")[:-1])


def test_which_arguments_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else deploy might write is an error, and no signal."""
    for words in (["--within"], ["--within", "x"], ["HUP"]):
        assert reload.main(["web", *words], {"MAINPID": str(os.getpid())}) == 125
