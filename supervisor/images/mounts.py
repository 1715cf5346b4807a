"""mount(2) and its kin for the store's writer: can this kernel mount EROFS layers, and what do an image's account files
say.

Every function that mounts needs CAP_SYS_ADMIN and a process that has called `isolate`: mounts then live in a
namespace that dies with the process, so a kill leaves none behind. Decides nothing about the store.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any

from supervisor.errors import HostError, UserError
from supervisor.images import confined
from supervisor.spec.image import Layer

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_SLAVE = 16384, 1 << 19
_MNT_DETACH = 2

#: Longest /etc/passwd or /etc/group that is read.
_MAX_ACCOUNTS = 1 << 20


def isolate() -> None:
    """Give this process (call it before there are threads) a mount namespace of its own. Raises `HostError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise HostError(f"private mount namespace: {os.strerror(ctypes.get_errno())}; storing images needs root")
    _mount("none", "/", "", _MS_REC | _MS_SLAVE, "")


@contextlib.contextmanager
def mounted(layers: Sequence[Layer], scratch: str) -> Iterator[str]:
    """The read-only root that *layers* (lowest first) make together, mounted below the empty directory *scratch*.

    Raises `HostError` with the kernel's reason.
    """
    undo: list[str] = []
    try:
        for number, layer in enumerate(layers):
            point = f"{scratch}/{number}"
            if layer.kind == "erofs":
                os.mkdir(point)
                _mount(layer.path, point, "erofs", _PLAIN, f"device={layer.data}")
                undo.append(point)
            else:
                os.symlink(layer.path, point)
        root = f"{scratch}/root"
        os.mkdir(root)
        # Two lower layers are the least overlayfs takes without an upper one; an empty one changes nothing.
        os.mkdir(f"{scratch}/empty")
        order = [*(f"{n}" for n in reversed(range(len(layers)))), "empty", *(() if layers else ("root",))]
        before = os.open(".", os.O_PATH | os.O_CLOEXEC)
        try:
            os.chdir(scratch)  # short relative names: the options of mount(2) have to fit into one page
            _mount("overlay", root, "overlay", _PLAIN, "lowerdir=" + ":".join(order))
        finally:
            os.fchdir(before)
            os.close(before)
        undo.append(root)
        yield root
    finally:
        for point in reversed(undo):
            _unmount(point)


_PLAIN = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC


def can_mount(layer: Layer, scratch: str) -> bool:
    """Whether the kernel mounts *layer*, found out by doing it."""
    try:
        with mounted((layer,), scratch):
            return True
    except HostError:
        return False


def read_text(root: str, path: str) -> str:
    """Text of *path* inside *root*, links followed inside *root* only; '' when it is missing, no plain file or too
    big.
    """
    directory = confined.open_directory(root)
    try:
        descriptor = confined.open_in_root(directory, path)
    except (OSError, UserError):
        return ""
    finally:
        os.close(directory)
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > _MAX_ACCOUNTS:
            return ""
        return file.read(_MAX_ACCOUNTS).decode("utf-8", "replace")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(w) for w in (source, target, kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        code = ctypes.get_errno()
        name = errno.errorcode.get(code, str(code))
        raise HostError(f"{source}: mounting as {kind or 'propagation'} on {target}: {os.strerror(code)} ({name})")


def _unmount(target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(target), _MNT_DETACH)
