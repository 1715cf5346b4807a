"""Mount the container's root in a mount namespace of the calling process's own.

The namespace lives as long as the container does, so there is nothing to unmount and the host's mount table never sees
it. Called in the stub only. Uses mount(2), unshare(2) through ctypes: Python 3.11 has neither.
"""

from __future__ import annotations

import ctypes
import os
import stat

from supervisor.errors import HostError, UserError

_CLONE_NEWNS = 0x00020000
_RDONLY, _NODEV, _REMOUNT, _BIND, _REC, _SLAVE = 1, 4, 32, 4096, 16384, 1 << 19
_CGROUPS = "/sys/fs/cgroup"

#: Where every container gets mounts of the runtime's own making.
_GUARDED = ("dev", "proc", "sys")


def enter_namespace() -> None:
    """Give this process a mount namespace that follows the host's mounts and tells it nothing (rslave)."""
    _call(_libc().unshare(_CLONE_NEWNS), "unshare mount namespace")
    mount("none", "/", "", _REC | _SLAVE, "")


def mount_layers(
    layers: tuple[tuple[str, ...], ...], upper: str, fresh: bool, places: str, rootfs: str, label: str = ""
) -> None:
    """Mount *layers* (lowest first, see plan) as an overlay on *rootfs*, its writable layer in *upper*.

    *places*: a directory for the mount points of layers that are file systems themselves. *fresh*: the writable layer
    is thrown away afterwards, so nothing in it needs to reach the disk ('volatile'). *label*: the SELinux label of all
    that is in it.
    """
    lowers = []
    for number, (kind, path, *data) in enumerate(layers):
        lower = path
        if kind == "erofs":
            lower = f"{places}/{number}"
            os.mkdir(lower)
            mount(path, lower, "erofs", _RDONLY | _NODEV, f"device={data[0]}")
        # Short names: mount(2) takes one page of options, and 127 layers of 100 characters are three.
        lowers.append(f"/proc/self/fd/{os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}")
    options = "lowerdir=" + ":".join(reversed(lowers))
    if upper:
        options += f",upperdir={upper}/upper,workdir={upper}/work" + (",volatile" if fresh else "")
    elif len(lowers) == 1:
        mount(lowers[0], rootfs, "", _BIND, "")
        return
    if label:
        options += f',context="{label}"'
    mount("overlay", rootfs, "overlay", _NODEV, options)


def mount_directory(directory: str, rootfs: str) -> None:
    """Bind *directory* on *rootfs*, with what is mounted below it."""
    mount(directory, rootfs, "", _BIND | _REC, "")


def freeze_cgroups() -> None:
    """Make this process's view of the cgroup tree read-only, so that runc leaves the container in the scope."""
    mount("none", _CGROUPS, "", _REMOUNT | _BIND | _RDONLY, "")


def guard(rootfs: str) -> None:
    """Refuse a root in which a mount target of the runtime is a symbolic link or a file.

    crun 1.8.1 and runc 1.1.5 follow a ``/dev`` link out of the root (CVE-2026-47766, CVE-2026-41579).
    Raises `UserError`.
    """
    for name in _GUARDED:
        try:
            mode = os.lstat(f"{rootfs}/{name}").st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            target = os.readlink(f"{rootfs}/{name}")
            raise UserError(f"root file system: /{name} is a symbolic link to {target}; refused")
        if not stat.S_ISDIR(mode):
            raise UserError(f"root file system: /{name} is not a directory; refused")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    """mount(2). Raises `HostError` naming both ends."""
    code = _libc().mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(data)
    )
    _call(code, f"mount {kind or 'bind'} {source} on {target}")


def _call(code: int, doing: str) -> None:
    if code < 0:
        raise HostError(f"{doing}: {os.strerror(ctypes.get_errno())}")
