"""What survives the supervisor: the journal's cursor, and what was known of every container there.

One JSON document a line: the head, then a container each. Encoding is incremental, since a thousand containers take
longer than the loop may stand still; the file is replaced as a whole. A snapshot that cannot be read costs history, not
state: that comes from systemd.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import aiofiles
import aiofiles.os
import anyio.lowlevel

from supervisor.errors import UserError
from supervisor.lifecycle.model import Container
from supervisor.spec import codec

VERSION = 1
#: Containers encoded before others have their turn: about 5 ms.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the supervisor before knew."""

    cursor: str
    """Of the last journal entry it had taken in."""
    containers: tuple[Container, ...] = ()


class Keeper:
    """Writes snapshots to one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: dict[str, str] = {}
        self._changed: dict[str, Container] = {}
        self._is_due = False

    def note(self, container: Container) -> None:
        """*container* is to be in the next snapshot."""
        self._changed[container.name] = container
        self._is_due = True

    def forget(self, name: str) -> None:
        """It is not to be in there."""
        self._changed.pop(name, None)
        self._lines.pop(name, None)
        self._is_due = True

    @property
    def is_due(self) -> bool:
        """Whether anything was noted since the last one."""
        return self._is_due

    async def keep(self, cursor: str) -> None:
        """Replace the file. Raises OSError.

        *cursor* is of now; containers may change while this is at work, since what comes after the cursor is read again
        and told only once.
        """
        self._is_due = False
        while self._changed:
            for name in list(self._changed)[:_BATCH]:
                # The card is read anew from what is deployed.
                self._lines[name] = codec.line(replace(self._changed.pop(name), card=None))
            await anyio.lowlevel.checkpoint()
        head = json.dumps({"version": VERSION, "cursor": cursor})
        text = "\n".join((head, *self._lines.values(), ""))
        new = f"{self._path}.new"
        async with aiofiles.open(new, "w", encoding="utf-8") as file:
            await file.write(text)
        await aiofiles.os.rename(new, self._path)


async def read(path: str) -> Snapshot | None:
    """The snapshot at *path*; None when there is none. Raises `UserError` when it is damaged."""
    try:
        async with aiofiles.open(path, encoding="utf-8") as file:
            text = await file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return parse(text, path)


def parse(text: str, path: str) -> Snapshot:
    """The snapshot that *text* is. Raises `UserError` naming *path* and line."""
    lines = text.splitlines()
    head = _head(lines[0] if lines else "")
    if head.get("version") != VERSION or not isinstance(head.get("cursor"), str):
        raise UserError(f"{path}:1: not the head of a snapshot of this version; it is left alone and made anew")
    return Snapshot(str(head["cursor"]), tuple(_containers(lines[1:], path)))


def _head(line: str) -> Mapping[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _containers(lines: Iterable[str], path: str) -> Iterable[Container]:
    for number, line in enumerate(lines, 2):
        try:
            yield codec.loads(Container, line)
        except UserError as error:
            raise UserError(f"{path}:{number}: {error}") from error


def path_of(environ: Mapping[str, str]) -> str:
    """Where the snapshot lies: in systemd's StateDirectory=."""
    return os.path.join(environ.get("STATE_DIRECTORY", "/var/lib/ctr-supervisor"), "snapshot")
