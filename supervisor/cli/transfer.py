"""File trees as a stream of items: read from a directory or a tar archive, written to a directory or a tar archive.

Neither side is trusted by the other. Every step goes down one directory, by descriptor and without following symbolic
links, so what one side contains or changes meanwhile cannot lead the other elsewhere; names of archives are checked. No
account is looked up by name and tarfile's own extraction is not used: Debian 12's has no filters yet.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from supervisor.cli.inside import reopen_file
from supervisor.errors import UserError

#: Directories below one another; each holds a descriptor.
_DEEPEST = 400
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PERMISSIONS = 0o7777
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
_KINDS = {kind: number for number, kind in _TYPES.items()} | {tarfile.AREGTYPE: stat.S_IFREG}

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One file, directory, symbolic link, FIFO or hard link; valid until the next one is taken from the stream."""

    path: Path
    """Names from the root of the transfer down; empty for the root itself."""
    kind: int
    """S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO; 0 for a hard link."""
    mode: int
    """Permission bits, set-user-ID and its friends included."""
    uid: int
    gid: int
    time: float
    """Of the last change, seconds since the epoch."""
    size: int = 0
    target: str = ""
    """What a symbolic link says; the path within the transfer of a hard link's other name."""
    data: IO[bytes] | None = None


Warn = Callable[[str], None]


def read_tree(place: int, path: Path, warn: Warn) -> Iterator[Item]:
    """The object behind the O_PATH descriptor *place*, as *path*, and what is below it. Leaves *place* open.

    *warn* is told of what is left out: sockets and device nodes.
    """
    status = os.fstat(place)
    kind = stat.S_IFMT(status.st_mode)
    item = _item(path, status)
    if kind == stat.S_IFREG:
        with open(reopen_file(place, "/".join(path)), "rb", buffering=0) as data:
            yield _with(item, data=data)
    elif kind == stat.S_IFLNK:
        yield _with(item, target=os.readlink("", dir_fd=place))
    elif kind == stat.S_IFIFO:
        yield item
    elif kind == stat.S_IFDIR:
        yield item
        if len(path) >= _DEEPEST:
            raise UserError(f"{'/'.join(path[:3])}/…: more than {_DEEPEST} directories deep; copy a part of it")
        yield from _read_children(place, path, warn)
    else:
        warn(f"{'/'.join(path)}: a socket or device node; left out")


def _read_children(place: int, path: Path, warn: Warn) -> Iterator[Item]:
    directory = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in sorted(os.listdir(directory)):
            try:
                child = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            except FileNotFoundError:
                continue  # removed since it was listed
            try:
                yield from read_tree(child, (*path, name), warn)
            finally:
                os.close(child)
    finally:
        os.close(directory)


def _item(path: Path, status: os.stat_result) -> Item:
    return Item(
        path,
        stat.S_IFMT(status.st_mode),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime,
        status.st_size if stat.S_ISREG(status.st_mode) else 0,
    )


def _with(item: Item, *, target: str = "", data: IO[bytes] | None = None) -> Item:
    return Item(item.path, item.kind, item.mode, item.uid, item.gid, item.time, item.size, target, data)


def read_tar(stream: IO[bytes], warn: Warn) -> Iterator[Item]:
    """The members of a tar archive, compressed or not. Raises `UserError` for names that lead out of it."""
    try:
        with tarfile.open(fileobj=stream, mode="r|*", errorlevel=2) as archive:
            for member in archive:
                path = _names(member.name)
                if member.type not in _KINDS and not member.islnk():
                    warn(f"{member.name}: a device node; left out")
                    continue
                target = "/".join(_names(member.linkname)) if member.islnk() else member.linkname
                yield Item(
                    path,
                    _KINDS.get(member.type, 0),
                    member.mode & _PERMISSIONS,
                    member.uid,
                    member.gid,
                    float(member.mtime),
                    member.size if member.isreg() else 0,
                    target,
                    archive.extractfile(member) if member.isreg() else None,
                )
    except tarfile.TarError as error:
        raise UserError(f"stdin: not a tar archive: {error}") from error


def _names(name: str) -> Path:
    names = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in names:
        raise UserError(f"stdin: member {name!r} leads out of the archive; refused")
    return names


def write_tar(items: Iterable[Item], stream: IO[bytes]) -> None:
    """All *items* as a tar archive in pax format."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            info = tarfile.TarInfo("/".join(item.path) or ".")
            info.type = _TYPES.get(item.kind, tarfile.LNKTYPE)
            info.mode, info.uid, info.gid = item.mode, item.uid, item.gid
            info.mtime, info.size, info.linkname = item.time, item.size, item.target
            archive.addfile(info, item.data)


class Writer:
    """Creates items below one directory.

    *place*: its descriptor, not closed here. *owner*: uid and gid of everything, or None to keep the items' own.
    *mask*: permission bits that may be set. Existing directories are kept, other existing objects replaced by one of
    the same name. A context manager: directories get their times on the way out, when nothing more is put into them.
    """

    def __init__(self, place: int, *, owner: tuple[int, int] | None, mask: int = _PERMISSIONS) -> None:
        self._place = place
        self._owner = owner
        self._mask = mask
        self._times: list[Item] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        while kind is None and self._times:
            item = self._times.pop()
            directory = self._directory(item.path)
            os.utime(directory, (item.time, item.time))
            os.close(directory)

    def write(self, item: Item) -> None:
        """Create *item*. Raises `UserError` when something else is in its way, OSError with the name in it."""
        if not item.path:
            return
        parent = self._directory(item.path[:-1])
        try:
            self._create(item, item.path[-1], parent)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
                raise UserError(
                    f"{'/'.join(item.path)}: something of another kind is there; remove it first"
                ) from error
            raise OSError(error.errno, error.strerror, "/".join(item.path)) from error
        finally:
            os.close(parent)

    def _directory(self, path: Path) -> int:
        """A descriptor of the directory *path*, reached without following a link."""
        current = os.open(".", _DIRECTORY, dir_fd=self._place)
        for depth, name in enumerate(path):
            try:
                below = os.open(name, _DIRECTORY, dir_fd=current)
            except OSError as error:
                where = "/".join(path[: depth + 1])
                raise UserError(f"{where}: not a directory, so nothing can be put into it; remove it first") from error
            finally:
                os.close(current)
            current = below
        return current

    def _create(self, item: Item, name: str, parent: int) -> None:
        if item.kind == stat.S_IFDIR:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
            self._times.append(item)
        elif item.kind == stat.S_IFREG and item.data is not None:
            fd = _new_file(name, parent)
            with open(fd, "wb", buffering=0, closefd=False) as file:
                shutil.copyfileobj(item.data, file, 1 << 20)
        else:
            _remove(name, parent)
            if item.kind == stat.S_IFIFO:
                os.mkfifo(name, 0o600, dir_fd=parent)
            elif item.kind == stat.S_IFLNK:
                os.symlink(item.target, name, dir_fd=parent)
                os.chown(name, *(self._owner or (item.uid, item.gid)), dir_fd=parent, follow_symlinks=False)
                return
            else:
                self._link(item, name, parent)
                return
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._finish(item, fd)
        finally:
            os.close(fd)

    def _link(self, item: Item, name: str, parent: int) -> None:
        path = _names(item.target)
        source = self._directory(path[:-1])
        try:
            os.link(path[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _finish(self, item: Item, fd: int) -> None:
        # By way of /proc: an O_PATH descriptor has no other handle, and its name may mean something else by now.
        handle = f"/proc/self/fd/{fd}"
        os.chown(handle, *(self._owner or (item.uid, item.gid)))
        os.chmod(handle, item.mode & self._mask)
        os.utime(handle, (item.time, item.time))


def _new_file(name: str, parent: int) -> int:
    """A descriptor to write to the file *name*: a new one, or the old one where it is a mount point."""
    try:
        _remove(name, parent)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise
            return os.open(f"/proc/self/fd/{place}", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        finally:
            os.close(place)
    return os.open(name, _NEW_FILE, 0o600, dir_fd=parent)


def _remove(name: str, parent: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)
