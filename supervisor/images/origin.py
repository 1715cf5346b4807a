"""What pull asks of every place images come from: documents and blobs by digest. Knows no transport.

An origin is not trusted: whoever reads checks digests and lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from supervisor.images.manifest import Descriptor


class Origin(Protocol):
    """One registry repository, directory or archive, opened. Used from several threads at once."""

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or configuration. Raises `UserError` or `HostError` in words that help."""

    def layer(self, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """A layer's plain bytes, in parts."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One image an origin has: *manifest* or, in docker's archives, which have none, the bytes of its *config*."""

    what: str
    """The image's name for messages."""
    names: tuple[str, ...]
    """Full references it is to get."""
    manifest: bytes = b""
    config: bytes = b""
