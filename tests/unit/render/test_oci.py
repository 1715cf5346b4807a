"""config.json: what podman would write."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import oci
from supervisor.render.capabilities import DEFAULT, NAMES, bounding_set, process_sets
from supervisor.render.users import Accounts
from supervisor.spec.container import Mount, MountType, NamespaceMode, Runtime, Ulimit
from supervisor.spec.image import Image
from supervisor.spec.network import NetworkMode
from tests.unit.render.sample import FACTS, IMAGE, container

ACCOUNTS = Accounts(IMAGE.passwd, IMAGE.group)


def config(image: Image | None = IMAGE, facts: Any = FACTS, **changes: Any) -> dict[str, Any]:
    return oci.config(container(**changes), image, ACCOUNTS, facts, Layout())


@pytest.mark.parametrize(
    ("changes", "args"),
    [
        ({}, ["/entry", "-e", "nginx", "-g"]),
        ({"command": ("sh",)}, ["/entry", "-e", "sh"]),
        ({"entrypoint": ("/mine",)}, ["/mine"]),
        ({"entrypoint": ("/mine",), "command": ("a", "b")}, ["/mine", "a", "b"]),
        ({"entrypoint": (), "command": ("a",)}, ["a"]),
        ({"entrypoint": ("",), "command": ("a",)}, ["a"]),
        ({"command": ()}, ["/entry", "-e", "nginx", "-g"]),
        ({"run_init": True, "command": ("a",), "entrypoint": ()}, ["/run/.ctr-init", "--", "a"]),
    ],
)
def test_the_command_line_is_resolved_as_podman_does(changes: dict[str, Any], args: list[str]) -> None:
    """Entrypoint= replaces the image's and drops its command; Exec= replaces the command."""
    assert config(**changes)["process"]["args"] == args


@pytest.mark.parametrize("entrypoint", [(), ("",)])
def test_nothing_to_run_is_an_error(entrypoint: tuple[str, ...]) -> None:
    """An emptied entrypoint without a command leaves nothing, even with a command in the image."""
    with pytest.raises(UserError, match="nothing to run"):
        config(entrypoint=entrypoint)


def test_environment_order_and_defaults() -> None:
    """Ours, then the image's, then the container's own; last one wins, order is stable."""
    env = config(environment=(("NGINX", "2"), ("A", "b=c\n"), ("A", "d")))["process"]["env"]
    assert env == ["PATH=/img/bin", "container=oci", "HOSTNAME=web", "HOME=/root", "NGINX=2", "A=d"]
    assert "TERM=xterm" in config(terminal=True)["process"]["env"]
    assert "HOME=/var/www" in config(user="web")["process"]["env"]


@pytest.mark.parametrize("pair", [("", "x"), ("A=B", "x"), ("A", "x\0"), ("A\0", "x")])
def test_impossible_environment_is_refused(pair: tuple[str, str]) -> None:
    """execve(2) could not carry it."""
    with pytest.raises(UserError, match="environment variable"):
        config(environment=(pair,))


def test_a_user_of_its_own_loses_capabilities_but_keeps_the_bounding_set() -> None:
    """As podman: effective and permitted are what was added by name, ambient so that it survives execve(2)."""
    caps = config(user="web", add_capabilities=("CAP_NET_ADMIN",))["process"]["capabilities"]
    assert set(caps["bounding"]) == DEFAULT | {"CAP_NET_ADMIN"}
    assert all(caps[k] == ["CAP_NET_ADMIN"] for k in ("effective", "permitted", "inheritable", "ambient"))
    root = config()["process"]["capabilities"]
    assert root["effective"] == root["permitted"] == root["bounding"] == sorted(DEFAULT)
    assert root["ambient"] == root["inheritable"] == []
    assert config(user="web")["process"]["user"] == {"uid": 33, "gid": 33, "umask": 18, "additionalGids": [33, 50]}


def test_adding_and_dropping_capabilities() -> None:
    """ALL, an addition to nothing, contradiction, unknown names, and what the host cannot give."""
    every = frozenset(NAMES)
    assert bounding_set(("CAP_CHOWN",), ("ALL",), False, every) == ("CAP_CHOWN",)
    assert set(bounding_set(("ALL",), ("CAP_CHOWN",), False, every)) == every - {"CAP_CHOWN"}
    assert set(bounding_set((), ("CAP_CHOWN",), False, every)) == DEFAULT - {"CAP_CHOWN"}
    assert set(bounding_set((), (), True, every)) == every
    assert bounding_set(("CAP_SYS_RESOURCE",), ("ALL",), False, every - {"CAP_SYS_RESOURCE"}) == ()
    for add, drop in ((("CAP_X",), ()), (("ALL",), ("ALL",)), (("CAP_CHOWN",), ("CAP_CHOWN",))):
        with pytest.raises(UserError, match="capability"):
            bounding_set(add, drop, False, every)
    assert process_sets(("CAP_A",), ("ALL",), False)["ambient"] == ["CAP_A"]


def test_default_limits_stay_within_the_hosts_and_asked_ones_do_not() -> None:
    """Raising a hard limit takes CAP_SYS_RESOURCE, which PID 1 may lack: only the author's own may ask for it."""
    limits = {r["type"]: (r["soft"], r["hard"]) for r in config()["process"]["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (20000, 20000), "RLIMIT_NPROC": (4194304, 4194304)}
    limits = {
        r["type"]: (r["soft"], r["hard"])
        for r in config(ulimits=(Ulimit("nofile", 30000, 40000), Ulimit("core", -1, -1)))["process"]["rlimits"]
    }
    assert limits["RLIMIT_NOFILE"] == (30000, 40000)
    assert limits["RLIMIT_CORE"] == (2**64 - 1, 2**64 - 1)
    with pytest.raises(UserError, match="ulimit 'no'"):
        config(ulimits=(Ulimit("no", 1, 1),))


def test_the_hosts_network_brings_the_hosts_name_and_no_sysctl_of_its_own() -> None:
    """Network=host: no network namespace, the host's hostname, and net.* refused since it would be the host's."""
    host = config(network=NetworkMode.HOST)
    assert [n["type"] for n in host["linux"]["namespaces"]] == ["pid", "ipc", "uts", "mount", "cgroup"]
    assert host["hostname"] == "host.example"
    assert host["linux"]["sysctl"] == {}
    none = config(sysctls=(("net.ipv4.ip_forward", "1"),))
    assert "network" in [n["type"] for n in none["linux"]["namespaces"]]
    assert none["linux"]["sysctl"] == {"net.ipv4.ping_group_range": "0 0", "net.ipv4.ip_forward": "1"}
    with pytest.raises(UserError, match="sysctl 'net"):
        config(network=NetworkMode.HOST, sysctls=(("net.x", "1"),))


def test_hostname() -> None:
    """A name of 128 is cut to what the kernel takes; one that the author wrote is never cut but refused."""
    assert config(name="n" * 128)["hostname"] == "n" * 64
    assert config(hostname="db.example")["hostname"] == "db.example"
    with pytest.raises(UserError, match="hostname"):
        config(hostname="h" * 65)


@pytest.mark.parametrize("key", ["org.systemd.property.ExecStart", "run.oci.hooks.stdout"])
def test_orders_to_the_runtime_are_refused_as_annotations(key: str) -> None:
    """crun and runc obey such annotations as root."""
    with pytest.raises(UserError, match="order to the OCI runtime"):
        config(annotations=((key, "x"),))


def test_image_labels_never_become_annotations() -> None:
    """IMAGE carries labels of both dangerous kinds; nothing of them may be anywhere in the configuration."""
    document = config(labels=(("a", "evil"),), annotations=(("b", "fine"),))
    assert document["annotations"] == {"b": "fine"}
    assert "evil" not in json.dumps(document)


def test_privileged_lifts_every_restriction_but_the_namespaces() -> None:
    """As podman: all capabilities the host has, no seccomp, nothing masked, /sys writable, the host's devices."""
    document = config(privileged=True)
    assert set(document["process"]["capabilities"]["effective"]) == FACTS.capabilities
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & set(document["linux"])
    assert [d["path"] for d in document["linux"]["devices"]] == ["/dev/fuse"]
    sys = next(m for m in document["mounts"] if m["destination"] == "/sys")
    assert "rw" in sys["options"]
    plain = config()["linux"]
    assert {"seccomp", "maskedPaths", "readonlyPaths"} < set(plain)
    assert "/proc/kcore" in plain["maskedPaths"] and "/proc/sys" in plain["readonlyPaths"]


@pytest.mark.parametrize("runtime", list(Runtime))
def test_cgroups_are_left_to_systemd(runtime: Runtime) -> None:
    """Any cgroup path or limit in config.json would make runc leave its scope (see runtime.argv)."""
    linux = config(runtime=runtime)["linux"]
    assert "cgroupsPath" not in linux and "resources" not in linux


def test_the_hosts_runtime_is_the_default() -> None:
    """``runtime=runc`` in ctr.conf is for containers that name none; one that says runc keeps it."""
    runc = dataclasses.replace(FACTS, runtime=Runtime.RUNC)
    assert oci.runtime(container(), FACTS) is Runtime.CRUN
    assert oci.runtime(container(), runc) is Runtime.RUNC
    assert oci.runtime(container(runtime=Runtime.RUNC), FACTS) is Runtime.RUNC


def test_devices_are_the_hosts_nodes_under_the_wanted_name() -> None:
    """AddDevice= carries the host's numbers; one that is not there, or no device path, is named."""
    assert config(devices=("/dev/fuse:/dev/f2:r",))["linux"]["devices"] == [
        {"path": "/dev/f2", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0}
    ]
    for wrong in ("/dev/none", "/etc/passwd", "/dev/../etc/passwd", "fuse", "/dev/fuse:x:y:z", "/dev/fuse:rel"):
        with pytest.raises(UserError, match="device"):
            config(devices=(wrong,))


def test_working_directory() -> None:
    """The container's, else the image's, else /; never a relative one."""
    assert config()["process"]["cwd"] == "/srv"
    assert config(working_dir="/w")["process"]["cwd"] == "/w"
    assert config(image=None, rootfs="/r", command=("a",))["process"]["cwd"] == "/"
    with pytest.raises(UserError, match="working directory"):
        config(working_dir="w")


def test_read_only_root_with_and_without_its_tmpfs() -> None:
    """ReadOnly=: root.readonly, and writable /tmp, /var/tmp and /run unless ReadOnlyTmpfs=no; a user's mount wins."""
    targets = {m["destination"]: m for m in config(read_only=True)["mounts"]}
    assert config(read_only=True)["root"] == {"path": "/run/ctr/containers/web/rootfs", "readonly": True}
    assert targets["/tmp"]["options"] == ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
    assert "/tmp" not in {m["destination"] for m in config(read_only=True, read_only_tmpfs=False)["mounts"]}
    mine = config(read_only=True, mounts=(Mount(MountType.BIND, "/tmp", "/srv/tmp"),))["mounts"]
    assert [m["source"] for m in mine if m["destination"] == "/tmp"] == ["/srv/tmp"]


def test_the_same_input_gives_the_same_text() -> None:
    """Deploy compares texts: a set's order would restart containers for nothing."""
    one = container(add_capabilities=("CAP_NET_ADMIN", "CAP_SYS_PTRACE"), supplementary_groups=("50", "7"))
    texts = {oci.text(one, IMAGE, ACCOUNTS, FACTS, Layout()) for _ in range(3)}
    assert len(texts) == 1


def test_namespaces_of_the_host() -> None:
    """None is made where the host's is wanted; its name, its IPC and its /dev/shm come with them."""
    host = NamespaceMode.HOST
    found = config(pid_namespace=host, ipc_namespace=host, uts_namespace=host, cgroup_namespace=host)
    assert [n["type"] for n in found["linux"]["namespaces"]] == ["network", "mount"]
    assert "hostname" not in found
    assert "HOSTNAME=host.example" in found["process"]["env"]
    (shm,) = [m for m in found["mounts"] if m["destination"] == "/dev/shm"]
    assert (shm["type"], shm["source"]) == ("bind", "/dev/shm")
    assert [n["type"] for n in config(ipc_namespace=host)["linux"]["namespaces"]] == [
        "pid",
        "network",
        "uts",
        "mount",
        "cgroup",
    ]


def test_what_would_change_the_host_is_refused() -> None:
    """A name and System V parameters belong to namespaces; in the host's they are the host's."""
    with pytest.raises(UserError, match=r"hostname 'x': with --uts=host"):
        config(uts_namespace=NamespaceMode.HOST, hostname="x")
    with pytest.raises(UserError, match=r"sysctl 'kernel.sem': belongs to the host's IPC"):
        config(ipc_namespace=NamespaceMode.HOST, sysctls=(("kernel.sem", "1"),))
    assert config(ipc_namespace=NamespaceMode.HOST, sysctls=(("net.x", "1"),))["linux"]["sysctl"]["net.x"] == "1"


def test_the_umask() -> None:
    """podman's default, or the author's."""
    assert config()["process"]["user"]["umask"] == 0o022
    assert config(umask=0o077)["process"]["user"]["umask"] == 0o077
