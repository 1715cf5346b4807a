"""Change files so that every change is whole or not there, and can be taken back.

`Disk` makes the system calls; `Changes` makes each of them undoable and remembers how. Neither knows what it writes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import subprocess
from collections.abc import Callable


class Disk:
    """Single effects on the file system. Raises OSError. Tests override `before` to fail or die at any one of them."""

    def before(self, effect: str, path: str) -> None:
        """Called ahead of every effect."""

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*, a dangling link included."""
        return os.path.lexists(path)

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        self.before("mkdir", path)
        os.mkdir(path, mode)

    def write(self, path: str, text: str, mode: int) -> None:
        """Create the file *path*; it must not exist."""
        self.before("write", path)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w", encoding="utf-8"
        ) as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)

    def link(self, target: str, path: str) -> None:
        self.before("link", path)
        os.symlink(target, path)

    def rename(self, source: str, target: str) -> None:
        self.before("rename", target)
        os.rename(source, target)

    def remove(self, path: str) -> None:
        self.before("remove", path)
        os.unlink(path)

    def remove_directory(self, path: str) -> None:
        self.before("rmdir", path)
        os.rmdir(path)

    def erase(self, path: str) -> None:
        """Remove a tree without following links; missing is fine."""
        self.before("erase", path)
        if os.path.islink(path) or os.path.isfile(path):
            os.unlink(path)
        elif os.path.lexists(path):
            # By rm(1): a container may have nested directories deeper than Python's recursion and PATH_MAX allow.
            command = ["rm", "-rf", "--one-file-system", "--", path]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                raise OSError(errno.ENOTEMPTY, (done.stderr.strip().splitlines() or ["rm failed"])[0], path)

    def flush(self, path: str) -> None:
        """Wait until all that was written to the file system of *path* is on disk (syncfs(2)): one call, however many
        files. It also reports an earlier write that failed late."""
        self.before("flush", path)
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(directory) < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(directory)


class Changes:
    """A sequence of undoable effects."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._inverses: list[Callable[[], None]] = []

    def undo(self) -> tuple[str, ...]:
        """Take everything back, last first; what went wrong on the way."""
        problems = []
        while self._inverses:
            inverse = self._inverses.pop()
            try:
                inverse()
            except Exception as error:
                problems.append(f"undo: {error}")
        return tuple(problems)

    def also_undo(self, inverse: Callable[[], None]) -> None:
        """Have `undo` call *inverse*: for an effect that was not made here."""
        self._inverses.append(inverse)

    def make_directories(self, path: str, mode: int = 0o755) -> None:
        """*path* with *mode*, and its missing parents; undo removes those that were made and are still empty."""
        if os.path.isdir(path):
            return
        self.make_directories(os.path.dirname(path))
        self._disk.make_directory(path, mode)
        self._inverses.append(lambda: self._disk.remove_directory(path))

    def new_directory(self, path: str) -> None:
        """An empty directory *path*, the owner's alone, in the place of whatever was there (debris); undo erases it
        with its content."""
        self._disk.erase(path)
        self._inverses.append(lambda: self._disk.erase(path))
        self._disk.make_directory(path, 0o700)

    def replace_file(self, path: str, text: str, mode: int) -> None:
        """*path* has *text* from one instant to the next."""
        old = _old_file(path)
        new = _beside(path)
        self._disk.erase(new)
        self._disk.write(new, text, mode)
        self._exchange(path, new)
        if old is not None:
            self._inverses.append(lambda: self._put_back(path, *old))
        else:
            self._inverses.append(lambda: self._disk.remove(path))

    def replace_link(self, path: str, target: str) -> None:
        """*path* is a link to *target* from one instant to the next."""
        old = os.readlink(path) if os.path.islink(path) else None
        new = _beside(path)
        self._disk.erase(new)
        self._disk.link(target, new)
        self._exchange(path, new)
        if old is not None:
            self._inverses.append(lambda: self._link_back(path, old))
        else:
            self._inverses.append(lambda: self._disk.remove(path))

    def remove(self, path: str) -> None:
        """No file or link *path*; missing is fine."""
        if os.path.islink(path):
            target = os.readlink(path)
            self._disk.remove(path)
            self._inverses.append(lambda: self._disk.link(target, path))
        elif (old := _old_file(path)) is not None:
            self._disk.remove(path)
            self._inverses.append(lambda: self._put_back(path, *old))

    def remove_if_empty(self, path: str) -> None:
        """No directory *path*, unless something is in it (someone else's); missing is fine."""
        try:
            self._disk.remove_directory(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            self._inverses.append(lambda: self._disk.make_directory(path))

    def rename(self, source: str, target: str) -> None:
        """Move *source* to *target*, which must not exist."""
        self._disk.rename(source, target)
        self._inverses.append(lambda: self._disk.rename(target, source))

    def _exchange(self, path: str, new: str) -> None:
        try:
            self._disk.rename(new, path)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(new)
            raise

    def _link_back(self, path: str, target: str) -> None:
        new = _beside(path)
        self._disk.erase(new)
        self._disk.link(target, new)
        self._disk.rename(new, path)

    def _put_back(self, path: str, text: str, mode: int) -> None:
        new = _beside(path)
        self._disk.erase(new)
        self._disk.write(new, text, mode)
        self._disk.rename(new, path)


def _beside(path: str) -> str:
    """A name in the same directory that systemd passes over (hidden)."""
    directory, name = os.path.split(path)
    return f"{directory}/.{name}.new"


def _old_file(path: str) -> tuple[str, int] | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(), os.fstat(file.fileno()).st_mode & 0o7777
    except FileNotFoundError:
        return None
