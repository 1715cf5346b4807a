"""What the further names of images (``ImageTag=``) were fetched from: a name says nothing about that, and when the
definition says something else, or another image lies in the file, it has to be fetched again.

    /var/lib/ctr/images/fetched.json    one entry for each name that is still the image's
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from supervisor.errors import NotFoundError
from supervisor.images import work
from supervisor.images.reference import normalize
from supervisor.images.store import Store
from supervisor.paths import Layout
from supervisor.spec.image import Image

#: What is written last, or holds all, of the images in directories.
_IN_DIRECTORY = ("index.json", "manifest.json")


@dataclass(frozen=True, slots=True)
class Fetched:
    """One further name."""

    name: str
    reference: str
    """What was fetched."""
    image: str
    """Its id."""
    facts: tuple[int, ...] = ()
    """As `facts` of the file it was in."""


@dataclass(frozen=True, slots=True)
class _Entries:
    entries: tuple[Fetched, ...] = ()


def facts(reference: str) -> tuple[int, ...]:
    """Size and time of change of the file in which *reference* lies; nothing for what is not in a file, or is gone."""
    _, _, rest = reference.partition(":/")
    if not is_file(reference):
        return ()
    # TRANSPORT:PATH[:NAME]
    path = f"/{rest.partition(':')[0]}"
    for name in (*(f"{path}/{name}" for name in _IN_DIRECTORY), path):
        try:
            status = os.stat(name)
        except OSError:
            continue
        return (status.st_size, status.st_mtime_ns)
    return ()


def is_file(reference: str) -> bool:
    """Whether it lies in a file, not in a registry."""
    return reference.startswith(("oci:/", "oci-archive:/", "docker-archive:/", "dir:/"))


def remember(layout: Layout, made: Fetched) -> None:
    """Keep *made*, and forget what has become of others."""
    store = Store(layout)
    kept = (one for one in _read(layout) if one.name != made.name and _id(store, one.name) == one.image)
    work.write(_path(layout), _Entries((*kept, made)))


def is_from(layout: Layout, name: str, reference: str, image: Image) -> bool:
    """Whether *image*, which has the further *name*, is what fetching *reference* gave. The file may be gone since."""
    now = facts(reference)
    for one in _read(layout):
        if one.name == name and one.image == image.id:
            return one.reference == reference and (not now or one.facts == now)
    # Fetched by an older ctr, or by hand.
    return not is_file(reference) and normalize(reference) in image.names


def _id(store: Store, name: str) -> str:
    try:
        return store.find(name).id
    except NotFoundError:
        return ""


def _path(layout: Layout) -> str:
    return f"{layout.images}/fetched.json"


def _read(layout: Layout) -> tuple[Fetched, ...]:
    return (work.read(_Entries, _path(layout)) or _Entries()).entries
