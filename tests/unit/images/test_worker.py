"""The writer of the store: what it says of failures that nobody expected."""

from __future__ import annotations

import errno
import os

import pytest

from supervisor.images.work import Request
from supervisor.images.worker import _explain
from supervisor.paths import Layout


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.EIO, errno.ENOTDIR])
def test_only_a_full_disk_is_told_to_be_full(number: int) -> None:
    """Of other failures it would be the wrong reason; path and source are always named."""
    said = str(_explain(OSError(number, os.strerror(number), "/place"), Request("load", "web.tar"), Layout()))
    assert said.startswith(f"web.tar: /place: {os.strerror(number)}")
    assert ("free space" in said) == (number in (errno.ENOSPC, errno.EDQUOT))
