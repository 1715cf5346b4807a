"""What cleanup writes down and removes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from supervisor.launcher import cleanup, programs
from supervisor.launcher import plan as plans


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        ("ctr.slice", "ctr.slice"),
        ("ctr-shop.slice", "ctr.slice/ctr-shop.slice"),
        ("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice"),
    ],
)
def test_slice_path(unit: str, path: str) -> None:
    """A dash in a slice's name is a level of the tree."""
    assert cleanup.slice_path(unit) == path


@pytest.mark.parametrize(("status", "number"), [("3", 3), ("KILL", 9), ("RTMIN+1", 35), ("", 0)])
def test_exit_is_recorded_as_numbers(tmp_path: Path, status: str, number: int) -> None:
    """$EXIT_STATUS, a number or a signal's name, becomes a number; the rest is systemd's own words."""
    path = tmp_path / "last-exit"
    environ = {"INVOCATION_ID": "ab", "SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": status}
    cleanup.record_exit(str(path), environ, 12.5, {"oom": 1, "host_oom": 3})
    expected = {"invocation": "ab", "result": "signal", "code": "killed", "status": number, "time": 12.5}
    expected |= {"oom": 1, "host_oom": 3}
    assert json.loads(path.read_text()) == expected
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("result", "status", "limits", "expected"),
    [
        ("signal", "KILL", "", True),
        ("exit-code", "137", "", True),
        ("exit-code", "1", "", False),
        ("exit-code", "1", "property=t MemoryMax 5\n", True),
        ("exit-code", "1", "property=u MemoryMaxScale 5\n", True),
        ("success", "0", "property=t MemoryMax 5\n", False),
        ("signal", "TERM", "", False),
    ],
)
def test_lack_of_memory_is_asked_about_only_when_it_may_be_why(
    result: str, status: str, limits: str, expected: bool
) -> None:
    """Cleanup lies in the way of every restart, and asking the journal costs more than all the rest of it."""
    plan = plans.Plan(f"ctr-plan=1\nname=web\n{limits}")
    assert cleanup.is_suspicious(plan, {"SERVICE_RESULT": result, "EXIT_STATUS": status}) is expected


def test_the_hosts_count_is_remembered(tmp_path: Path) -> None:
    """While it stays what it was at the last end, nobody was killed, and the journal need not be asked; a count of
    another boot, or none, says nothing."""
    path = tmp_path / "last-exit"
    assert cleanup.host_count(str(path)) == -1
    cleanup.record_exit(str(path), {}, time.time(), {})
    assert cleanup.host_count(str(path)) == -1
    for ooms in ({"oom": 1, "host_oom": 7}, {"host_oom": 7, "oom": 1}):
        cleanup.record_exit(str(path), {}, time.time(), ooms)
        assert cleanup.host_count(str(path)) == 7
    os.utime(path, (1, 1))
    assert cleanup.host_count(str(path)) == -1


def test_remove_trees_follows_no_link(tmp_path: Path) -> None:
    """A link in a tree that is removed goes; what it points to stays. A missing tree is fine."""
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/link").symlink_to(keep)
    programs.remove_trees(str(tree), str(tmp_path / "missing"))
    assert not tree.exists()
    assert (keep / "file").exists()


def test_remove_trees_copes_with_any_depth(tmp_path: Path) -> None:
    """A tree nested deeper than PATH_MAX, as a hostile container can make it, goes as well."""
    here = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=here)
        deeper = os.open("directory", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    programs.remove_trees(str(tmp_path / "directory"))
    assert list(tmp_path.iterdir()) == []
