"""The ways into and out of ctrctl: verbs, help, hints, errors and exit codes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli.console import Console
from supervisor.cli.main import BROKEN_PIPE, FAILED, GROUPS, HINTS, VERBS, guarded, verb_parser
from supervisor.paths import Layout

ROOT = Path(__file__).resolve().parents[3]


class Outcome:
    """What one call printed and returned."""

    def __init__(self, root: Path, *argv: str, environ: dict[str, str] | None = None) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.code = guarded(argv, Console(io.StringIO(), out, err, environ or {}, Layout(str(root))))
        self.out, self.err = out.getvalue(), err.getvalue()


def test_every_verb_is_in_one_group() -> None:
    """The overview lists each verb exactly once."""
    grouped = [verb for _, verbs in GROUPS for verb in verbs]
    assert sorted(grouped) == sorted(VERBS)


def test_no_words_print_the_overview(tmp_path: Path) -> None:
    """``ctrctl`` alone lists every verb with its one line and succeeds."""
    outcome = Outcome(tmp_path)
    assert outcome.code == 0
    for verb, (_, summary) in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", outcome.out, re.MULTILINE)


def test_modules_of_verbs_exist() -> None:
    """The table names only modules that are there."""
    for module, _ in VERBS.values():
        assert (ROOT / "supervisor" / "cli" / f"{module}.py").is_file()


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_with_examples(verb: str) -> None:
    """Each verb's help ends with examples that begin with a program a shell knows."""
    _, parser = verb_parser(verb)
    options, marker, examples = parser.format_help().partition("\nexamples:\n")
    assert marker, f"{verb} has no examples"
    assert "usage: ctrctl" in options
    lines = examples.strip().splitlines()
    assert 1 <= len(lines) <= 6
    assert any(f"ctrctl {verb}" in line for line in lines)


def test_help_of_a_verb_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``ctrctl help ps`` and ``ctrctl ps --help`` are the same."""
    assert Outcome(tmp_path, "help", "ps").code == 0
    first = capsys.readouterr().out
    assert Outcome(tmp_path, "ps", "--help").code == 0
    assert capsys.readouterr().out == first != ""


def test_an_unknown_verb_suggests_near_ones(tmp_path: Path) -> None:
    """A mistyped verb is answered with what was probably meant, exit 125."""
    outcome = Outcome(tmp_path, "strat")
    assert (outcome.code, outcome.out) == (FAILED, "")
    assert outcome.err == "ctrctl: no verb 'strat'; did you mean 'stats' or 'start'?\n"


@pytest.mark.parametrize("verb", HINTS)
def test_habits_of_other_tools_are_answered(tmp_path: Path, verb: str) -> None:
    """docker's words that ctrctl lacks lead to the right ones, and none of them is a verb here."""
    assert verb not in VERBS
    assert HINTS[verb] in Outcome(tmp_path, verb).err


@pytest.mark.parametrize("argv", [("ps", "--nonsense"), ("stop",), ("ps", "--format", "xml"), ("-x",)])
def test_usage_errors_exit_125(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """A wrong command line is our failure, not a container's 2."""
    outcome = Outcome(tmp_path, *argv)
    assert outcome.code == FAILED
    assert outcome.err.startswith("ctrctl: ")
    assert "--help" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_abbreviated_option_is_refused(tmp_path: Path) -> None:
    """No guessing: a script that works today must not change its meaning when an option is added."""
    assert Outcome(tmp_path, "ps", "--qui").code == FAILED


def test_unknown_containers_are_answered_with_near_names(tmp_path: Path) -> None:
    """``stop wbe`` says 'did you mean web'."""
    (tmp_path / "var/lib/ctr/containers/web").mkdir(parents=True)
    outcome = Outcome(tmp_path, "stop", "wbe")
    assert outcome.code == FAILED
    assert outcome.err == "ctrctl: no container 'wbe'; did you mean 'web'?\n"


@pytest.mark.parametrize("name", ["../x", "a/b", "-rf", "x" * 300, ""])
def test_names_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    """A hostile name never gets as far as a path or a unit."""
    outcome = Outcome(tmp_path, "stop", "--", name)
    assert outcome.code == FAILED
    assert "container name" in outcome.err


def test_a_defect_of_ours_is_one_line(tmp_path: Path) -> None:
    """An unexpected exception is reported in a line, with the traceback only for CTR_DEBUG=1."""
    # bytes are no word: difflib fails on them, as a defect somewhere inside would.
    wrong: str = b"x"  # type: ignore[assignment]
    quiet = Outcome(tmp_path, wrong)
    assert quiet.code == FAILED
    assert re.fullmatch(r"ctrctl: internal error: \w+: .*; please report it with .*\n", quiet.err)
    assert "Traceback" in Outcome(tmp_path, wrong, environ={"CTR_DEBUG": "1"}).err


def _run(code: str, *, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    start = f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); from supervisor.cli.main import main; "
    return subprocess.run(
        [sys.executable, "-IS", "-c", start + code], check=False, stdout=stdout, stderr=subprocess.PIPE
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    """``ctrctl | head -0``: exit 141 as if killed by SIGPIPE, and not a word on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    done = _run("sys.exit(main([], os.environ))", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE, b"")


@pytest.mark.parametrize("words", [[], ["completion", "bash"]])
def test_a_full_disk_is_an_error_in_one_line(words: list[str]) -> None:
    """``ctrctl > /dev/full``, noticed at the end or on the way; nothing is left for the interpreter to fail on."""
    full = os.open("/dev/full", os.O_WRONLY)
    done = _run(f"sys.exit(main({words!r}, os.environ))", stdout=full)
    os.close(full)
    assert (done.returncode, done.stderr) == (FAILED, b"ctrctl: standard output: No space left on device\n")


def test_errors_that_cannot_be_told_are_still_errors() -> None:
    """``ctrctl nonsense 2> /dev/full``."""
    code = "os.dup2(os.open('/dev/full', os.O_WRONLY), 2); sys.exit(main(['nonsense'], os.environ))"
    assert _run(code).returncode == FAILED


def test_ctrl_c_is_130_without_a_traceback() -> None:
    """Interrupted in the middle of a verb: exit 130, nothing printed."""
    code = """
import supervisor.cli.version as version, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a caller in the background has it ignored
version.program_version = lambda command: signal.raise_signal(signal.SIGINT)
sys.exit(main(["version"], os.environ))
"""
    done = _run(f"exec({code!r})")
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_closed_standard_streams_are_survived() -> None:
    """``ctrctl >&-`` prints nowhere and does not crash."""
    done = _run("sys.stdout = None; sys.exit(main([], os.environ))")
    assert (done.returncode, done.stderr) == (0, b"")
