"""What holds for every unit test."""

from __future__ import annotations

from tests.descriptors import no_descriptor_is_left

__all__ = ["no_descriptor_is_left"]
