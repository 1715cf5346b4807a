"""A ``.pod`` file compiles into the pod its author meant, and a container in it has what is the pod's."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from supervisor.definitions import quadlet
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.context import Context
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.load import load
from supervisor.definitions.pod_file import compile_unit
from supervisor.definitions.unitfile import parse
from supervisor.spec.container import Container, Entry, Membership, Mount, MountType, UnitSections
from supervisor.spec.network import Attachment, NetworkMode, PublishedPort
from supervisor.spec.pod import ExitPolicy, Pod
from supervisor.spec.userns import IdRange, UserNamespace, UserNamespaceMode
from tests.unit.definitions.trees import tree

PATH = "/etc/ctr/shop.pod"
ONLINE = UnitSections(unit=(Entry("Wants", "network-online.target"), Entry("After", "network-online.target")))
NAMES = Context(names={"back.network": "back", "data.volume": "data", "shop.pod": "shop", "web.container": "web"})


def compiled(lines: str) -> Compiled[Pod]:
    result = compile_unit(parse(PATH, f"[Pod]\n{lines}"), NAMES)
    assert (result.defined is None) == bool(result.problems)
    return result


def pod(lines: str) -> Pod:
    result = compiled(lines)
    assert result.problems == () and result.defined is not None
    return result.defined


def test_an_empty_section_is_a_pod() -> None:
    """Its name is the file's, without podman's 'systemd-'; it waits for the network, as podman's does."""
    assert pod("") == Pod("shop", PATH, unit=ONLINE)
    assert compiled("").warnings == ()
    assert pod("[Quadlet]\nDefaultDependencies=no\n") == Pod("shop", PATH)


_RANGES = (IdRange(0, 9000, 10),)
_MAPPED = UserNamespace(UserNamespaceMode.MAPPED, uids=_RANGES, gids=_RANGES)

EFFECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "AddHost": ("a;b:10.0.0.1", {"hosts": (("a", "10.0.0.1"), ("b", "10.0.0.1"))}),
    "DNS": ("10.0.0.9", {"dns": ("10.0.0.9",)}),
    "DNSOption": ("ndots:1", {"dns_options": ("ndots:1",)}),
    "DNSSearch": ("example.org", {"dns_search": ("example.org",)}),
    "ExitPolicy": ("continue", {"exit_policy": ExitPolicy.CONTINUE}),
    "HostName": ("store", {"hostname": "store"}),
    "IP": ("10.90.0.9", {"attachments": (Attachment("ctr", ip="10.90.0.9"),)}),
    "IP6": ("fd00::9", {"attachments": (Attachment("ctr", ip6="fd00::9"),)}),
    "Label": ("a b=c", {"labels": (("a", ""), ("b", "c"))}),
    "Network": ("back.network:ip=10.1.0.2", {"attachments": (Attachment("back", ip="10.1.0.2"),)}),
    "NetworkAlias": ("store", {"attachments": (Attachment("ctr", aliases=("store",)),)}),
    "PodName": ("store", {"name": "store"}),
    "PublishPort": ("127.0.0.1:80:8080", {"ports": (PublishedPort(8080, 80, address="127.0.0.1"),)}),
    "ShmSize": ("8m", {"shm_size": 8 * 1024 * 1024}),
    "StopTimeout": ("3", {"stop_timeout": 3.0}),
    "UIDMap": ("0:9000:10", {"user_namespace": _MAPPED}),
    "UserNS": ("auto", {"user_namespace": UserNamespace()}),
    "Volume": ("data.volume:/data:ro", {"mounts": (Mount(MountType.VOLUME, "/data", "data", ("ro",)),)}),
}

#: Read as in [Container] (and PodmanArgs= by `podman_args`), and tested there; here they only have to arrive.
USERS = frozenset(("GIDMap", "SubUIDMap", "SubGIDMap", "RemapUsers", "RemapUid", "RemapGid", "RemapUidSize"))


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect, and only its own."""
    line, expected = EFFECTS[key]
    assert pod(f"{key}={line}\n") == dataclasses.replace(pod(""), **expected)


def test_every_done_key_is_tested() -> None:
    """The table promises nothing that is not shown to work."""
    done = {key.name for key in keys("Pod") if key.section == "Pod" and key.state is State.DONE}
    assert done - USERS - {"PodmanArgs", "GlobalArgs"} == set(EFFECTS)


def test_the_users_of_a_pod() -> None:
    """The keys of podman 4 and those with names are read, too."""
    assert pod("SubUIDMap=ctr\nSubGIDMap=ctr\n").user_namespace is not None
    assert pod("RemapUsers=auto\n").user_namespace is not None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ExitPolicy=never\n", ":2: ExitPolicy=: 'never' is not an exit policy; write stop or continue"),
        ("Network=web.container\n", ":2: Network=: a pod cannot share the network of a container"),
        ("Network=host\nDNS=10.0.0.1\n", ":3: DNS=: has no place with the host's network"),
        ("Network=none\nDNS=10.0.0.1\n", ":3: DNS=: has no meaning without a network"),
        ("Volume=a:/x\nVolume=b:/x\n", ":3: Volume=: something is mounted at /x already"),
        ("PodName=a b\n", ":2: PodName=: pod name 'a b' is not valid"),
        ("Image=x\n", ":2: Image=: no such key in [Pod]"),
        ("[Container]\nImage=x\n", ":2: [Container] is not a section of a .pod file"),
        ("[Service]\nExecStartPre=/bin/true\n", ":3: ExecStartPre=: a pod is no process here"),
        ("[Service]\nMemoryMax=1G\n", "in [Slice] of a drop-in for ctr-shop.slice"),
        ("[Service]\nRestrat=always\n", ":3: Restrat=: no such key in [Service]; did you mean Restart?"),
        ("[Unit]\nAfter=nobody.container\n", ":3: After=: "),
    ],
)
def test_a_mistake_is_named_with_line_and_key(lines: str, expected: str) -> None:
    """One problem each, which says what to do."""
    (problem,) = compiled(lines).problems
    assert expected in str(problem)


@pytest.mark.parametrize("line", ["Restart=always", "TimeoutStartSec=900", "Type=oneshot", "Environment=A=1"])
def test_settings_of_the_pause_process_are_a_warning(line: str) -> None:
    """There is none, and files that have them are common."""
    (warning,) = compiled(f"[Service]\n{line}\n").warnings
    assert "has no effect: a pod is no process here" in str(warning)


# containers


BASE = "[Container]\nImage=localhost/web\n"


def member(lines: str, shop: str = "") -> Compiled[Container]:
    context = dataclasses.replace(NAMES, pods={"shop.pod": pod(shop)})
    return quadlet.compile_file("/etc/ctr/web.container", f"{BASE}{lines}", context)


def container(lines: str, shop: str = "") -> Container:
    result = member(lines, shop)
    assert result.problems == () and result.defined is not None
    return result.defined


def test_what_a_container_has_of_its_pod() -> None:
    """Network, host name, mounts, users, stop timeout, a place in slice and project; everything else is its own."""
    shop = "HostName=store\nVolume=/srv:/srv\nVolume=/tmp:/own\nUserNS=auto\nStopTimeout=3\n"
    found = container("Pod=shop.pod\nVolume=/mine:/own\n", shop)
    alone = container("Volume=/mine:/own\n")
    assert found == dataclasses.replace(
        alone,
        pod="shop",
        network=NetworkMode.POD,
        hostname="store",
        mounts=(*alone.mounts, Mount(MountType.BIND, "/srv", "/srv")),
        user_namespace=UserNamespace(),
        stop_timeout=3.0,
        membership=Membership(True, alone.mounts),
        unit=UnitSections(
            (Entry("PartOf", "ctr@shop.target"), Entry("Wants", "ctr@shop.target")),
            (Entry("Slice", "ctr-shop.slice"),),
            (Entry("WantedBy", "ctr@shop.target"),),
        ),
    )


def test_its_own_word_wins() -> None:
    """Over the pod's, where podman lets it."""
    found = container("Pod=shop.pod\nStopTimeout=7\n[Service]\nSlice=big.slice\n", "StopTimeout=3\n")
    assert (found.stop_timeout, found.unit.service) == (7.0, (Entry("Slice", "big.slice"),))


def test_one_that_the_pod_does_not_start() -> None:
    """It is part of the pod, and starts it, but is not wanted by it."""
    own = "[Install]\nWantedBy=x.target\n"
    found = container(f"Pod=shop.pod\nStartWithPod=false\n{own}", "[Install]\nWantedBy=y.target\n")
    assert found.unit.install == (Entry("WantedBy", "x.target"),)


@pytest.mark.parametrize(
    ("policy", "expected"), [("stop", ("ctr@shop.target", "y.target")), ("continue", ("ctr@shop.target",))]
)
def test_what_starts_the_pod_starts_its_containers(policy: str, expected: tuple[str, ...]) -> None:
    """With ExitPolicy=stop the target must not be wanted for ever by what is always up."""
    found = container("Pod=shop.pod\n", f"ExitPolicy={policy}\n[Install]\nWantedBy=y.target\nRequiredBy=z.target\n")
    assert found.unit.install == tuple(Entry("WantedBy", target) for target in expected)


def test_conditions_of_the_pod_are_its_containers() -> None:
    """None of them starts without the namespaces."""
    found = container("Pod=shop.pod\n", "[Unit]\nConditionPathExists=/x\nAfter=y.service\n")
    assert Entry("ConditionPathExists", "/x") in found.unit.unit
    assert Entry("After", "y.service") not in found.unit.unit


@pytest.mark.parametrize(
    ("shop", "expected"),
    [
        ("Network=none\n", (NetworkMode.POD, ("none",))),
        ("Network=host\n", (NetworkMode.HOST, ())),
        ("DNS=none\n", (NetworkMode.POD, ("none",))),
        ("DNS=10.0.0.1\n", (NetworkMode.POD, ())),
    ],
)
def test_the_network_of_the_pod(shop: str, expected: tuple[NetworkMode, tuple[str, ...]]) -> None:
    """The host's is joined as it is; where the pod has no resolver, the image's resolv.conf stays."""
    found = container("Pod=shop.pod\n", shop)
    assert (found.network, found.dns) == expected


@pytest.mark.parametrize(
    "line",
    [
        *("AddHost=a:10.0.0.1", "DNS=10.0.0.1", "DNSOption=ndots:1", "DNSSearch=x", "HostName=x", "IP=10.0.0.1"),
        *("IP6=fd00::1", "Network=back.network", "NetworkAlias=x", "PublishPort=80:80", "UserNS=auto"),
        *("UIDMap=0:1:2", "GIDMap=0:1:2", "SubUIDMap=x", "SubGIDMap=x", "RemapUsers=auto"),
    ],
)
def test_what_belongs_to_the_pod_is_refused(line: str) -> None:
    """As podman does, when the container is started."""
    (problem,) = member(f"Pod=shop.pod\n{line}\n").problems
    assert f":4: {line.partition('=')[0]}=: belongs to the pod" in str(problem)
    assert f"write it in {PATH}" in str(problem)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Pod=shop\n", "'shop' is not the name of a .pod file"),
        ("Pod=other.pod\n", "there is no valid other.pod beside this definition"),
        ("Pod=shop.pod\nStartWithPod=maybe\n", "StartWithPod=: "),
        ("Pod=shop.pod\nSysctl=net.ipv4.ip_forward=1\n", "would change the host with Network=host"),
    ],
)
def test_a_mistake_in_a_container(lines: str, expected: str) -> None:
    """One problem each."""
    (problem,) = member(lines, "Network=host\n").problems
    assert expected in str(problem)


def test_what_has_no_effect_in_a_container() -> None:
    """Is said."""
    (warning,) = member("Pod=shop.pod\nShmSize=1m\n").warnings
    assert "/dev/shm is the pod's" in str(warning)
    (warning,) = member("StartWithPod=no\n").warnings
    assert "it is in no pod" in str(warning)


def test_definitions_are_compiled_together() -> None:
    """A pod before its containers; one name for both, or one port for two, is told."""
    files = {
        PATH: "[Pod]\nPublishPort=80:8080\n",
        "/etc/ctr/web.container": f"{BASE}Pod=shop.pod\n",
        "/etc/ctr/other.container": f"{BASE}PublishPort=80:80\n",
        "/etc/ctr/shop.container": BASE,
    }
    loaded = load("/etc/ctr", tree({path: text.encode() for path, text in files.items()}))
    assert [one.pod for one in loaded.containers if one.name == "web"] == ["shop"]
    assert sorted(problem.message for problem in loaded.problems) == [
        "/etc/ctr/shop.container defines the container 'shop' too; rename one of them",
        "/etc/ctr/shop.pod defines the pod 'shop' too; rename one of them",
    ]
    assert {warning.file for warning in loaded.warnings if warning.key == "PublishPort"} == {
        "/etc/ctr/other.container",
        PATH,
    }
