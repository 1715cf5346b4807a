"""The mounts that a container's image asks for, with VOLUME: directories that are no part of its layers. Pure.

As docker and podman have it. One that the definition does not mount anything on itself becomes a volume that nobody
named, filled with what the image has there; so it is writable where the root is not, and outlives a stop. A definition
owns these volumes: they go with it (`supervisor.deploy.removal`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from supervisor.render.mounts import READ_ONLY_TMPFS
from supervisor.spec.container import Container, ImageVolumes, Mount, MountType
from supervisor.spec.image import Image, ImageConfig
from supervisor.spec.volumes import anonymous

#: File systems of the kernel, which confine the container: no image may put something of its own in their place, though
#: podman lets it.
_KERNEL = ("/dev", "/proc", "/sys")


def completed(container: Container, image: Image | None) -> Container:
    """*container* with what its *image* asks for."""
    added = image_volumes(container, image.config) if image else ()
    return replace(container, mounts=(*container.mounts, *added)) if added else container


def image_volumes(container: Container, image: ImageConfig) -> tuple[Mount, ...]:
    """What *image* asks for and *container* does not mount itself, on the same target. A relative path begins at the
    root, '..' at most leads there, as in podman; the root itself is left out."""
    if container.image_volumes is ImageVolumes.IGNORE:
        return ()
    taken = {_clean(target) for target in _taken(container)}
    targets = (_clean(path) for path in image.volumes)
    wanted = (t for t in dict.fromkeys(targets) if t not in taken and not f"{t}/".startswith(_below(_KERNEL)))
    return tuple(_mount(container, target) for target in wanted if target != "/")


def _taken(container: Container) -> Iterator[str]:
    yield from (mount.target for mount in container.mounts)
    yield from (secret.target for secret in container.secrets if not secret.as_environment)
    if container.read_only and container.read_only_tmpfs:
        yield from READ_ONLY_TMPFS  # in podman on top of the image's volume, which nobody sees


def _mount(container: Container, target: str) -> Mount:
    if container.image_volumes is ImageVolumes.TMPFS:
        return Mount(MountType.TMPFS, target, options=("notmpcopyup",))  # podman leaves it empty
    return Mount(MountType.VOLUME, target, anonymous(container.name, target))


def _clean(path: str) -> str:
    return posixpath.normpath(f"/{path.lstrip('/')}")


def _below(directories: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{directory}/" for directory in directories)
