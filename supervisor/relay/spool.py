"""A stream's spool: a memfd with a header (whose it is, the ledger's words) and the bytes not yet in the journal.

    0      magic, 8 bytes (its last digits are the layout's version)
    8      the ledger's words, 16 bytes
    24     length of the metadata, 8 bytes
    32     metadata: the launcher's datagram and STREAM=
    2048   data; the file offset is its end

The numbers are native: a spool never leaves the machine or outlives its boot. Header and data share the first page
so that an idle stream costs one. Knows nothing of lines; `supervisor.logs.ledger` says why the order of calls matters.
"""

from __future__ import annotations

import mmap
import os

from supervisor.errors import InternalError
from supervisor.logs.framing import LONGEST
from supervisor.logs.ledger import Ledger

_MAGIC = b"ctrlog01"
_WORDS, _LENGTH, _METADATA, FRONT = 8, 24, 32, 2048

#: Room for the unsent beginning of a line twice, so that it can always move to the front, and for a turn's bytes.
SIZE = 2 * LONGEST + 32 * 1024

_NONBLOCK = os.SPLICE_F_NONBLOCK


class Spool:
    """An open spool. Raises `InternalError` for a file that is none (another version's, say)."""

    __slots__ = ("_high", "_map", "_view", "_words", "fd", "ledger", "offset")

    def __init__(self, fd: int) -> None:
        if os.fstat(fd).st_size != SIZE:
            raise InternalError(f"log spool: {os.fstat(fd).st_size} bytes, not {SIZE}")
        self.fd = fd
        self._map = mmap.mmap(fd, SIZE)
        if self._map[:_WORDS] != _MAGIC:
            raise InternalError(f"log spool: starts with {self._map[:_WORDS]!r}, not {_MAGIC!r}")
        self._view = memoryview(self._map)
        self._words = self._view[_WORDS:_LENGTH].cast("Q")
        self.ledger = Ledger(self._words, FRONT)
        self.offset = os.lseek(fd, 0, os.SEEK_CUR)  #: end of the data; the kernel's number, repeated here
        self._high = SIZE  #: pages beyond the first may be in use up to here

    @classmethod
    def create(cls, metadata: bytes) -> Spool:
        """A new spool; *metadata* of at most `FRONT` - 32 bytes. Raises OSError."""
        fd = os.memfd_create("ctr-log", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, SIZE)
            os.lseek(fd, FRONT, os.SEEK_SET)
            os.pwrite(fd, _MAGIC, 0)
            spool = cls(fd)
        except BaseException:
            os.close(fd)
            raise
        spool._view[_LENGTH:_METADATA] = len(metadata).to_bytes(8, "little")
        spool._view[_METADATA : _METADATA + len(metadata)] = metadata
        spool.ledger.start()
        spool._high = FRONT
        return spool

    @property
    def metadata(self) -> bytes:
        length = int.from_bytes(self._view[_LENGTH:_METADATA], "little")
        return self._map[_METADATA : min(_METADATA + length, FRONT)]

    def fill(self, pipe: int, most: int) -> int:
        """Move up to *most* bytes here from *pipe*; how many (0: the pipe has ended).

        Raises BlockingIOError when the pipe is empty or the spool full.
        """
        room = min(most, SIZE - self.offset)
        if not room:
            raise BlockingIOError
        moved = os.splice(pipe, self.fd, room, flags=_NONBLOCK)
        self.offset += moved
        self._high = max(self._high, self.offset)
        return moved

    def unsent(self) -> bytes:
        return self._map[self.ledger.sent : self.offset]

    def compact(self) -> None:
        """Move what is unsent to the front, if that makes room."""
        target = self.ledger.target(self.offset)
        if target is None:
            return
        if target > FRONT:
            self._map.move(FRONT, self.ledger.sent, target - FRONT)
        os.lseek(self.fd, target, os.SEEK_SET)
        self.offset = target
        self.ledger.reset()

    def trim(self) -> None:
        """Give back the pages behind the data; for a stream that has nothing to say at the moment."""
        used = -(-self.offset // mmap.PAGESIZE) * mmap.PAGESIZE
        if used < self._high:
            self._map.madvise(mmap.MADV_REMOVE, used, SIZE - used)
            self._high = used

    def close(self) -> None:
        self._words.release()
        self._view.release()
        self._map.close()
        os.close(self.fd)
