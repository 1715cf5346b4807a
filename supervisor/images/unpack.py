"""A layer's tar (standard input) unpacked into the working directory, in overlayfs form: a program, confined.

It changes its root to the target directory before it reads the first byte, so no name, link or symbolic link in the
tar can lead out of it, whatever the code below does. `members` says what a name means; this module makes it so. Run
it through `layers`, with the layer's name as argument; on failure the reason is the last line on standard error and
the status is 1.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Callable, Iterable, Sequence
from typing import IO, TypeVar, cast

from supervisor.errors import CtrError, HostError, UserError
from supervisor.images.members import Action, check_attributes, link_target, step

_COPY = 1 << 20
_XATTR = "SCHILY.xattr."
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """*argv*: the layer's digest, for messages."""
    try:
        os.chroot(".")
        os.chdir("/")
        os.umask(0)
        os.chmod("/", 0o755)  # unless the layer says otherwise
        unpack(sys.stdin.buffer)
        return 0
    except CtrError as error:
        print(f"layer {argv[0]}: {error}", file=sys.stderr)
    except tarfile.TarError as error:
        print(f"layer {argv[0]}: is not a sound tar archive: {error}", file=sys.stderr)
    except OSError as error:
        print(f"layer {argv[0]}: unpacking: {error.strerror or error}", file=sys.stderr)
    return 1


def unpack(stream: IO[bytes]) -> None:
    """Unpack into ``/``, the layer's own directory. Raises `UserError`, `HostError`, OSError, TarError."""
    unpacker = _Unpacker()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_COPY, encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            # Kept by tarfile for extractall; a layer may have millions of members.
            archive.__dict__["members"] = []
            try:
                unpacker.member(archive, member)
            except OSError as error:
                raise HostError(f"member '{member.name}': {error.strerror or error}") from error
    unpacker.finish()
    while stream.read(_COPY):  # what follows the end mark: the writer must not die of a closed pipe
        pass


class _Unpacker:
    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._hidden: set[str] = set()

    def member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        what = step(member.name)
        path = f"/{what.path}"
        if what.action is Action.HIDE:
            self._hide(path)
        elif what.action is Action.OPAQUE:
            self._parents(f"{path}/x")
            os.setxattr(path, "trusted.overlay.opaque", b"y")
        elif what.action is Action.MAKE:
            check_attributes(member.name, (k.removeprefix(_XATTR) for k in member.pax_headers if k.startswith(_XATTR)))
            self._make(archive, member, path)

    def finish(self) -> None:
        """Directory times last: filling a directory changes its own."""
        for path, time in self._times.items():
            if _is_directory(path):
                os.utime(path, (time, time), follow_symlinks=False)

    def _hide(self, path: str) -> None:
        self._parents(path)
        self._hidden.add(path)
        if not os.path.lexists(path):
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        elif _is_directory(path):
            os.setxattr(path, "trusted.overlay.opaque", b"y")

    def _parents(self, path: str) -> None:
        """Directories the archive does not name, or names later; a link to one is followed, inside this root."""
        parent = os.path.dirname(path)
        if os.path.isdir(parent):
            return
        self._parents(parent)
        _remove(parent)
        self._directory(parent)
        os.chmod(parent, 0o755)

    def _directory(self, path: str) -> None:
        os.mkdir(path)
        if path in self._hidden:
            os.setxattr(path, "trusted.overlay.opaque", b"y")

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.isdir():
            if not (path == "/" or _is_directory(path)):
                self._create(path, lambda: self._directory(path))
            _set_attributes(member, path, path)
            self._times[path] = float(member.mtime)
        elif path == "/":
            raise UserError(f"member '{member.name}': the root of a layer is a directory")
        elif member.islnk():
            self._link(member, path)
        elif member.isreg():
            descriptor = self._create(path, lambda: os.open(path, _NEW_FILE, 0o600))
            try:
                _write(archive, member, descriptor)
                _set_attributes(member, path, descriptor)
            finally:
                os.close(descriptor)
        else:
            self._create(path, lambda: _special(member, path))
            _set_attributes(member, path, path)

    def _create(self, path: str, make: Callable[[], T]) -> T:
        """Try first, look only if it fails: what an earlier member put there goes (the last one wins)."""
        try:
            return make()
        except (FileNotFoundError, NotADirectoryError):
            self._parents(path)
        except FileExistsError:
            pass
        _remove(path)
        return make()

    def _link(self, member: tarfile.TarInfo, path: str) -> None:
        target = f"/{link_target(member.name, member.linkname)}"
        if not os.path.lexists(target):
            raise UserError(f"member '{member.name}': hard link to '{member.linkname}', which is not in the layer")
        if target != path:
            self._create(path, lambda: os.link(target, path, follow_symlinks=False))


def _special(member: tarfile.TarInfo, path: str) -> None:
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.isfifo():
        os.mkfifo(path)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind, os.makedev(member.devmajor, member.devminor))
    else:
        raise UserError(f"member '{member.name}': has the unknown type {member.type!r}; the image is refused")


def _set_attributes(member: tarfile.TarInfo, path: str, target: str | int) -> None:
    """*target*: a descriptor where there is one, else *path*, which is never followed."""
    follow = not isinstance(target, str)
    os.chown(target, member.uid, member.gid, follow_symlinks=follow)
    if not member.issym():
        os.chmod(target, member.mode & 0o7777)  # after chown, which clears setuid
    for key, value in member.pax_headers.items():
        if key.startswith(_XATTR):
            _set_attribute(path, key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
    os.utime(target, (float(member.mtime), float(member.mtime)), follow_symlinks=follow)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: int) -> None:
    source = cast(IO[bytes], archive.fileobj)
    source.seek(member.offset_data)
    parts: Iterable[tuple[int, int]] | None = getattr(member, "sparse", None)
    if parts is None:
        _copy(source, target, member.size)
        return
    # A sparse member lists its data; the holes between cost nothing, however large they say they are.
    for offset, size in parts:
        os.lseek(target, offset, os.SEEK_SET)
        _copy(source, target, size)
    os.ftruncate(target, member.size)


def _copy(source: IO[bytes], target: int, size: int) -> None:
    while size > 0:
        data = source.read(min(size, _COPY))
        if not data:
            raise UserError("the archive ends too early")
        size -= len(data)
        while data:
            data = data[os.write(target, data) :]


def _set_attribute(path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        # user.* on links and special files, or a file system without such attributes: as tar(1), go on.
        if not name.startswith("user.") and name != "security.selinux":
            raise HostError(f"extended attribute {name}: {error.strerror}") from error


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    if _is_directory(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
