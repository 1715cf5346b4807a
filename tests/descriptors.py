"""A test that leaves a file descriptor open fails: a fixture for the suites that run in one process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

_SECONDS = 20.0


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """What a thread of the test has yet to close is waited for; what only the collector would close counts as left.

    So the collector rests during a test: whether its turn comes before the end, or in the middle of a count of the
    test's own, would be chance.
    """
    before = _open()
    gc.disable()
    yield
    deadline = time.monotonic() + _SECONDS
    while (left := _left(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    gc.enable()
    assert not left, f"left open: {left}"


def _left(before: Mapping[tuple[int, int, int], str]) -> list[tuple[int, str]]:
    return [(key[0], path) for key, path in _open().items() if key not in before]


def _open() -> dict[tuple[int, int, int], str]:
    """What is open, by number, device and inode: a file has the same ones when it was renamed or removed meanwhile."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing, or closed meanwhile
            status = os.fstat(int(number))
            found[int(number), status.st_dev, status.st_ino] = os.readlink(f"/proc/self/fd/{number}")
    return found
