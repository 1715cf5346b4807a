"""Opens files that a stranger may have put in place: below one directory and nowhere else, and regular files only.

A link, a rename, a fifo or a device never leads to another file of the host, nor keeps us waiting. Reads nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from supervisor.errors import UserError

_SYS_OPENAT2 = 437  # one number on every architecture (include/uapi/asm-generic/unistd.h)
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH, _RESOLVE_IN_ROOT = 0x02, 0x08, 0x10
#: Not blocking: a fifo would hold us for ever.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_TRIES = 100


def open_directory(path: str) -> int:
    """A descriptor from which `open_in_root` and `open_beneath` search. Raises OSError."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_in_root(root: int, path: str) -> int:
    """A descriptor to read *path*, searched as if the directory *root* were ``/``. Raises OSError, `UserError`."""
    return _regular(_openat2(root, path, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS), path)


def open_beneath(directory: int, path: str) -> int:
    """A descriptor to read *path*, which must not leave *directory*, links included. Raises OSError, `UserError`."""
    try:
        return _regular(_openat2(directory, path, _RESOLVE_BENEATH), path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise UserError(f"{path}: leads out of the directory; make a copy with its links followed: cp -rL") from error


def open_named(path: str) -> int:
    """A descriptor to read *path*, wherever it leads. Raises OSError, `UserError`."""
    return _regular(os.open(path, _FLAGS), path)


def reopen(descriptor: int) -> int:
    """A descriptor to read the same file with a position of its own, whatever its name leads to by now."""
    return os.open(f"/proc/self/fd/{descriptor}", _FLAGS)


def _regular(descriptor: int, path: str) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise UserError(f"{path}: is not a regular file")


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _openat2(directory: int, path: str, resolve: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    how, size = _OpenHow(_FLAGS, 0, resolve), ctypes.c_size_t(ctypes.sizeof(_OpenHow))
    for _ in range(_TRIES):
        call = libc.syscall(ctypes.c_long(_SYS_OPENAT2), directory, os.fsencode(path), ctypes.byref(how), size)
        if call >= 0:
            return int(call)
        # EAGAIN: something was renamed during the walk, so the kernel could not be sure (openat2(2)).
        if ctypes.get_errno() != errno.EAGAIN:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
