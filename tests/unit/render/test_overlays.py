"""What the launcher is told of images and overlays, and what the runtime then mounts."""

from __future__ import annotations

import dataclasses

import pytest

from supervisor.errors import UserError
from supervisor.launcher.plan import Plan
from supervisor.paths import Layout
from supervisor.render import oci, overlays, plan
from supervisor.render.facts import StoredImage
from supervisor.render.mounts import bind_sources
from supervisor.render.users import Accounts
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.image import Layer
from supervisor.spec.userns import IdMaps, IdRange, UserNamespace
from supervisor.spec.volume import Volume
from tests.unit.render.sample import FACTS, IMAGE, container

LOW, HIGH = Layer("directory", "/images/low"), Layer("erofs", "/images/high.erofs", "/images/high.tar")
STORED = StoredImage("files", "sha256:f", (LOW, HIGH))
HOST = dataclasses.replace(FACTS, images=(STORED,))
STATE, RUN = "/var/lib/ctr", "/run/ctr/containers/web"
MAPS = IdMaps((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),))


def planned(one: Container, known: tuple[Volume, ...] = (), maps: IdMaps | None = None) -> Plan:
    volumes = {volume.name: volume for volume in known}
    return Plan(plan.text(one, IMAGE, (LOW,), HOST, Layout(), Accounts(), volumes, maps))


def mounted(one: Container, target: str) -> tuple[str, set[str]]:
    """Source and options in config.json."""
    found = oci.config(one, IMAGE, Accounts(), HOST, Layout())["mounts"]
    (mount,) = (m for m in found if m["destination"] == target)
    return mount["source"], set(mount["options"])


def test_an_image() -> None:
    """Its layers lowest first, no upper directory; the runtime binds the place, read-only."""
    one = container(mounts=(Mount(MountType.IMAGE, "/m", "files"),))
    found = planned(one)
    place = f"{RUN}/overlays/0"
    assert found.overlays == ((place, "", "", ""),)
    assert found.lowers == ((place, "directory", LOW.path, ""), (place, "erofs", HIGH.path, HIGH.data))
    assert found.scratch == "" and found.mounts == ((place, "/m", "", ""),)
    source, options = mounted(one, "/m")
    assert source == place and {"ro", "nosuid", "nodev"} <= options and "rw" not in options
    assert overlays.image_ids(one, {}, HOST) == ("sha256:f",)


def test_a_writable_image_and_a_part_of_one() -> None:
    """Changes go to a directory that is removed; a part is found by the launcher, not by the runtime."""
    image = Mount(MountType.IMAGE, "/m", "files", ("rw", "subpath=a/b"))
    one = container(mounts=(image,))
    found = planned(one)
    scratch = f"{STATE}/containers/web/scratch"
    assert found.overlays == ((f"{RUN}/overlays/0", f"{scratch}/0", "", ""),) and found.scratch == scratch
    assert found.subpaths == ((f"{RUN}/overlays/0", "a/b", f"{RUN}/subpaths/0"),)
    source, options = mounted(one, "/m")
    assert source == f"{RUN}/subpaths/0" and "rw" in options


def test_an_image_that_is_not_there() -> None:
    """With what gets it."""
    one = container(mounts=(Mount(MountType.IMAGE, "/m", "nosuch"),))
    with pytest.raises(UserError, match="image nosuch: is to be mounted, and not here; get it with 'ctrctl pull"):
        planned(one)


def test_an_overlay_over_a_path() -> None:
    """The source is what it lies over; with upperdir= it is kept, and has to be mounted on the host before."""
    thrown = container(mounts=(Mount(MountType.BIND, "/m", "/srv", ("O", "noexec")),))
    place = f"{RUN}/overlays/0"
    found = planned(thrown)
    assert found.overlays == ((place, f"{STATE}/containers/web/scratch/0", "", ""),)
    assert found.lowers == ((place, "directory", "/srv", ""),)
    source, options = mounted(thrown, "/m")
    assert source == place and "noexec" in options and "O" not in options
    kept = container(mounts=(Mount(MountType.BIND, "/m", "/srv", ("O", "upperdir=/u", "workdir=/w")),))
    found = planned(kept)
    assert found.overlays == ((place, "/u", "/w", ""),) and found.scratch == ""
    assert bind_sources(kept) == ("/srv", "/u", "/w")
    assert not [option for option in mounted(kept, "/m")[1] if "dir=" in option]


def test_an_overlay_over_a_volume() -> None:
    """The volume itself is made and filled first."""
    found = planned(container(mounts=(Mount(MountType.VOLUME, "/m", "data", ("O",)),)))
    assert found.lowers == ((f"{RUN}/overlays/0", "directory", f"{STATE}/volumes/data", ""),)
    assert [(directory, target) for directory, _, target, *_ in found.copy_ups] == [(f"{STATE}/volumes/data", "/m")]


def test_with_users_of_its_own() -> None:
    """Images and volumes show the container's users; a path of the host only its own."""
    given = (
        Mount(MountType.IMAGE, "/a", "files"),
        Mount(MountType.VOLUME, "/b", "data", ("O",)),
        Mount(MountType.BIND, "/c", "/srv", ("O",)),
    )
    found = planned(container(mounts=given, user_namespace=UserNamespace()), maps=MAPS)
    assert [shifted for _, _, _, shifted in found.overlays] == ["1", "1", ""]
    assert found.idmaps == ((f"{STATE}/volumes/data", f"{RUN}/idmaps/1"),)
    place = f"{RUN}/overlays/1"
    assert (place, "shifted", f"{RUN}/idmaps/1", f"{STATE}/volumes/data") in found.lowers


def test_a_volume_that_starts_as_an_image() -> None:
    """It is filled from that, wherever it is mounted, and mounted itself."""
    known = (Volume("site", "", image="files"),)
    one = container(mounts=(Mount(MountType.VOLUME, "/m", "site", ("nocopy",)),))
    found = planned(one, known)
    ((directory, _, target, _, image),) = found.copy_ups
    assert (directory, target, image) == (f"{STATE}/volumes/site", "/", f"{RUN}/overlays/0.image")
    assert [lower[1] for lower in found.lowers] == ["directory", "erofs"]
    assert mounted(one, "/m")[0] == f"{STATE}/volumes/site"
    assert overlays.images(one, {"site": known[0]}) == ("files",)


@pytest.mark.parametrize("option", ["O", "subpath=a"])
def test_a_volume_that_starts_as_an_image_whoever_comes_first(option: str) -> None:
    """Who mounts a part of it, or an overlay over it, fills it from that image too: never from the container's own."""
    one = container(mounts=(Mount(MountType.VOLUME, "/m", "site", (option,)),))
    found = planned(one, (Volume("site", "", image="files"),))
    ((directory, _, target, _, image),) = found.copy_ups
    assert (directory, target, image) == (f"{STATE}/volumes/site", "/", f"{RUN}/overlays/0.image")
    assert [lower[2] for lower in found.lowers if lower[0] == image] == [LOW.path, HIGH.path]
    others = [lower[2] for lower in found.lowers if lower[0] != image]
    assert others == ([f"{STATE}/volumes/site"] if option == "O" else [])
    assert len(found.subpaths) == (option != "O")


def test_kinds_without_a_source() -> None:
    """The runtime makes them, and nothing is checked or labelled."""
    given = (
        Mount(MountType.RAMFS, "/r", "", ("mode=700",)),
        Mount(MountType.DEVPTS, "/dev/pts", "", ("uid=5",)),
        Mount(MountType.TMPFS, "/t", "", ("noswap",)),
    )
    one = container(mounts=given)
    assert planned(one).mounts == ()
    assert mounted(one, "/r") == ("ramfs", {"mode=700", "nosuid", "nodev"})
    assert mounted(one, "/dev/pts") == ("devpts", {"uid=5", "nosuid", "noexec"})
    assert "noswap" in mounted(one, "/t")[1]
    with pytest.raises(UserError, match=r"'noswap' needs Linux 6\.4"):
        oci.config(one, IMAGE, Accounts(), dataclasses.replace(HOST, kernel=(6, 1)), Layout())


def test_a_directory_as_root_that_stays_as_it_is() -> None:
    """It is the one layer of an overlay."""
    one = container(image=None, rootfs="/srv/root", rootfs_overlay=True)
    found = Plan(plan.text(one, None, (), HOST, Layout()))
    assert (found.directory, found.layers) == ("", (("directory", "/srv/root"),))
    assert found.upper and found.fresh
