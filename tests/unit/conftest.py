"""What holds for every unit test."""

from __future__ import annotations

import tests.properties  # noqa: F401  # loads the profile of property tests
from tests.descriptors import no_descriptor_is_left

__all__ = ["no_descriptor_is_left"]
