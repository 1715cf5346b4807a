"""Fixtures of the bus tests, which run on a dbus-daemon of their own: ``contrib/test bus``."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """dbus-next needs asyncio."""
    return "asyncio"
