"""``ctrctl plot``: when a start began, of what systemd tells, and which fetched image belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli.plot import began, with_images
from supervisor.events import records
from supervisor.graph.timeline import Times
from supervisor.spec.card import Card

STARTED = "7d4958e842da4a758f6c1cdc7b36dcc5"
SECOND = 1_000_000


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


def entry(at: int, **fields: str) -> str:
    """One in journalctl's export format, *at* so many seconds of the monotonic clock."""
    lines = {"__MONOTONIC_TIMESTAMP": str(at * SECOND), **fields}
    return "".join(f"{key}={value}\n" for key, value in lines.items()) + "\n"


def pulled(at: int, image: str, worker: str) -> str:
    return entry(at, MESSAGE_ID=records.PULLED, CTR_DETAIL=f"quay.io/x {image}", _SYSTEMD_INVOCATION_ID=worker)


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which prints the file that this is, or fails without it."""
    text = tmp_path / "journal"
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\nexec cat {text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return text


def test_the_images_that_were_fetched_for_a_start(journalctl: Path) -> None:
    """A fetch began with its worker, or else with its end. It belongs to the start that follows, be it after more
    fetches, and to none that comes much later."""
    journalctl.write_text(
        entry(70, MESSAGE_ID=STARTED, INVOCATION_ID="b")
        + entry(85, MESSAGE_ID=STARTED, INVOCATION_ID="a")
        + pulled(59, "sha256:before", "gone")
        + pulled(80, "sha256:b", "b")
        + pulled(103, "sha256:a", "a")
        + pulled(105, "sha256:c", "gone")
        + pulled(107, "sha256:late", "late")
    )
    times = [
        Times("a", network=(105 * SECOND, 106 * SECOND), starting=106 * SECOND),
        *(Times(name, starting=106 * SECOND) for name in ("b", "c", "before", "late", "rootfs")),
        Times("never"),
    ]
    cards = {name: Card(name, image_digest=f"sha256:{name}") for name in ("a", "b", "c", "before", "late", "never")}
    found = {one.name: one.image for one in with_images(times, cards)}
    assert found == {
        "a": (85 * SECOND, 103 * SECOND),
        "b": (70 * SECOND, 80 * SECOND),
        "c": (105 * SECOND, 105 * SECOND),
        **dict.fromkeys(("before", "late", "rootfs", "never"), (0, 0)),
    }


def test_who_may_not_read_the_journal_sees_no_images(journalctl: Path) -> None:
    """And everything else."""
    times = [Times("web", starting=SECOND)]
    assert with_images(times, {"web": Card("web", image_digest="sha256:a")}) == times
