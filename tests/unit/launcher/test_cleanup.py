"""What cleanup writes down and removes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.launcher import cleanup, programs


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
    cleanup.record_exit(str(path), environ, 12.5)
    expected = {"invocation": "ab", "result": "signal", "code": "killed", "status": number, "time": 12.5}
    assert json.loads(path.read_text()) == expected
    assert list(tmp_path.iterdir()) == [path]


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
