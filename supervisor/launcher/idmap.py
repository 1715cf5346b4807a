"""Mounts that show the files' owners as a user namespace has them (mount_setattr(2), MOUNT_ATTR_IDMAP).

Only containers with a user namespace import this. What is on disk keeps the numbers that the container knows, so a
container that is given another range of the host's numbers still owns its files.
"""

from __future__ import annotations

import ctypes
import os

from supervisor.errors import HostError

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE, _RECURSIVE, _EMPTY_PATH = 1, 0x8000, 0x1000
_IDMAP = 0x00100000
_MOVE_EMPTY_PATH = 4
_AT_FDCWD = -100


def mount(source: str, target: str, user_namespace: str, *, recursive: bool = False) -> None:
    """Bind *source* on *target*, its owners mapped as in the user namespace bound at *user_namespace*.

    *recursive*: with what is mounted below it, whose owners stay as they are.

    Raises `HostError`, among others for a file system that cannot (NFS, or a kernel before its support).
    """
    namespace = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = _CLONE | os.O_CLOEXEC | (_RECURSIVE if recursive else 0)
        tree = _call(f"{source}: open_tree", _OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
        try:
            attributes = (ctypes.c_uint64 * 4)(_IDMAP, 0, 0, namespace)
            doing = f"{source}: its file system does not map users; use another one, or UserNS=keep-id"
            _call(doing, _MOUNT_SETATTR, tree, b"", _EMPTY_PATH, ctypes.byref(attributes), ctypes.c_size_t(32))
            target_name = os.fsencode(target)
            _call(f"{target}: move_mount", _MOVE_MOUNT, tree, b"", _AT_FDCWD, target_name, _MOVE_EMPTY_PATH)
        finally:
            os.close(tree)
    finally:
        os.close(namespace)


def _call(doing: str, number: int, *arguments: object) -> int:
    """syscall(2); *doing* is what an error begins with."""
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise HostError(f"{doing}: {os.strerror(ctypes.get_errno())}")
    return int(result)
