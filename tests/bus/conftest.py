"""Fixtures of the bus tests, which run on a dbus-daemon of their own: ``contrib/test bus``."""

from __future__ import annotations

import pytest

import tests.properties  # noqa: F401  # loads the profile of property tests
from tests.descriptors import no_descriptor_is_left

__all__ = ["anyio_backend", "no_descriptor_is_left"]


@pytest.fixture
def anyio_backend() -> str:
    """dbus-next needs asyncio."""
    return "asyncio"
