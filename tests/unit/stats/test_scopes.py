"""Where the control groups of containers are, and which containers are surely not frozen."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.paths import Layout
from supervisor.stats.scopes import scope_directories, thawed


def scope(root: Path, name: str, **files: str) -> Path:
    """The control group of a container in a project; *files*: 'events' and 'freeze'."""
    group = root / "sys/fs/cgroup/ctr.slice/ctr-shop.slice" / f"ctr-{name}.scope"
    group.mkdir(parents=True)
    for file, text in files.items():
        (group / f"cgroup.{file}").write_text(text)
    return group


def test_scopes_of_containers(tmp_path: Path) -> None:
    """In whatever slice they lie; nothing else is one."""
    group = scope(tmp_path, "a")
    for other in ("sys/fs/cgroup/init.scope", "sys/fs/cgroup/ctr.slice/ctr@a.service", "sys/fs/cgroup/user.slice"):
        (tmp_path / other).mkdir(parents=True)
    assert scope_directories(Layout(str(tmp_path))) == {"a": str(group)}
    assert scope_directories(Layout(str(tmp_path / "nothing"))) == {}


@pytest.mark.parametrize(
    ("events", "freeze", "expected"),
    [
        ("populated 1\nfrozen 0\n", "0\n", True),
        ("populated 1\nfrozen 1\n", "1\n", False),
        ("populated 1\nfrozen 0\n", "1\n", False),  # it is being frozen
        ("populated 1\nfrozen 1\n", "0\n", False),  # with the slice around it
        ("populated 1\n", "0\n", False),
        ("populated 1\nfrozen 0\n", "", False),
    ],
)
def test_who_is_surely_not_frozen(tmp_path: Path, events: str, freeze: str, expected: bool) -> None:
    """Both files have to say so."""
    scope(tmp_path, "a", events=events, freeze=freeze)
    scope(tmp_path, "gone")
    assert thawed(Layout(str(tmp_path))) == ({"a"} if expected else set())
