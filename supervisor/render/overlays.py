"""Which overlays the launcher makes for a container beside its root: of images, and over sources that are to stay as
they are (``Volume=…:O``). Pure.

podman: an image mount is read-only or its changes go with the container; what is written over a source with ``O`` goes
when the container stops, unless upperdir= and workdir= say where it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import mounts, userns
from supervisor.render.facts import HostFacts, StoredImage
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.volume import Volume


def plan_lines(
    container: Container, known: Mapping[str, Volume], facts: HostFacts, layout: Layout
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keys and columns for the plan. *known*: volumes that somebody defined. Raises `UserError` for an image that is
    not there.

    overlay=PLACE UPPER WORK SHIFTED           is made when it is needed; without WORK its upper directory is emptied
    lower=PLACE KIND PATH DATA                 what it lies over, lowest first, as in `supervisor.render.plan`; or
                                               'shifted', a directory that shows DATA with other numbers
    scratch=DIRECTORY                          removed when the container has ended
    """
    scratch = f"{layout.container(container.name)}/scratch"
    is_scratch_used = False
    for number, mount in enumerate(container.mounts):
        if place := place_of_content(number, container, known, layout):
            yield "overlay", (place, "", "", "1" if userns.is_shifted(container) else "")
            yield from _layers(place, known[mount.source].image, facts)
        if not mounts.is_overlaid(mount):
            continue
        place = mounts.overlay_place(number, container, layout)
        upper, work = _upper(mount, f"{scratch}/{number}")
        is_scratch_used = is_scratch_used or bool(upper and not work)
        shifted = userns.is_shifted(container) and mount.type is not MountType.BIND
        yield "overlay", (place, upper, work, "1" if shifted and not work else "")
        if mount.type is MountType.IMAGE:
            yield from _layers(place, mount.source, facts)
        elif userns.is_idmapped(mount, container):
            on_disk = mounts.source_on_host(mount, layout)
            yield "lower", (place, "shifted", mounts.content(number, container, layout), on_disk)
        else:
            yield "lower", (place, "directory", mounts.source_on_host(mount, layout))
    if is_scratch_used:
        yield "scratch", (scratch,)


def place_of_content(number: int, container: Container, known: Mapping[str, Volume], layout: Layout) -> str:
    """Where the image is mounted whose files the volume of mount *number* starts with; '' when that is the container's
    own."""
    mount = container.mounts[number]
    is_copied = mount.type is MountType.VOLUME and _image(mount, known)
    return f"{mounts.overlay_place(number, container, layout)}.image" if is_copied else ""


def images(container: Container, known: Mapping[str, Volume]) -> tuple[str, ...]:
    """References of the images that *container* mounts, each once."""
    return tuple(dict.fromkeys(image for mount in container.mounts if (image := _image(mount, known))))


def image_ids(container: Container, known: Mapping[str, Volume], facts: HostFacts) -> tuple[str, ...]:
    """Ids of the same. Raises `UserError` for one that is not there."""
    return tuple(dict.fromkeys(_stored(image, facts).id for image in images(container, known)))


def _layers(place: str, image: str, facts: HostFacts) -> Iterator[tuple[str, tuple[str, ...]]]:
    for layer in _stored(image, facts).layers:
        yield "lower", (place, layer.kind, layer.path, layer.data)


def _stored(image: str, facts: HostFacts) -> StoredImage:
    for found in facts.images:
        if found.reference == image:
            return found
    text = f"image {image}: is to be mounted, and not here; get it with 'ctrctl pull {image}'"
    raise UserError(text).asked_by("Mount Volume", image)


def _image(mount: Mount, known: Mapping[str, Volume]) -> str:
    if mount.type is MountType.IMAGE:
        return mount.source
    volume = known.get(mount.source) if mount.type is MountType.VOLUME else None
    return volume.image if volume else ""


def _upper(mount: Mount, scratch: str) -> tuple[str, str]:
    """Upper and working directory: none, ours, or the author's."""
    given = dict(option.split("=", 1) for option in mount.options if option.startswith(("upperdir=", "workdir=")))
    if given:
        return given["upperdir"], given["workdir"]
    is_written = "O" in mount.options if mount.type is not MountType.IMAGE else "rw" in mount.options
    return (scratch if is_written else ""), ""
