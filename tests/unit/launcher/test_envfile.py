"""Environment files, read at every start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.errors import UserError
from supervisor.launcher.envfile import merged_config, parse, public


def test_lines_are_taken_as_they_are() -> None:
    """Comments and blank lines are skipped; quotes, spaces and '=' in a value stay."""
    text = "# comment\n\n A=1\nB=\"q\" #x\nC=a=b\nD=\r\n"
    assert parse("f", text) == {"A": "1", "B": '"q" #x', "C": "a=b", "D": ""}


@pytest.mark.parametrize("line", ["=x", "A B=c", "="])
def test_a_line_that_is_no_assignment_is_named(line: str) -> None:
    """The error has file and line."""
    with pytest.raises(UserError, match=r"f:2: .* is not an assignment; write NAME=value"):
        parse("f", f"A=1\n{line}\n")


def test_files_win_over_the_image_and_lose_to_the_definition(tmp_path: Path) -> None:
    """Order of precedence: image, files in order, Environment= lines."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"env": ["PATH=/bin", "MODE=image", "KEEP=definition"]}, "x": 1}))
    (tmp_path / "one").write_text("MODE=one\nKEEP=one\nNEW=1\n")
    (tmp_path / "two").write_text("MODE=two\n")
    files = (str(tmp_path / "one"), str(tmp_path / "two"))
    document = json.loads(merged_config(str(config), files, frozenset({"KEEP"})))
    assert sorted(document["process"]["env"]) == ["KEEP=definition", "MODE=two", "NEW=1", "PATH=/bin"]
    assert document["x"] == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A start with a missing file fails, saying which and what to do."""
    config = tmp_path / "config.json"
    config.write_text('{"process": {"env": []}}')
    with pytest.raises(UserError, match=r"/nonexistent: No such file or directory; create it"):
        merged_config(str(config), ("/nonexistent",), frozenset())


def test_a_file_that_may_be_missing(tmp_path: Path) -> None:
    """'-' in front: what is there counts, what is not there is nothing, and what cannot be read is an error still."""
    config = tmp_path / "config.json"
    config.write_text('{"process": {"env": ["A=1"]}}')
    (tmp_path / "there").write_text("A=2\n")
    document = json.loads(merged_config(str(config), ("-/nonexistent", f"-{tmp_path}/there"), frozenset()))
    assert document["process"]["env"] == ["A=2"]
    with pytest.raises(UserError, match="Is a directory"):
        merged_config(str(config), (f"-{tmp_path}",), frozenset())


def test_the_hosts_environment_loses_to_everything(tmp_path: Path) -> None:
    """EnvironmentHost=: below the image, the definition and the files; what systemd says to us alone is left out."""
    config = tmp_path / "config.json"
    config.write_text('{"process": {"env": ["PATH=/image", "A=definition"]}}')
    (tmp_path / "file").write_text("B=file\n")
    host = {"PATH": "/host", "A": "host", "B": "host", "LANG": "C.UTF-8"}
    private = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "MAINPID")
    host |= dict.fromkeys((*private, "JOURNAL_STREAM", "WATCHDOG_USEC", "SYSTEMD_EXEC_PID", "TRIGGER_UNIT"), "x")
    found = json.loads(merged_config(str(config), (f"{tmp_path}/file",), frozenset(), {"C": "secret"}, host))
    assert sorted(found["process"]["env"]) == ["A=definition", "B=file", "C=secret", "LANG=C.UTF-8", "PATH=/image"]


def test_a_name_alone_is_taken_from_the_units_environment(tmp_path: Path) -> None:
    """podman-run(1) --env-file: NAME as it is there, or nothing; NAME* all that begin so. Never what is ours alone."""
    environ = {"LANG": "C", "LC_A": "1", "LC_B": "2", "NOTIFY_SOCKET": "x"}
    text = "LANG\r\nMISSING\nNOTIFY_SOCKET\nLC_*\nnot a name\nLC_B=own\n"
    assert parse("f", text, environ) == {"LANG": "C", "LC_A": "1", "LC_B": "own"}
    config = tmp_path / "config.json"
    config.write_text('{"process": {"env": ["A=1"]}}')
    (tmp_path / "file").write_text("LANG\n")
    found = json.loads(merged_config(str(config), (f"{tmp_path}/file",), frozenset(), environ=environ))
    assert found["process"]["env"] == ["A=1", "LANG=C"]


def test_what_systemd_says_to_us_alone() -> None:
    """systemd.exec(5); these two came with socket and path units that start others."""
    names = ("SYSTEMD_ACTIVATION_UNIT", "SYSTEMD_ACTIVATION_SCOPE", "LOG_NAMESPACE", "LISTEN_FDS")
    assert public(dict.fromkeys((*names, "LANG"), "x")) == {"LANG": "x"}
