"""What a container's mounts need of this host before they can be rendered: images of the store, and paths that match a
pattern. Reads only."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace

from supervisor.deploy.ground import Images
from supervisor.errors import NotFoundError, UserError
from supervisor.render import masking, overlays
from supervisor.render.facts import StoredImage
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.volume import Volume

_SPECIAL = frozenset("*?[\\")


def references(containers: Iterable[Container]) -> tuple[str, ...]:
    """The images that *containers* run and mount, as written, each once."""
    found: list[str] = []
    for container in containers:
        found += [container.image] if container.image is not None else []
        found += [mount.source for mount in container.mounts if mount.type is MountType.IMAGE]
    return tuple(dict.fromkeys(found))


def stored_images(
    containers: Iterable[Container], volumes: Mapping[str, Volume], store: Images
) -> tuple[StoredImage, ...]:
    """Of the images that *containers* mount and that are there; rendering says which are missing."""
    found = []
    for reference in dict.fromkeys(text for container in containers for text in overlays.images(container, volumes)):
        try:
            image = store.find(reference)
            found.append(StoredImage(reference, image.id, store.layers(image)))
        except NotFoundError:
            continue
    return tuple(found)


def expanded(container: Container) -> Container:
    """*container* with a bind mount for each path that a pattern of its mounts matches now (podman-run(1) --mount
    type=glob). Raises `UserError` when there is none, or one's place is taken."""
    if all(mount.type is not MountType.GLOB for mount in container.mounts):
        return container
    found: dict[str, Mount] = {}
    for mount in container.mounts:
        for one in _matching(mount) if mount.type is MountType.GLOB else (mount,):
            if one.target in found:
                text = f"mount {one.target}: given twice, once by a pattern; keep one"
                raise UserError(text).asked_by("Mount Volume Tmpfs", one.target)
            found[one.target] = one
    return replace(container, mounts=tuple(found.values()))


def _matching(mount: Mount) -> tuple[Mount, ...]:
    paths = _paths(mount.source)
    if not paths:
        text = f"mount {mount.source}: no path of the host matches; make one, or correct the pattern"
        raise UserError(text).asked_by("Mount", mount.source)
    return tuple(
        replace(
            mount,
            type=MountType.BIND,
            source=path,
            target=posixpath.join(mount.target, posixpath.basename(path)) if mount.target else path,
        )
        for path in paths
    )


def _paths(pattern: str) -> tuple[str, ...]:
    """What *pattern* matches, sorted: each part by Go's rules (filepath.Glob), by which '*' takes hidden files too."""
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        if _SPECIAL.isdisjoint(part):
            found = [path for where in found if os.path.lexists(path := posixpath.join(where, part))]
        else:
            found = [posixpath.join(where, name) for where in found for name in _names(where, part)]
    return tuple(sorted(found))


def _names(directory: str, pattern: str) -> tuple[str, ...]:
    try:
        return tuple(name for name in os.listdir(directory) if masking.matches(pattern, name))
    except OSError:
        return ()
