"""Volume=, Tmpfs= and Mount= mean what podman-run(1) says, or are refused."""

from __future__ import annotations

import dataclasses

import pytest

from supervisor.definitions.mounts import Place, mount, rootfs, tmpfs, volume
from supervisor.errors import UserError
from supervisor.names import is_name
from supervisor.spec.container import Mount, MountType

PLACE = Place("/etc/ctr", "web")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv:/data", Mount(MountType.BIND, "/data", "/srv")),
        ("/srv/:/data/:ro,rslave", Mount(MountType.BIND, "/data", "/srv", ("ro", "rslave"))),
        ("./a/../b:/data", Mount(MountType.BIND, "/data", "/etc/ctr/b")),
        ("../b:/data:rbind", Mount(MountType.BIND, "/data", "/etc/b", ("rbind",))),
        (".:/data", Mount(MountType.BIND, "/data", "/etc/ctr")),
        ("data:/data", Mount(MountType.VOLUME, "/data", "data")),
        ("data:/data:nocopy,noexec,rw", Mount(MountType.VOLUME, "/data", "data", ("nocopy", "noexec", "rw"))),
        ("data:/data:U,copy,Z", Mount(MountType.VOLUME, "/data", "data", ("U", "copy", "Z"))),
        ("/srv:/data:U,z,slave", Mount(MountType.BIND, "/data", "/srv", ("U", "z", "slave"))),
        ("/srv:/data:O", Mount(MountType.BIND, "/data", "/srv", ("O",))),
        ("data:/data:O,z", Mount(MountType.VOLUME, "/data", "data", ("O", "z"))),
        (
            "/srv:/data:O,upperdir=/a/../u,workdir=/w",
            Mount(MountType.BIND, "/data", "/srv", ("O", "upperdir=/u", "workdir=/w")),
        ),
        ("/srv:/data:idmap", Mount(MountType.BIND, "/data", "/srv", ("idmap",))),
    ],
)
def test_volume(text: str, expected: Mount) -> None:
    """A source with '/' or '.' in front is a host path, any other the name of a volume."""
    assert volume(text, PLACE).mount == expected
    assert volume(text, PLACE).warnings == ()


def test_an_unnamed_volume_has_a_stable_name_and_a_warning() -> None:
    """The name depends on the container and the target, is valid for long container names too, and is told."""
    one, other = volume("/data", PLACE), volume("/data/", dataclasses.replace(PLACE, container="w" * 128))
    assert one.mount == volume("/data", PLACE).mount
    assert one.mount.type is MountType.VOLUME and one.mount.source.startswith("web-")
    assert one.mount.source != volume("/data2", PLACE).mount.source
    assert is_name(other.mount.source)
    assert one.mount.source in one.warnings[0]
    # Two names that differ only where they are cut off do not share a volume.
    assert other.mount.source != volume("/data", dataclasses.replace(PLACE, container="w" * 127)).mount.source


def test_relabelling_depends_on_the_host() -> None:
    """So z and Z are kept, and rendering, which knows the host, makes something of them or nothing."""
    for place in (PLACE, dataclasses.replace(PLACE, selinux=True)):
        found = volume("/srv:/data:Z,ro", place)
        assert (found.mount.options, found.warnings) == (("Z", "ro"), ())


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("", "begin it with '/'"),
        (":/data", "TARGET alone"),
        ("/srv:data", "begin it with '/'"),
        ("/srv:/", "Image= or Rootfs="),
        ("/srv:/proc/sys", "choose another path"),
        ("/srv:/proc/", "choose another path"),
        ("a/b:/data", "begin a path with '/' or './'"),
        ("~/b:/data", "begin a path with '/' or './'"),
        ("-a:/data", "volume name"),
        ("data.volume:/data", "like data:/data"),
        ("/srv:/data:O,U", "options O and U contradict"),
        ("/srv:/data:O,upperdir=/u", "both upperdir= and workdir="),
        ("/srv:/data:upperdir=/u", "write O as well"),
        ("/srv:/data:O,upperdir=u,workdir=/w", "begin it with '/'"),
        ("/srv:/data:no-dereference", "what it leads to"),
        ("/srv:/data:copy", "a volume's name"),
        ("/srv:/data:nocopy", "is no volume"),
        ("data:/data:copy,nocopy", "contradict"),
        ("data:/data:z,Z", "contradict"),
        ("data:/data:subpath=x", "Mount=type=volume"),
        ("data.image:/data", "write Mount=type=image,source=data.image,destination=/data"),
        ("/srv:/data:idmap=uids=0-1-10", "write idmap alone"),
        ("data:/data:rslave", "bind mounts only"),
        ("/srv:/data:bogus", "is no mount option"),
        ("/srv:/data:ro,rw", "contradict"),
        ("/srv:/data:rslave,rprivate", "contradict"),
        ("/srv:/data:rshared", "cannot be seen outside"),
    ],
)
def test_refused_volume(text: str, instead: str) -> None:
    """What cannot be honoured is refused with what to write instead."""
    with pytest.raises(UserError) as raised:
        volume(text, PLACE)
    assert instead in str(raised.value)


def test_tmpfs() -> None:
    """Options are those of tmpfs(5), sizes in podman's units."""
    assert tmpfs("/tmp").mount == Mount(MountType.TMPFS, "/tmp")
    found = tmpfs("/run/x:rw,size=50%,mode=1777,uid=5,noexec,notmpcopyup").mount
    assert found.options == ("rw", "size=50%", "mode=1777", "uid=5", "noexec", "notmpcopyup")
    assert tmpfs("/x:size=1m").mount.options == ("size=1048576",)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "/",
        "/x:U",
        "/x:copy",
        "/x:bogus",
        "/x:size=y",
        "/x:mode=9",
        "/x:tmpcopyup,notmpcopyup",
        "/x:ro,rw",
        "/x:z",
    ],
)
def test_refused_tmpfs(text: str) -> None:
    """Unknown options, contradictory ones, and those that cannot be honoured yet are refused."""
    with pytest.raises(UserError):
        tmpfs(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,source=/a,destination=/b,ro", Mount(MountType.BIND, "/b", "/a", ("ro",))),
        ("type=bind,src=./a,dst=/b,readonly=false", Mount(MountType.BIND, "/b", "/etc/ctr/a", ("rw",))),
        (
            "type=bind,src=/a,target=/b,bind-propagation=rslave,bind-nonrecursive",
            Mount(MountType.BIND, "/b", "/a", ("rslave", "bind")),
        ),
        ('"src=a,b",type=bind,dst=/b', None),
        ('type=bind,"src=/a,b",dst=/b', Mount(MountType.BIND, "/b", "/a,b")),
        ("source=data,target=/b,chown=false,idmap=false", Mount(MountType.VOLUME, "/b", "data")),
        ("type=tmpfs,dst=/b,tmpfs-size=1k,tmpfs-mode=700", Mount(MountType.TMPFS, "/b", "", ("size=1024", "mode=700"))),
        ("type=volume,dst=/b", volume("/b", PLACE).mount),
        ("type=bind,dst=/b", Mount(MountType.BIND, "/b", "/b")),
        ("type=bind,src=/a,dst=/b,consistency=cached", Mount(MountType.BIND, "/b", "/a")),
        ("type=bind,src=/a,dst=/b,relabel=private,idmap", Mount(MountType.BIND, "/b", "/a", ("Z", "idmap"))),
        ("type=bind,src=/a,dst=/b,O", None),
        ("type=volume,dst=/b,ro", dataclasses.replace(volume("/b", PLACE).mount, options=("ro",))),
        ("type=volume,src=a,dst=/b,volume-opt=x", None),
        ("type=bind,src=a,dst=/b", None),
        ("type=volume,src=/a,dst=/b", None),
        ("type=volume,src=a", None),
        ("type=glob,src=/a*,dst=/b,ro", Mount(MountType.GLOB, "/b", "/a*", ("ro",))),
        ("type=glob,src=./a*", Mount(MountType.GLOB, "", "/etc/ctr/a*")),
        ("type=glob,src=a*", None),
        ("type=glob,src=/[a", None),
        ("type=glob,src=/", None),
        ("type=glob,src=/a,dst=/b", None),
        ("type=image,src=x,dst=/b", Mount(MountType.IMAGE, "/b", "x")),
        ("type=image,src=x:1,dst=/b,rw=true,idmap", Mount(MountType.IMAGE, "/b", "x:1", ("rw",))),
        ("type=image,src=x,dst=/b,rw=false,subpath=/a/b", Mount(MountType.IMAGE, "/b", "x", ("ro", "subpath=a/b"))),
        ("type=image,src=x,dst=/b,U", None),
        ("type=image,dst=/b", None),
        ("type=image,src=X Y,dst=/b", None),
        ("type=ramfs,dst=/b,tmpfs-mode=700,noexec", Mount(MountType.RAMFS, "/b", "", ("mode=700", "noexec"))),
        ("type=ramfs,dst=/b,tmpfs-size=1m", None),
        ("type=devpts,dst=/dev/pts,uid=5,max=9", Mount(MountType.DEVPTS, "/dev/pts", "", ("uid=5", "max=9"))),
        ("type=devpts,dst=/dev/pts,ro", None),
        ("type=artifact,src=x,dst=/b", None),
        ("type=tmpfs,dst=/b,noswap", Mount(MountType.TMPFS, "/b", "", ("noswap",))),
        ("type=tmpfs,src=/a,dst=/b", None),
        ("type=bind,src=/a,dst=/b,U=true", Mount(MountType.BIND, "/b", "/a", ("U",))),
        ("src=a,dst=/b,volume-nocopy", Mount(MountType.VOLUME, "/b", "a", ("nocopy",))),
        ("src=a,dst=/b,ro,subpath=x/./y/", Mount(MountType.VOLUME, "/b", "a", ("ro", "subpath=x/y"))),
        ("src=a,dst=/b,volume-subpath=..x", Mount(MountType.VOLUME, "/b", "a", ("subpath=..x",))),
        ("src=a,dst=/b,subpath=/x", None),
        ("src=a,dst=/b,subpath=x/../../y", None),
        ("src=a,dst=/b,subpath=x/..", None),
        ("src=a,dst=/b,subpath=.", None),
        ("dst=/b,subpath=x", None),
        ("type=bind,src=/a,dst=/b,subpath=x", None),
        ("type=tmpfs,dst=/b,subpath=x", None),
        ("type=bind,src=/a,dst=/b,no-dereference", None),
        ("type=bind,src=/a,dst=/b,ro=maybe", None),
        ('type=bind,"src=/a', None),
        ("", None),
    ],
)
def test_mount(text: str, expected: Mount | None) -> None:
    """The long form gives the same mounts as the short ones; what cannot be honoured is refused (None)."""
    if expected is None:
        with pytest.raises(UserError):
            mount(text, PLACE)
    else:
        assert mount(text, PLACE).mount == expected


def test_a_volume_by_its_definition() -> None:
    """``data.volume`` is the volume which that file defines; an error where it is not there, and on a command line."""
    place = dataclasses.replace(PLACE, names={"data.volume": "shop-data"})
    assert volume("data.volume:/data:ro", place).mount == Mount(MountType.VOLUME, "/data", "shop-data", ("ro",))
    assert mount("source=data.volume,target=/data", place).mount.source == "shop-data"
    with pytest.raises(UserError, match=r"there is no valid x\.volume"):
        volume("x.volume:/data", place)
    with pytest.raises(UserError, match="like data:/data"):
        volume("data.volume:/data", PLACE)


def test_an_image_by_its_definition() -> None:
    """``x.image`` and ``x.build`` are what containers of theirs would run."""
    place = dataclasses.replace(PLACE, references={"x.image": "docker.io/library/x:1", "y.build": "localhost/y"})
    assert mount("type=image,src=x.image,dst=/b", place).mount.source == "docker.io/library/x:1"
    assert mount("type=image,src=y.build,dst=/b", place).mount.source == "localhost/y"
    with pytest.raises(UserError, match=r"there is no valid z\.image"):
        mount("type=image,src=z.image,dst=/b", place)


def test_what_is_meant_for_other_systems_is_told() -> None:
    """Docker Desktop's words for how a directory is shared do nothing on Linux."""
    found = volume("/srv:/data:cached,ro", PLACE)
    assert found.mount.options == ("ro",)
    assert found.warnings == ("option cached has no effect: files are not shared with a virtual machine here",)


def test_rootfs() -> None:
    """A directory, and whether it stays as it is."""
    assert rootfs("/srv/root") == ("/srv/root", False)
    assert rootfs("/srv/root/:idmap,O") == ("/srv/root", True)
    for wrong in ("srv", "/", "/srv:ro", "/srv:O:O"):
        with pytest.raises(UserError):
            rootfs(wrong)
