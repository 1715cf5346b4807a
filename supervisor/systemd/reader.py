"""Reads the journal from where it was left, with python3-systemd, in a worker thread.

Owns the position (a cursor), the few fields that are asked for, and what can go wrong with files that others rotate,
vacuum or break: it opens them again, and says so where entries may have been missed (`Reader.gaps`). Knows no
MESSAGE_ID. Only the daemon imports this: python3-systemd is not needed for anything else.

journald tells readers of new entries only every 250 ms. Whoever knows earlier that there should be some rings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from systemd import journal

T = TypeVar("T")

#: Records of one `Reader.drain`.
BATCH = 500
#: Bytes of a value that are kept.
MOST = 4096
#: After a ring that found nothing, look again after these pauses; then journald's own notice has come.
_AGAIN_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
#: When an entry is on its way: PID 1 takes some ten milliseconds from the end of a process to writing of it.
_EXPECTING_SECONDS, _STEP_SECONDS = 0.08, 0.002
#: The pages of journal files that were read stay with us for as long as they are open.
_REOPEN_AFTER = 5_000
#: When the journal could not be opened.
_BROKEN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: its cursor, when journald got it (microseconds since the epoch), and those of the fields asked for
    that it has."""

    cursor: str
    realtime: int
    fields: Mapping[str, str]


class Reader:
    """Entries that fit one of *matches* (field, value; those of one field together). *directory*: of journal files, or
    None for this host's. *gaps*: how often entries may be missing. *has_failed*: the last look came to nothing, which
    says nothing about entries. *cursor*: of the last record. One task at a time."""

    def __init__(self, matches: Sequence[tuple[str, str]], fields: Sequence[str], directory: str | None = None) -> None:
        self.gaps = 0
        self.has_failed = False
        self.cursor = ""
        self._matches = tuple(matches)
        self._fields = tuple(fields)
        self._directory = directory
        self._journal: Any = None
        self._skip = ""
        self._read = 0
        self._again: Iterator[float] = iter(())
        self._expected = 0
        self._expected_until = 0.0
        self._bell = asyncio.Event()
        self._thread: anyio.CapacityLimiter | None = None  # it can only be made in a loop

    async def open(self, cursor: str | None) -> bool:
        """Go to the entry after *cursor*, or to the end when it is None. False when there is no such entry (any more):
        then it goes on with the first one later than that. Raises OSError."""
        return await self._do(lambda: self._open(cursor))

    async def close(self) -> None:
        """Give the journal files back."""
        await self._do(self._close)

    async def drain(self) -> list[Record]:
        """The next entries, `BATCH` at most; none when there are none now."""
        records = await self._do(self._drain)
        if records:
            self._again = iter(())
        return records

    async def mark(self) -> str:
        """The cursor of the journal's last entry, whosever it is, when nothing of ours waits before it; else that of
        the last record. To be kept instead of the latter: on a host where nothing happens, that is vacuumed one day."""
        return await self._do(self._mark)

    def ring(self) -> None:
        """Have `wait` return now, and a few times more if nothing is found."""
        self._again = iter(_AGAIN_SECONDS)
        self._bell.set()

    def expect(self, seconds: float = _EXPECTING_SECONDS) -> None:
        """As `ring`, when one entry more is about to come: for *seconds* at most, have `wait` return every few
        milliseconds until `arrived` was called for each."""
        self._expected += 1
        self._expected_until = time.monotonic() + seconds
        self.ring()

    def arrived(self) -> None:
        """What was expected has come, this way or another."""
        self._expected = max(0, self._expected - 1)

    async def wait(self, timeout: float = 60.0) -> None:
        """Return when there may be new entries, at the latest after *timeout* seconds."""
        if time.monotonic() >= self._expected_until:
            self._expected = 0
        pause = min(timeout, next(self._again, timeout)) if not self._bell.is_set() else timeout
        if self._expected:
            pause = min(pause, _STEP_SECONDS)
        if self._journal is None:
            pause = min(pause, _BROKEN_SECONDS)
        fd = self._journal.fileno() if self._journal else -1
        loop = asyncio.get_running_loop()
        if fd >= 0:
            loop.add_reader(fd, self._bell.set)
        try:
            with anyio.move_on_after(pause):
                await self._bell.wait()
        finally:
            if fd >= 0:
                loop.remove_reader(fd)
        self._bell.clear()

    # in the thread

    async def _do(self, work: Callable[[], T]) -> T:
        self._thread = self._thread or anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(work, limiter=self._thread)

    def _open(self, cursor: str | None) -> bool:
        self._close()
        opened = journal.Reader(path=self._directory) if self._directory else journal.Reader(journal.LOCAL_ONLY)
        try:
            opened.data_threshold = MOST
            opened.fileno()  # from here on, it notices files that come and go
            if cursor is None:
                cursor = _end(opened)
            self._journal, self._read, self.cursor = opened, 0, cursor
            return self._seek()
        except BaseException:
            opened.close()
            self._journal = None
            raise

    def _close(self) -> None:
        if self._journal:
            self._journal.close()
        self._journal = None

    def _seek(self) -> bool:
        """Have `_next` find what comes after the cursor; whether there is such an entry. An empty one is before all."""
        found = _go(self._journal, self.cursor)
        for at, (field, value) in enumerate(self._matches):
            if at and field != self._matches[at - 1][0]:
                self._journal.add_disjunction()
            self._journal.add_match(f"{field}={value}")
        _go(self._journal, self.cursor, look=False)
        self._skip = self.cursor
        return found

    def _next(self) -> bool:
        """Go to the next entry. The first after `_seek` may be the one that is known."""
        while self._journal._next():
            skip, self._skip = self._skip, ""
            if not skip or not self._journal.test_cursor(skip):
                return True
        return False

    def _drain(self) -> list[Record]:
        records: list[Record] = []
        try:
            if self._journal is None or self._journal.process() == journal.INVALIDATE:
                self.gaps += not self._open(self.cursor)
            while len(records) < BATCH and self._next():
                records.append(self._record())
            self.has_failed = False
        except OSError:
            self.has_failed = True
            self._close()  # what was read is told; the next look opens it again
        if records:
            self.cursor = records[-1].cursor
        self._read += len(records)
        if self._read >= _REOPEN_AFTER:
            self._close()
        return records

    def _record(self) -> Record:
        fields: dict[str, str] = {}
        for name in self._fields:
            try:
                value: bytes = self._journal._get(name)
            except KeyError:
                continue
            fields[name] = value[:MOST].decode("utf-8", "replace")
        return Record(self._journal._get_cursor(), self._journal._get_realtime(), fields)

    def _mark(self) -> str:
        if self._journal is None:
            return self.cursor
        try:
            self._journal.flush_matches()
            end = _end(self._journal)
            self._seek()
            if self._next():
                self._seek()
            elif end:
                self.cursor = end
        except OSError:
            self._close()
        return self.cursor


def _go(opened: Any, cursor: str, look: bool = True) -> bool:
    """Have the next entry be that of *cursor*, or the first after it; with *look*, whether it is there."""
    if look:
        opened.flush_matches()
    if not cursor:
        opened.seek_head()
        return True
    try:
        opened.seek_cursor(cursor)
    except ValueError:  # it never was one
        opened.seek_head()
        return False
    return look and bool(opened._next()) and bool(opened.test_cursor(cursor))


def _end(opened: Any) -> str:
    """The cursor of the last entry; empty in an empty journal."""
    opened.seek_tail()
    return str(opened._get_cursor()) if opened._previous() else ""
