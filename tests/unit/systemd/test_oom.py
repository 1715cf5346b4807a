"""Counts of the OOM killer, as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.systemd import oom


@pytest.mark.parametrize(
    ("events", "kills"),
    [
        ("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n", 0),
        ("low 0\nhigh 0\nmax 0\noom 7\noom_group_kill 9\n", None),
    ],
)
def test_kills_of_a_cgroup(tmp_path: Path, events: str, kills: int | None) -> None:
    """memory.events has other counters whose names begin alike."""
    (tmp_path / "memory.events").write_text(events)
    assert oom.kills(str(tmp_path)) == kills


def test_a_cgroup_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    """Nor does one without the memory controller."""
    assert oom.kills(str(tmp_path)) is None
    assert oom.kills(str(tmp_path / "gone")) is None


def test_the_host_counts_too() -> None:
    """Linux has had the counter since 4.13."""
    assert oom.host_kills() >= 0
