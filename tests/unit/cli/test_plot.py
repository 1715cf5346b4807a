"""``ctrctl plot``: when a start began, of what systemd tells."""

from __future__ import annotations

import pytest

from supervisor.cli.plot import began


@pytest.mark.parametrize(
    ("left_inactive", "spawned", "is_waiting", "expected"),
    [
        (10, [11], False, 11),
        (10, [12, 11], False, 11),  # ExecStartPre= is part of it
        (10, [], False, 10),
        (10, [0], False, 10),  # it waits for its turn
        (10, [5], False, 10),  # what was spawned is of the start before
        (10, [3010], False, 3010),  # it waited for its restart until then: RestartSec=
        (10, [5], True, 5),  # and does so now: the last start is the one that ended
        (10, [0], True, 10),
    ],
)
def test_when_a_start_began(left_inactive: int, spawned: list[int], is_waiting: bool, expected: int) -> None:
    """With its first command; the time that it waits for its restart belongs to no start."""
    assert began(left_inactive, spawned, is_waiting=is_waiting) == expected
