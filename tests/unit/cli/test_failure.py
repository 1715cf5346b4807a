"""The words for what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli.failure import is_own, logged_by, reason, sentence, sync, unsaid
from supervisor.errors import HostError, InternalError, UserError
from supervisor.systemd.sdbus import BusError


@pytest.mark.parametrize(
    ("result", "status", "launcher", "words"),
    [
        ("exit-code", 3, [], "exited with status 3"),
        ("exit-code", 125, ["first", "web: no plan"], "the launcher said: web: no plan"),
        ("exit-code", 127, [], "exited with status 127"),
        ("signal", 9, [], "killed by signal 9 (SIGKILL)"),
        ("core-dump", 11, [], "killed by signal 11 (SIGSEGV), core dumped"),
        ("timeout", 0, [], "timed out (TimeoutStartSec= of its unit)"),
        ("oom-kill", 9, [], "out of memory: the kernel's OOM killer ended a process; raise MemoryMax=, or --memory"),
        ("protocol", 0, [], "ended before it was up"),
        ("something-new", 0, [], "systemd's result is 'something-new'"),
    ],
)
def test_reasons(result: str, status: int, launcher: list[str], words: str) -> None:
    """A result and a status become one phrase."""
    assert reason("start", {"Result": result, "ExecMainStatus": status, "ExecMainCode": 1}, launcher) == words


def test_a_stop_that_timed_out_names_the_other_setting() -> None:
    """Which of the two timeouts it was depends on the verb."""
    state = {"Result": "timeout", "ExecMainStatus": 0, "ExecMainCode": 0}
    assert reason("stop", state, []) == "timed out (TimeoutStopSec= of its unit)"


def test_lack_of_privilege_says_so_wherever_it_lies() -> None:
    """polkit's refusal below a wrapped error, or the kernel's, is answered with what to do."""
    denied = HostError("ctr@web.service: start: Interactive authentication required.")
    denied.__cause__ = BusError("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "x")
    assert sentence(denied).endswith(": needs root (or polkit permission)")
    assert sentence(PermissionError(13, "Permission denied", "/etc/x")) == (
        "/etc/x: Permission denied: needs root (or polkit permission)"
    )


def test_ordinary_errors_are_their_own_words() -> None:
    """Nothing is added to a message that says it all."""
    assert sentence(UserError("web: no")) == "web: no"
    assert sentence(OSError(28, "No space left on device", "/var")) == "/var: No space left on device"


@pytest.mark.parametrize("error", [InternalError("impossible"), ValueError("x")])
def test_defects_ask_for_a_report(error: Exception) -> None:
    """Our own mistakes are called that."""
    assert sentence(error).startswith("internal error: ")


def test_only_our_relay_speaks_for_a_container() -> None:
    """Anybody can send CONTAINER_ID= to journald; whose entry it is, journald says itself."""
    words = logged_by("a" * 32, "web")
    groups = " ".join(words).split(" + ")
    assert f"CONTAINER_ID={'a' * 32} _SYSTEMD_UNIT=ctr-log.service" in groups
    assert "_SYSTEMD_UNIT=ctr-web.scope" in groups
    assert all("_SYSTEMD_" in group for group in groups)
    assert "+ _SYSTEMD_UNIT" not in " ".join(logged_by("a" * 32))


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ({"_SYSTEMD_UNIT": b"ctr@web.service"}, True),
        ({"_SYSTEMD_UNIT": b"ctr-log.service", "CONTAINER_ID": b"a"}, False),
        ({"_SYSTEMD_UNIT": b"ctr-web.scope"}, False),
    ],
)
def test_whose_words_they_are(entry: dict[str, bytes], own: bool) -> None:
    """The launcher's, or the container's: through the relay, or from its scope."""
    assert is_own(entry) is own


def test_a_line_is_told_once() -> None:
    """What is in the reason already is not among the lines below it, and neither is a line that comes twice."""
    lines = ["web: no plan", "hello", "web: no plan", "hello"]
    assert unsaid("the launcher said: web: no plan", lines) == ("hello",)


def test_a_journald_that_does_not_answer_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that is not there: the page is made without its last lines."""
    (tmp_path / "journalctl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    sync(0.1)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    sync()
