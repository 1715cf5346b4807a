"""Mounts of images, and of directories whose changes are thrown away: overlays (overlayfs, kernel documentation).

Called in the stub, in the mount namespace of the container's root; imported only by a start that has such mounts. They
are made at places of ours, from where the runtime binds them.
"""

from __future__ import annotations

import os
import stat

from supervisor.errors import UserError
from supervisor.launcher import programs, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.launcher.plan import Plan

_NODEV = 4


def prepare(plan: Plan, place: str) -> None:
    """Mount what the plan says of *place*. Raises `UserError` for a directory that is not there, `HostError`, OSError.

    An overlay without an upper directory is read-only; without a working directory its upper one starts empty.
    """
    upper, work, shifted = next(overlay[1:] for overlay in plan.overlays if overlay[0] == place)
    layers = tuple(tuple(filter(None, lower[1:])) for lower in plan.lowers if lower[0] == place)
    os.makedirs(place, 0o755, exist_ok=True)
    if work:
        _mount_kept(layers[0][1], upper, work, place)
        return
    if upper:
        _clear(upper, layers)
    _mount(layers, upper, plan, place, shifted=bool(shifted))


def _mount(layers: tuple[tuple[str, ...], ...], upper: str, plan: Plan, place: str, *, shifted: bool) -> None:
    parts = f"{place}.layers"
    os.makedirs(parts, 0o755, exist_ok=True)
    if shifted:
        from supervisor.launcher import users

        users.mount_layers(layers, upper, plan.users, parts, place, plan.label, fresh=True)
    else:
        rootfs.mount_layers(layers, upper, True, parts, place, plan.label)


def _mount_kept(lower: str, upper: str, work: str, place: str) -> None:
    """As podman does with upperdir= and workdir=: both are there already."""
    opened = [_directory(path) for path in (lower, upper, work)]
    # By number: their names may hold commas and colons.
    words = (f"{name}=/proc/self/fd/{fd}" for name, fd in zip(("lowerdir", "upperdir", "workdir"), opened, strict=True))
    rootfs.mount("overlay", place, "overlay", _NODEV, ",".join(words))
    for fd in opened:
        os.close(fd)


def _clear(directory: str, layers: tuple[tuple[str, ...], ...]) -> None:
    """Have *directory* hold empty upper/ and work/. The root of an overlay is its upper directory's, so that has to
    look like the one below."""
    programs.remove_trees(directory)
    for part in ("upper", "work"):
        os.makedirs(f"{directory}/{part}", 0o755)
    kind, *paths = layers[-1]
    if kind != "erofs":
        opened = _directory(paths[-1])
        status = os.fstat(opened)
        os.close(opened)
        os.chown(f"{directory}/upper", status.st_uid, status.st_gid)
        os.chmod(f"{directory}/upper", stat.S_IMODE(status.st_mode))


def _directory(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"overlay: {path}: {(error.strerror or str(error)).lower()}; make the directory") from error
