"""The columns of ``ctrctl top``."""

from __future__ import annotations

import pytest

from supervisor.cli.top import COLUMNS, clock, columns, share, user
from supervisor.errors import UserError
from supervisor.stats.processes import Process

PROCESS = Process(42, 1, "sh", "S", 3, 30.0, 100.0, 8192, 4096, 0, ("sh", "-c", "true"))


def test_columns_as_words_or_with_commas() -> None:
    """``pid,user args`` as ps(1) and podman take them."""
    assert columns(["pid,USER", "args"]) == ("pid", "user", "args")
    assert columns([]) == ("pid", "user", "%cpu", "rss", "time", "args")


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    """Before anything is read."""
    with pytest.raises(UserError, match="top: no column 'wchan'; use some of pid, ppid"):
        columns(["pid,wchan"])


def test_every_column_has_a_cell() -> None:
    """At 200 seconds after boot, the process is 100 seconds old and has worked for 30."""
    cells = {key: cell(PROCESS, 200.0) for key, (_, cell) in COLUMNS.items()}
    numbers = {"pid": "42", "ppid": "1", "uid": "0", "nlwp": "3", "%cpu": "30.0", "rss": "4", "vsz": "8"}
    words = {"user": "root", "state": "S", "time": "00:00:30", "etime": "00:01:40", "comm": "sh", "args": "sh -c true"}
    assert cells == numbers | words


def test_a_zombie_has_no_command_line() -> None:
    """Its name, as ps writes it."""
    zombie = Process(42, 1, "sh", "Z", 1, 0.0, 100.0, 0, 0)
    assert COLUMNS["args"][1](zombie, 200.0) == "[sh]"


def test_a_process_of_this_moment_has_no_share_yet() -> None:
    """No division by zero."""
    assert share(PROCESS, 100.0) == "0.0"


@pytest.mark.parametrize(("seconds", "words"), [(0.9, "00:00:00"), (3661, "01:01:01"), (90061, "1-01:01:01")])
def test_times_as_ps_writes_them(seconds: float, words: str) -> None:
    """Hours, minutes, seconds; days when there are some."""
    assert clock(seconds) == words


def test_a_user_without_a_name_is_a_number() -> None:
    """Users of an image mostly have none on the host."""
    assert user(987654) == "987654"
