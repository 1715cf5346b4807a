"""What survives the supervisor: the journal's cursor, and what was known of every container there.

One JSON document a line: the head, then a container each. Encoding is incremental, since a thousand containers take
longer than the loop may stand still; the file is replaced as a whole, and is on the disk before it takes the place of
the one before. One that is not whole (a disk that fails, a person's edit) is refused: that costs history, not state,
which comes from systemd.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import aiofiles
import aiofiles.os
import anyio
import anyio.lowlevel
import anyio.to_thread

from supervisor.errors import UserError
from supervisor.lifecycle.model import Container
from supervisor.spec import codec

T = TypeVar("T")

VERSION = 2
#: Containers encoded before others have their turn: about 5 ms.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the supervisor before knew."""

    cursor: str
    """Of the last journal entry it had taken in."""
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The first line."""

    version: int
    containers: int
    """How many lines follow."""
    crc32: int
    """Of the cursor and those lines: `_checksum`."""
    cursor: str


class Keeper:
    """Writes snapshots to one file, one after the other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: dict[str, str] = {}
        self._changed: dict[str, Container] = {}
        self._noted = 0
        self._written = 0
        """As many of *_noted* are in the file."""
        self._turn = anyio.Lock()

    def note(self, container: Container) -> None:
        """*container* is to be in the next snapshot."""
        self._changed[container.name] = container
        self._noted += 1

    def forget(self, name: str) -> None:
        """It is not to be in there."""
        self._changed.pop(name, None)
        self._lines.pop(name, None)
        self._noted += 1

    @property
    def is_due(self) -> bool:
        """Whether anything was noted since the last one that was written."""
        return self._noted > self._written

    async def keep(self, cursor: str) -> None:
        """Replace the file. Raises OSError; the one before is still there then.

        *cursor* is of now; containers may change while this is at work, since what comes after the cursor is read again
        and told only once. Cancelled, it ends with the old file or the new one: never with a thread of its own still
        writing.
        """
        async with self._turn:
            noted = self._noted
            # Only what has changed by now, so that this ends however much goes on changing.
            names = list(self._changed)
            for at in range(0, len(names), _BATCH):
                self._encode(names[at : at + _BATCH])
                await anyio.lowlevel.checkpoint()
            new = text(cursor, self._lines.values())
            with anyio.CancelScope(shield=True):
                await _replace(self._path, _bytes(new))
            self._written = noted

    def _encode(self, names: Collection[str]) -> None:
        for name in names:
            if container := self._changed.pop(name, None):
                # The card is read anew from what is deployed.
                self._lines[name] = codec.line(replace(container, card=None))


def text(cursor: str, lines: Collection[str]) -> str:
    """A snapshot of containers that are *lines* already (`supervisor.spec.codec.line`)."""
    head = Head(VERSION, len(lines), _checksum(cursor, lines), cursor)
    return "\n".join((codec.line(head), *lines, ""))


async def read(path: str) -> Snapshot | None:
    """The snapshot at *path*; None when there is none. Raises `UserError` when it is damaged."""
    try:
        async with aiofiles.open(path, "rb") as file:
            data = await file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    return decode(data, path)


def decode(data: bytes, path: str) -> Snapshot:
    """As `parse`, of a file's bytes."""
    try:
        found = data.decode()
    except UnicodeDecodeError as error:
        raise _damaged(path, data.count(b"\n", 0, error.start) + 1, "not UTF-8") from error
    return parse(found, path)


def parse(text: str, path: str) -> Snapshot:
    """The snapshot that *text* is. Raises `UserError` naming *path* and line unless all of it is as it was written."""
    # Not splitlines(): a string in JSON may hold what that takes for the end of a line, such as U+2028.
    first, *lines = text.split("\n")
    try:
        head = _loads(Head, first, path, 1)
    except UserError:
        head = None
    if head is None or head.version != VERSION:
        raise _damaged(path, 1, f"not the head of a snapshot of version {VERSION}")
    if lines[-1:] != [""] or len(lines) - 1 != head.containers:
        raise _damaged(path, len(lines) + 1, f"the end is not after {head.containers} containers")
    lines.pop()
    if _checksum(head.cursor, lines) != head.crc32:
        raise _damaged(path, 1, "the checksum is not that of what is here")
    found: dict[str, Container] = {}
    for number, line in enumerate(lines, 2):
        container = _loads(Container, line, path, number)
        if not container.name or container.name in found:
            raise _damaged(path, number, f"a second container '{container.name}'" if container.name else "no name")
        found[container.name] = container
    return Snapshot(head.cursor, tuple(found.values()))


def path_of(environ: Mapping[str, str]) -> str:
    """Where the snapshot lies: in systemd's StateDirectory=."""
    return os.path.join(environ.get("STATE_DIRECTORY", "/var/lib/ctr-supervisor"), "snapshot")


def _loads(kind: type[T], line: str, path: str, number: int) -> T:
    try:
        return codec.loads(kind, line)
    except (UserError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from error


def _damaged(path: str, number: int, cause: str) -> UserError:
    return UserError(f"{path}:{number}: {cause}; the next snapshot replaces this one")


def _checksum(cursor: str, lines: Collection[str]) -> int:
    return zlib.crc32(_bytes("\n".join((cursor, *lines))))


def _bytes(text: str) -> bytes:
    # Half a surrogate pair, which UTF-8 cannot have, is written as JSON's escape for it: it stands in a string.
    return text.encode("utf-8", "backslashreplace")


async def _replace(path: str, data: bytes) -> None:
    """Put *data* at *path*, on the disk. Raises OSError, with *path* as it was unless the last step failed."""
    new = f"{path}.new"
    try:
        async with aiofiles.open(new, "wb") as file:
            await file.write(data)
            await file.flush()
            # Otherwise a crash of the machine may leave the new name with nothing in it.
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
        await aiofiles.os.rename(new, path)
    except OSError:
        with suppress(OSError):
            await aiofiles.os.remove(new)
        raise
    await anyio.to_thread.run_sync(_sync_directory, os.path.dirname(path))


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
