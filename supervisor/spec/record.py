"""What deploy remembers of one container beside its spec: deployed.json."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.spec.container import Mount
from supervisor.spec.network import Lease, PublishedPort
from supervisor.spec.userns import IdMaps


@dataclass(frozen=True, slots=True)
class Record:
    """One deployed container. Absolute paths."""

    origin: str
    """`Container.source`."""
    image: str = ""
    """Image id; empty with Rootfs=."""
    links: tuple[tuple[str, str], ...] = ()
    """Path and target of the links that were made for its [Install]."""
    units: tuple[str, ...] = ()
    """Unit files and drop-ins that were written for it."""
    leases: tuple[Lease, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    """As published: every host port is known."""
    id_maps: IdMaps | None = None
    """Of a user namespace of its own."""
    mounted_images: tuple[str, ...] = ()
    """Ids of the images that are mounted in it."""
    image_volumes: tuple[Mount, ...] = ()
    """The mounts that its image asks for, behind `Container.mounts`."""
