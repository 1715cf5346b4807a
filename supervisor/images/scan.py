"""The headers of a plain tar, read quickly, before an EROFS index is made of it.

Three questions: does `members` refuse one; is there something an index cannot express, or would express differently
from what unpacking makes; and which directories does nobody name (mkfs.erofs makes those 0777, where 0755 is meant).
Reads 512 bytes a member and skips the data, some ten times faster than tarfile. It judges names only; no security
rests on it, for nothing of an EROFS layer is ever unpacked. Source: tar(5), pax(1).
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass

from supervisor.errors import UserError
from supervisor.images.members import Action, check_attributes, link_target, step

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_MAX_EXTENSION = 1 << 20
_XATTR = "SCHILY.xattr."

_EXTENSIONS = b"xgLK"
_DIRECTORY = b"5"
_WITHOUT_DATA = b"123456"


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found."""

    members: int
    unfit: bool
    """A member is sparse, or lies below one that is no directory: only unpacking gives what is meant."""
    unnamed: tuple[str, ...]
    """Directories that members lie in and no member names, parents first; '' is the root."""
    end: int
    """Offset behind the last member."""


@dataclass(frozen=True, slots=True)
class _Member:
    kind: bytes
    size: int
    records: dict[str, str]
    header: bytes

    @property
    def name(self) -> str:
        return self.records.get("GNU.sparse.name") or self.records.get("path") or _name(self.header)

    @property
    def sparse(self) -> bool:
        return self.kind == b"S" or any(key.startswith("GNU.sparse.") for key in self.records)


def scan(descriptor: int) -> Scan:
    """Walk the tar open on *descriptor*. Raises `UserError` naming the member that is refused."""
    reader = _Reader(descriptor)
    names = _Names()
    members, unfit = 0, False
    while member := reader.next():
        what = step(member.name)
        if what.action is Action.MAKE:
            check_attributes(member.name, (k.removeprefix(_XATTR) for k in member.records if k.startswith(_XATTR)))
            if member.kind == b"1":
                link_target(member.name, member.records.get("linkpath") or _text(member.header[157:257]))
            names.add(what.path, member.kind == _DIRECTORY)
        elif what.action is Action.OPAQUE:
            names.add(f"{what.path}/x" if what.path else "x", False, hidden=True)
        elif what.action is Action.HIDE:
            names.add(what.path, False, hidden=True)
        unfit = unfit or member.sparse
        members += 1
    return Scan(members, unfit or names.clash, names.unnamed(), reader.offset)


class _Names:
    """Which paths are directories, which are not, and which are only known as parents."""

    def __init__(self) -> None:
        self._directories: set[str] = set()
        self._others: set[str] = set()
        self._parents: set[str] = {""}
        self.clash = False

    def add(self, path: str, directory: bool, hidden: bool = False) -> None:
        parent = path.rpartition("/")[0] if path else ""
        self._enter(parent)
        if directory:
            self._directories.add(path)
        elif not hidden:
            self._others.add(path)
        if path in self._others and (path in self._directories or path in self._parents):
            self.clash = True

    def unnamed(self) -> tuple[str, ...]:
        return tuple(sorted(self._parents - self._directories))

    def _enter(self, parent: str) -> None:
        while parent not in self._parents:
            self._parents.add(parent)
            self.clash = self.clash or parent in self._others
            parent = parent.rpartition("/")[0]


class _Reader:
    """Members of a tar, extension headers applied."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._file_size = os.fstat(descriptor).st_size
        self._common: dict[str, str] = {}
        self.offset = 0

    def next(self) -> _Member | None:
        override: dict[str, str] = {}
        start = self.offset
        while True:
            header = os.pread(self._descriptor, _BLOCK, self.offset)
            if len(header) < _BLOCK or header == _ZERO:
                self.offset = start
                return None
            kind = header[156:157]
            size = _number(header[124:136])
            if kind in _EXTENSIONS:
                data = self._take(size, _MAX_EXTENSION)
                if kind == b"g":
                    self._common.update(_pax(data))
                elif kind == b"x":
                    override.update(_pax(data))
                else:
                    override["path" if kind == b"L" else "linkpath"] = _text(data)
                continue
            member = _Member(kind, size, {**self._common, **override}, header)
            # Links, devices, directories and fifos have no data, whatever their size says.
            self._skip(0 if kind in _WITHOUT_DATA else _decimal(member.records.get("size"), size))
            return member

    def _take(self, size: int, limit: int) -> bytes:
        if not 0 <= size <= limit:
            raise UserError(f"is not a sound tar archive: an extension header of more than {limit} bytes")
        data = os.pread(self._descriptor, size, self.offset + _BLOCK)
        self._skip(size)
        return data

    def _skip(self, size: int) -> None:
        self.offset += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if size < 0 or self.offset > self._file_size + _BLOCK:
            raise UserError("is not a sound tar archive: a member is longer than the archive")


def directory_header(path: str) -> bytes:
    """Tar blocks that name the directory *path* ('' is the root): root's, 0755, from the epoch."""
    info = tarfile.TarInfo(path or ".")
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _decimal(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default


def _number(field: bytes) -> int:
    """Octal text, or base 256 when the highest bit is set (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise UserError("is not a sound tar archive: a size that is no number") from error


def _pax(data: bytes) -> dict[str, str]:
    """Records ``LENGTH KEY=VALUE\\n`` (pax(1), "pax Header Block")."""
    records: dict[str, str] = {}
    while data:
        length = data.split(b" ", 1)[0]
        if not length.isdigit() or not len(length) < int(length) <= len(data):
            break
        key, _, value = data[len(length) + 1 : int(length)].rstrip(b"\n").partition(b"=")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return records
