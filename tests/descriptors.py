"""A test that leaves a file descriptor open fails: a fixture for the suites that run in one process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

_SECONDS = 5.0


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """What a thread of the test has yet to close is waited for; what only the collector would close counts as left."""
    before = _open()
    yield
    deadline = time.monotonic() + _SECONDS
    while (left := _open() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"left open: {sorted(left)}"


def _open() -> set[tuple[int, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing, or closed meanwhile
            found.add((int(number), os.readlink(f"/proc/self/fd/{number}")))
    return found
