"""What a user namespace changes in what is rendered: what the runtime joins, what the launcher shifts, and numbers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import dropins, oci, plan, userns
from supervisor.render.facts import HostText
from supervisor.render.users import Accounts
from supervisor.spec.container import Container, Mount, MountType, NamespaceMode, Runtime
from supervisor.spec.image import Layer
from supervisor.spec.network import NetworkMode
from supervisor.spec.secret import Secret
from supervisor.spec.userns import IdMaps, IdRange, UserNamespace, UserNamespaceMode
from supervisor.spec.volume import Volume
from tests.unit.render.sample import FACTS, IMAGE, container

LAYOUT = Layout()
MAPS = IdMaps((IdRange(0, 100000, 1000), IdRange(5000, 7, 1)), (IdRange(0, 200000, 1000),))
ACCOUNTS = Accounts(IMAGE.passwd, IMAGE.group)
PATH = "/run/ctr/namespaces/web/user"
PLACES = "/run/ctr/containers/web"
GROUPS = (
    '{"cdiVersion": "0.6.0", "kind": "v.com/t",'
    ' "devices": [{"name": "one", "containerEdits": {"additionalGids": [2000]}}]}'
)


def mapped(**fields: Any) -> Container:
    return container(user_namespace=UserNamespace(), **fields)


def config(subject: Container, maps: IdMaps | None = MAPS) -> dict[str, Any]:
    return oci.config(subject, IMAGE, ACCOUNTS, FACTS, LAYOUT, None, maps)


def lines(subject: Container, *keys: str, known: dict[str, Volume] | None = None, **facts: Any) -> list[str]:
    found = dataclasses.replace(FACTS, **facts)
    layers = (Layer("directory", "/layers/1"),)
    text = plan.text(subject, IMAGE, layers, found, LAYOUT, ACCOUNTS, known, MAPS)
    return [line for line in text.splitlines() if line.partition("=")[0] in keys]


def mount_of(subject: Container, target: str) -> dict[str, Any]:
    return next(m for m in config(subject)["mounts"] if m["destination"] == target)


def test_it_is_joined_first_and_kept_by_a_unit() -> None:
    """By path, without mappings but for runc; also when the container has no network that a unit would keep."""
    namespaces = config(mapped())["linux"]["namespaces"]
    assert namespaces[0] == {"type": "user", "path": PATH}
    assert "uidMappings" not in config(mapped())["linux"]
    linux = config(mapped(runtime=Runtime.RUNC))["linux"]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 200000, "size": 1000}]
    assert len(linux["uidMappings"]) == 2
    for mode in (NetworkMode.NETWORKS, NetworkMode.NONE, NetworkMode.HOST):
        text = dropins.text(mapped(network=mode), IMAGE, FACTS, LAYOUT)
        assert text.count("Requires=ctr-netns@web.service\nAfter=ctr-netns@web.service\n") == 1
    shared = mapped(network=NetworkMode.CONTAINER, network_container="db")
    text = dropins.text(shared, IMAGE, FACTS, LAYOUT)
    assert "Requires=ctr-netns@db.service" in text and "Requires=ctr-netns@web.service" in text
    assert "ping_group_range" not in json.dumps(config(shared))


def test_without_one_nothing_changes() -> None:
    """No line, no namespace."""
    plain = container(mounts=(Mount(MountType.VOLUME, "/data", "data"),))
    assert lines(plain, "users", "idmap") == []
    assert "user" not in {n["type"] for n in config(plain, None)["linux"]["namespaces"]}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (NetworkMode.NETWORKS, "sysfs"), (NetworkMode.NONE, "sysfs"),
        (NetworkMode.HOST, "bind"), (NetworkMode.CONTAINER, "bind"),
    ],
)  # fmt: skip
def test_sysfs_of_a_network_that_is_not_its_own(mode: NetworkMode, kind: str) -> None:
    """It may mount a new one only of a network that it has power over."""
    found = mount_of(mapped(network=mode, network_container="db"), "/sys")
    assert (found["type"], found["source"]) == (kind, "/sys" if kind == "bind" else "sysfs")
    # The host has more file systems below it, and their root may be the container's (keep-id): read-only throughout.
    assert {"rro" if kind == "bind" else "ro", "nosuid", "noexec", "nodev"} <= set(found["options"])
    assert mount_of(container(network=mode, network_container="db"), "/sys")["type"] == "sysfs"


def test_the_hosts_proc() -> None:
    """What the host has mounted below it would be as writable as for the host's root."""
    below = {"/proc/fs/nfsd", "/proc/sys/fs/binfmt_misc"}
    found = config(mapped(pid_namespace=NamespaceMode.HOST))["linux"]["maskedPaths"]
    assert below <= set(found)
    for other in (container(pid_namespace=NamespaceMode.HOST), mapped()):
        assert not below & set(config(other)["linux"]["maskedPaths"])


def test_terminals_belong_to_a_group_that_is_there() -> None:
    """Group 5 as ever, but not where the user namespace lacks it: the kernel would refuse the mount."""
    assert "gid=5" in mount_of(mapped(), "/dev/pts")["options"]
    few = IdMaps(MAPS.uids, (IdRange(0, 200000, 5), IdRange(6, 300000, 9)))
    (found,) = (m for m in config(mapped(), few)["mounts"] if m["destination"] == "/dev/pts")
    assert "newinstance" in found["options"] and "gid=5" not in found["options"]


def test_volumes_are_shifted_and_binds_only_if_asked() -> None:
    """The runtime mounts the places where the launcher shows them shifted; owners that are set are the host's."""
    subject = mapped(
        user="33",
        mounts=(
            Mount(MountType.VOLUME, "/a", "data", ("U",)),
            Mount(MountType.BIND, "/b", "/srv/b", ("U",)),
            Mount(MountType.BIND, "/c", "/srv/c", ("idmap",)),
            Mount(MountType.VOLUME, "/d", "data", ("subpath=logs",)),
        ),
    )
    sources = [mount_of(subject, target)["source"] for target in ("/a", "/b", "/c", "/d")]
    assert sources == [f"{PLACES}/idmaps/0", "/srv/b", f"{PLACES}/idmaps/2", f"{PLACES}/subpaths/3"]
    known = {"data": Volume("data", "", uid=5000)}
    assert lines(subject, "users", "volume", "idmap", "copy-up", "subpath", "chown", known=known) == [
        f"users={PATH}\t100000\t200000",
        "volume=/var/lib/ctr/volumes/data",
        f"idmap=/var/lib/ctr/volumes/data\t{PLACES}/idmaps/0",
        f"idmap=/srv/c\t{PLACES}/idmaps/2",
        f"idmap=/var/lib/ctr/volumes/data\t{PLACES}/idmaps/3",
        f"copy-up={PLACES}/idmaps/0\t/var/lib/ctr/volume-records/data.copying\t/a\t7:-1",
        f"subpath={PLACES}/idmaps/3\tlogs\t{PLACES}/subpaths/3",
        f"chown={PLACES}/idmaps/0\t100033:200033",
        "chown=/srv/b\t100033:200033",
    ]


def test_secrets_belong_to_the_containers_users() -> None:
    """In the file system that the launcher makes for them there is nothing to shift."""
    secrets = (Secret("key", target="/k", uid=33, gid=44),)
    (line,) = lines(mapped(secrets=secrets), "secret")
    assert line.split()[1:3] == ["100033", "200044"]


def test_giving_away_the_system_is_refused_as_ever() -> None:
    """'U' of a directory of the system, whatever place shows it."""
    with pytest.raises(UserError, match="would give away /etc"):
        lines(mapped(mounts=(Mount(MountType.BIND, "/b", "/etc", ("U", "idmap")),)), "chown")


def test_everybody_as_they_are() -> None:
    """keep-id shifts nothing, and names a user only for who names none."""
    kept = UserNamespace(UserNamespaceMode.KEEP_ID, user="5:6")
    subject = container(user_namespace=kept, mounts=(Mount(MountType.VOLUME, "/data", "data"),))
    assert lines(subject, "users", "idmap") == []
    assert config(subject)["process"]["user"]["uid"] == 5
    assert config(dataclasses.replace(subject, user="33"))["process"]["user"]["uid"] == 33
    assert config(subject)["linux"]["namespaces"][0] == {"type": "user", "path": PATH}


@pytest.mark.parametrize(
    ("fields", "facts", "message"),
    [
        ({"user": "2000"}, {}, "user 2000: is not among the 1001 of its user namespace; map it"),
        ({"user": "0:2000"}, {}, "group 2000: is not among the 1000"),
        ({"supplementary_groups": ("2000",)}, {}, "group 2000"),
        ({"secrets": (Secret("key", target="/k", uid=2000),)}, {}, "user 2000"),
        ({"cdi_devices": ("v.com/t=one",)}, {"cdi_specs": (HostText("/etc/cdi/v.json", GROUPS),)}, "group 2000"),
        ({}, {"kernel": (5, 18)}, "UserNS=: needs Linux 5.19, this is 5.18"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_deployed(fields: Any, facts: Any, message: str) -> None:
    """And not at the next start."""
    with pytest.raises(UserError, match=message):
        lines(mapped(**fields), "users", **facts)


def test_numbers_outside() -> None:
    """Of every part of a mapping; what chown(2) is to leave is left."""
    assert [userns.outside(n, MAPS.uids, "user") for n in (0, 999, 5000)] == [100000, 100999, 7]
    assert userns.owner_outside(-1, 3, MAPS) == (-1, 200003)
    assert userns.owner_outside(4, -1, None) == (4, -1)
