"""Volumes: mount units as systemd.mount(5) wants them, and the plan's lines about mounts."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.launcher.plan import Plan
from supervisor.paths import Layout
from supervisor.render import dropins, oci, plan, volumes
from supervisor.render.users import Accounts
from supervisor.spec.container import Mount, MountType
from supervisor.spec.image import Layer
from supervisor.spec.volume import Volume
from tests.unit.render.sample import FACTS, IMAGE, container

ACCOUNTS = Accounts(IMAGE.passwd, IMAGE.group)
STATE = "/var/lib/ctr"


def volume(target: str, name: str = "data", *options: str) -> Mount:
    return Mount(MountType.VOLUME, target, name, options)


def bind(target: str, source: str, *options: str) -> Mount:
    return Mount(MountType.BIND, target, source, options)


def planned(*mounts: Mount, known: tuple[Volume, ...] = (), **changes: Any) -> Plan:
    """What the launcher reads of a container with *mounts*."""
    one = container(mounts=mounts, **changes)
    layers = (Layer("directory", "/img/1"),)
    return Plan(plan.text(one, IMAGE, layers, FACTS, Layout(), ACCOUNTS, {v.name: v for v in known}))


def unit(**changes: Any) -> dict[str, str]:
    """The settings of a volume's mount unit."""
    (file,) = volumes.units(Volume("data", "/etc/ctr/data.volume", **changes), Layout())
    assert file.path == "/etc/systemd/system/var-lib-ctr-volumes-data.mount"
    return dict(line.split("=", 1) for line in file.text.splitlines() if "=" in line)


def test_a_plain_volume_has_no_unit() -> None:
    """It is a directory."""
    assert volumes.units(Volume("data", ""), Layout()) == ()


def test_a_mount_unit_says_what_mount_is_told() -> None:
    """Percent signs are not specifiers, and a type that was not given is mount's to find out."""
    found = unit(type="nfs", device="nas:/srv/50%", options="vers=4.2,soft")
    assert found | {"Description": ""} == {
        "Description": "",
        "What": "nas:/srv/50%%",
        "Where": f"{STATE}/volumes/data",
        "Type": "nfs",
        "Options": "vers=4.2,soft",
        "DirectoryMode": "0700",
    }
    assert "Type" not in unit(device="/dev/sdb1")
    assert unit(type="tmpfs")["What"] == "tmpfs"
    assert unit(device="/srv/x", options="ro,bind")["Type"] == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "/srv/x\nExecStart=/bin/sh"},
        {"device": "/srv/x\\"},
        {"device": "/srv/x "},
        {"type": "ext4", "device": "/srv/x", "options": "ro\\"},
        {"options": "ro"},
    ],
)
def test_no_value_adds_a_line(changes: dict[str, str]) -> None:
    """What does not fit on its line, and options without anything to mount, are refused."""
    with pytest.raises(UserError):
        volumes.units(Volume("data", "", **changes), Layout())


def test_a_name_too_long_for_a_unit_is_refused() -> None:
    """Each '-' takes four characters in a unit's name."""
    assert volumes.units(Volume("a" + "b" * 127, "", type="tmpfs"), Layout())
    with pytest.raises(UserError, match="longer than systemd allows"):
        volumes.units(Volume("a" + "-" * 127, "", type="tmpfs"), Layout())


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0\n"), min_size=1), min_size=1, max_size=4))
def test_unit_names_are_systemds(parts: list[str]) -> None:
    """As systemd-escape(1) has them."""
    path = "/" + "/".join(part for part in parts if part not in (".", "..")) + "/x"
    done = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", path], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        assert volumes.mount_unit(path) == done.stdout.rstrip("\n")


def test_every_volume_has_to_be_mounted() -> None:
    """Also one that is a plain directory today: systemd finds the unit that mounts it, if there is one."""
    text = dropins.text(container(mounts=(volume("/data"), volume("/more", "a-b"))), IMAGE, FACTS, Layout())
    wanted = [line for line in text.splitlines() if line.startswith("RequiresMountsFor=")]
    assert wanted == [f"RequiresMountsFor={STATE}/volumes/data", f"RequiresMountsFor={STATE}/volumes/a-b"]


def test_an_empty_volume_is_filled() -> None:
    """Unless the mount or the volume says otherwise; 'copy' wins over the volume, and an owner is given in any case."""
    directory, marker = f"{STATE}/volumes/data", f"{STATE}/volume-records/data.copying"
    owned = Volume("data", "", uid=7, copy=False)
    assert planned(volume("/data")).copy_ups == ((directory, marker, "/data", "", ""),)
    assert planned(volume("/data", "data", "nocopy")).copy_ups == ()
    assert planned(volume("/data"), known=(Volume("data", "", copy=False),)).copy_ups == ()
    assert planned(volume("/data"), known=(owned,)).copy_ups == ((directory, marker, "", "7:-1", ""),)
    copied = planned(volume("/data", "data", "copy"), known=(owned,)).copy_ups
    assert copied == ((directory, marker, "/data", "7:-1", ""),)


def test_a_volume_that_is_mounted_read_only_stays_so() -> None:
    """Whatever its container asks for: nothing is copied into it or given away, and the runtime's mount of it is
    read-only too; noexec holds as well."""
    known = Volume("data", "", "none", "/srv/ro", "bind,ro,noexec", uid=7)
    one = container(mounts=(volume("/data", "data", "copy", "U", "rw", "exec"),))
    found = planned(*one.mounts, known=(known,))
    assert (found.volumes, found.copy_ups, found.chowns) == ((f"{STATE}/volumes/data",), (), ())
    config = oci.config(one, IMAGE, ACCOUNTS, FACTS, Layout(), {"data": known})
    (mount,) = (m for m in config["mounts"] if m["destination"] == "/data")
    assert {"ro", "noexec", "nosuid", "nodev"} <= set(mount["options"])
    assert {"rw", "exec"}.isdisjoint(mount["options"])


def test_part_of_a_volume_is_mounted_from_a_place_of_the_launchers() -> None:
    """The runtime never resolves a path inside a volume, and nothing is copied into a part."""
    one = container(mounts=(volume("/a"), volume("/b", "data", "subpath=logs/web")))
    place = "/run/ctr/containers/web/subpaths/1"
    found = planned(*one.mounts)
    assert found.subpaths == ((f"{STATE}/volumes/data", "logs/web", place),)
    assert [target for _, _, target, *_ in found.copy_ups] == ["/a"]
    config = oci.config(one, IMAGE, ACCOUNTS, FACTS, Layout())
    (mount,) = (m for m in config["mounts"] if m["destination"] == "/b")
    assert mount["source"] == place
    assert not [option for option in mount["options"] if "subpath" in option]


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x"])
def test_a_subpath_stays_in_the_volume(path: str) -> None:
    """The kernel would keep it there; the author should know."""
    with pytest.raises(UserError, match="does not lie in the volume"):
        planned(volume("/b", "data", f"subpath={path}"))


def test_a_bind_mount_has_no_subpath() -> None:
    """Its source says it all."""
    with pytest.raises(UserError, match="for volumes only"):
        planned(bind("/b", "/srv", "subpath=x"))


def test_u_gives_the_source_to_the_containers_user() -> None:
    """As numbers, from the root's own account files; never a directory of the system."""
    found = planned(volume("/a", "data", "U"), bind("/b", "/srv/web", "U"), user="web")
    assert found.chowns == ((f"{STATE}/volumes/data", "33:33"), ("/srv/web", "33:33"))
    for source in ("/", "/etc", "/var/lib/", "/usr"):
        with pytest.raises(UserError, match="would give away"):
            planned(bind("/b", source, "U"))


def test_the_launcher_checks_every_mount_and_the_way_to_nested_ones() -> None:
    """Also where a tmpfs, or the kernel's own, lies in a volume; the runtime's files below /etc are its own affair."""
    found = planned(
        volume("/data"),
        bind("/data/a/b", "/srv/b"),
        Mount(MountType.TMPFS, "/data/tmp"),
        volume("/etc", "etc"),
        volume("/dev", "dev"),
        bind("/x", "/srv/x"),
    )
    over = f"{STATE}/volumes"
    assert set(found.mounts) == {
        (f"{over}/data", "/data", "", ""),
        ("/srv/b", "/data/a/b", f"{over}/data", "a/b"),
        ("", "/data/tmp", f"{over}/data", "tmp"),
        (f"{over}/etc", "/etc", "", ""),
        (f"{over}/dev", "/dev", "", ""),
        ("", "/dev/pts", f"{over}/dev", "pts"),
        ("", "/dev/shm", f"{over}/dev", "shm"),
        ("", "/dev/mqueue", f"{over}/dev", "mqueue"),
        ("/srv/x", "/x", "", ""),
    }


def test_the_innermost_mount_counts() -> None:
    """/data/a/b lies in the mount on /data/a, not in that on /data."""
    found = planned(volume("/data"), bind("/data/a", "/srv/a"), bind("/data/a/b", "/srv/b"))
    assert ("/srv/b", "/data/a/b", "/srv/a", "b") in found.mounts


@pytest.mark.parametrize("character", ["\t", "\n", "\x7f"])
def test_a_target_cannot_shift_the_columns(character: str) -> None:
    """A tab separates what the launcher reads."""
    with pytest.raises(UserError, match="control character"):
        planned(volume(f"/a{character}b"))


def test_a_slave_mount_stays_one() -> None:
    """The runtime would cut it off from the host's mounts first if the root were private; others need nothing."""
    for options, wanted in ((("rslave",), "rslave"), (("slave",), "rslave"), (("ro", "private"), None), ((), None)):
        one = container(mounts=(bind("/x", "/srv", *options),))
        linux = oci.config(one, IMAGE, ACCOUNTS, FACTS, Layout())["linux"]
        assert linux.get("rootfsPropagation") == wanted


def test_without_mounts_there_is_nothing_to_read() -> None:
    """A container that has none does not pay."""
    found = planned()
    assert (found.volumes, found.copy_ups, found.subpaths, found.mounts, found.chowns) == ((), (), (), (), ())
