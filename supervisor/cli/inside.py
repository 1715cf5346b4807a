"""A container's file system from outside: paths are resolved in its root, as if chroot(2) had been called.

Uses openat2(2) with RESOLVE_IN_ROOT on a directory descriptor, so a symbolic link, ``..`` or a rename by a hostile
container never leads to a file of the host, and nothing of the container is executed or imported by us. Opens files and
directories; what is done with them is the caller's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from supervisor.errors import NotFoundError, UserError

_OPENAT2 = 437  # one number on every architecture (include/uapi/asm-generic/unistd.h)
_RESOLVE_IN_ROOT = 0x10
#: struct open_how: flags, mode, resolve.
_HOW = struct.Struct("QQQ")
_TRIES = 100
_MOST = 1 << 20


class Inside:
    """The root of a running container, as seen by the process *pid* in it, mounts and all; a context manager."""

    def __init__(self, pid: int) -> None:
        try:
            self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"process {pid}: gone; the container has just stopped") from error

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """A descriptor for *path*, resolved from the container's root. *flags* and *mode* as in open(2).

        Raises OSError, with *path* as its file name.
        """
        how = _HOW.pack(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT)
        libc = ctypes.CDLL(None, use_errno=True)
        name = os.fsencode(path.lstrip("/") or ".")
        for _ in range(_TRIES):
            fd: int = libc.syscall(ctypes.c_long(_OPENAT2), self._root, name, how, ctypes.c_size_t(_HOW.size))
            if fd >= 0:
                return fd
            # EAGAIN: something was renamed during the walk, so the kernel could not be sure (openat2(2)).
            if ctypes.get_errno() != errno.EAGAIN:
                break
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)

    def open_file(self, path: str) -> int:
        """A descriptor to read the regular file at *path*. Raises `UserError` for any other kind: opening a FIFO would
        keep us waiting, opening a device may already do something."""
        place = self.open(path, os.O_PATH)
        try:
            return reopen_file(place, path)
        finally:
            os.close(place)

    def read_text(self, path: str) -> str:
        """The text of the small regular file at *path*; empty when there is none."""
        try:
            fd = self.open_file(path)
        except FileNotFoundError:
            return ""
        with open(fd, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST)


def reopen_file(place: int, path: str) -> int:
    """A descriptor to read the file that the O_PATH descriptor *place* stands for; *path* is for the message."""
    if not stat.S_ISREG(os.fstat(place).st_mode):
        raise UserError(f"{path} in the container: not a regular file; it cannot be read")
    return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
