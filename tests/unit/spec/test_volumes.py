"""Volumes that nobody named."""

from __future__ import annotations

from supervisor.definitions.mounts import Place, volume
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.volumes import anonymous, anonymous_volumes


def test_only_volumes_without_a_name_of_their_own_are_anonymous() -> None:
    """A name that a person gave, another container's volume, and a path are not."""
    made = anonymous("web", "/a")
    mounts = (
        Mount(MountType.VOLUME, "/a", made),
        Mount(MountType.VOLUME, "/b", "web-0123456789ab"),
        Mount(MountType.VOLUME, "/c", anonymous("db", "/c")),
        Mount(MountType.BIND, "/d", f"/srv/{made}"),
        Mount(MountType.TMPFS, "/e"),
    )
    assert anonymous_volumes(Container(name="web", source="test", image="x", mounts=mounts)) == {made}


def test_definitions_make_them() -> None:
    """A mount without a source gets a volume that is recognized as anonymous."""
    made = volume("/data", Place("/", "web")).mount
    assert anonymous_volumes(Container(name="web", source="test", image="x", mounts=(made,))) == {made.source}
