"""A blob as it was sent, made plain: bounded by the size that was promised, compared with its digest at the end.

Runs in the image worker. The writer of the store does not rely on it, and checks the plain bytes itself (`layers`);
here a transfer that went wrong is told from a layer that lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from supervisor.errors import UserError
from supervisor.images.compression import STEP, Reader, expand
from supervisor.images.manifest import Descriptor


def plain(source: Reader, blob: Descriptor) -> Iterator[bytes]:
    """The plain bytes of *source*. Raises `UserError` when it is not *blob*, as far as that says anything."""
    counted = _Counted(source, blob.size)
    yield from expand(counted)
    found = counted.digest()
    if blob.digest:
        compare("blob", blob.digest, found)


def compare(what: str, expected: str, found: str) -> None:
    """Raises `UserError` when two digests differ."""
    if expected != found:
        raise UserError(
            f"{what} has digest {found}, not {expected} as its image says; it is damaged or was tampered with"
        )


class _Counted:
    """Hashes what is read, and stops at the size that was promised."""

    def __init__(self, source: Reader, size: int) -> None:
        self._source = source
        self._left = size
        self._bounded = size >= 0
        self._hash = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if self._bounded:
            self._left -= len(data)
            if self._left < 0:
                raise UserError("has more bytes than its manifest says; the registry or archive is damaged")
        self._hash.update(data)
        return data

    def digest(self) -> str:
        while self.read(STEP):
            pass
        return "sha256:" + self._hash.hexdigest()
