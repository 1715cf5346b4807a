"""Pods: what is written for one, and what config.json and drop-ins of its containers say."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.errors import UserError
from supervisor.names import project_slice
from supervisor.paths import Layout
from supervisor.render import dropins, oci
from supervisor.render.pod import tree
from supervisor.render.tree import Networking, Tree
from supervisor.render.users import Accounts
from supervisor.spec.container import Entry, UnitSections
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod
from tests.unit.render.sample import FACTS, IMAGE, container


def config(**changes: Any) -> dict[str, Any]:
    one = container(**{"pod": "shop", "network": NetworkMode.POD, "hostname": "store", **changes})
    return oci.config(one, IMAGE, Accounts(IMAGE.passwd, IMAGE.group), FACTS, Layout())


def rendered(**changes: Any) -> Tree:
    pod = Pod("shop", "/etc/ctr/shop.pod", **changes)
    return tree(pod, ("db", "web"), Networking(document="ctr-network=1\nname=shop\n"), FACTS, Layout())


def drop_in(made: Tree, unit: str) -> str:
    (text,) = [file.text for file in made.units if file.path == f"/etc/systemd/system/{unit}.d/50-ctr.conf"]
    return text


def test_a_container_joins_the_namespaces_of_its_pod() -> None:
    """Network, ipc and uts by path; pid, mount and cgroup are its own. Host name and ping range are the namespaces'."""
    found = config()
    assert {one["type"]: one.get("path") for one in found["linux"]["namespaces"]} == {
        "network": "/run/netns/ctr-shop",
        "ipc": "/run/ctr/namespaces/shop/ipc",
        "uts": "/run/ctr/namespaces/shop/uts",
        "pid": None,
        "mount": None,
        "cgroup": None,
    }
    assert "hostname" not in found and "HOSTNAME=store" in found["process"]["env"]
    assert found["linux"]["sysctl"] == {}


def test_with_the_hosts_network() -> None:
    """Only that is the host's."""
    kinds = {one["type"] for one in config(network=NetworkMode.HOST)["linux"]["namespaces"]}
    assert kinds == {"ipc", "uts", "pid", "mount", "cgroup"}


def test_files_of_the_pod() -> None:
    """/dev/shm, /etc/hosts and /etc/resolv.conf."""
    sources = {mount["destination"]: mount["source"] for mount in config()["mounts"]}
    assert sources["/dev/shm"] == "/run/ctr/namespaces/shop/shm"
    assert sources["/etc/hosts"] == "/var/lib/ctr/containers/shop/resolving/hosts"
    assert sources["/etc/resolv.conf"] == "/var/lib/ctr/containers/shop/resolving/resolv.conf"
    assert "/etc/resolv.conf" not in {mount["destination"] for mount in config(dns=("none",))["mounts"]}


def test_it_needs_the_namespaces() -> None:
    """Also when the network is the host's."""
    for network in (NetworkMode.POD, NetworkMode.HOST):
        text = dropins.text(container(pod="shop", network=network), IMAGE, FACTS, Layout())
        assert "Requires=ctr-netns@shop.service\nAfter=ctr-netns@shop.service\n" in text


def test_the_units_of_a_pod() -> None:
    """The target needs the namespaces, which stop with it; [Unit] holds for both, what describes for the target."""
    unit = UnitSections((Entry("Description", "Mine"), Entry("After", "x.service")))
    made = rendered(unit=unit)
    target, namespaces = (drop_in(made, unit) for unit in ("ctr@shop.target", "ctr-netns@shop.service"))
    assert target.splitlines()[4:] == [
        "SourcePath=/etc/ctr/shop.pod",
        "Requires=ctr-netns@shop.service",
        "After=ctr-netns@shop.service",
        "StopWhenUnneeded=yes",
        "Description=Mine",
        "After=x.service",
    ]
    assert namespaces.splitlines()[4:] == [
        "Description=Namespaces of pod shop",
        "PartOf=ctr@shop.target",
        "After=x.service",
    ]
    assert "Description=Pod shop\n" in drop_in(rendered(), "ctr@shop.target")


@pytest.mark.parametrize(
    ("policy", "links"),
    [
        (ExitPolicy.STOP, ["y.service.requires/ctr@shop.target"]),
        (ExitPolicy.CONTINUE, ["x.target.wants/ctr@shop.target", "y.service.requires/ctr@shop.target"]),
    ],
)
def test_who_keeps_it(policy: ExitPolicy, links: list[str]) -> None:
    """One that is to stop with its last container is wanted by nobody but those."""
    install = UnitSections(install=(Entry("WantedBy", "x.target"), Entry("RequiredBy", "y.service")))
    made = rendered(exit_policy=policy, unit=install)
    assert [link.path.removeprefix("/etc/systemd/system/") for link in made.links] == links
    assert {link.target for link in made.links} == {"/usr/lib/systemd/system/ctr@.target"}
    assert ("StopWhenUnneeded=yes" in drop_in(made, "ctr@shop.target")) == (policy is ExitPolicy.STOP)


def test_who_comes_and_goes_is_not_in_the_document() -> None:
    """The names of its containers are no reason to make the namespaces anew."""
    made = rendered()
    assert made.text("members") == "db\nweb\n"
    assert "web" not in (made.text("network") or "")


def test_no_value_can_add_a_line() -> None:
    """What would is refused, with the pod's name."""
    for changes in ({"hostname": "a\nb"}, {"unit": UnitSections((Entry("After", "x\nWants=y"),))}):
        with pytest.raises(UserError, match=r"^shop: "):
            rendered(**changes)


def test_a_dash_is_no_level_of_slices() -> None:
    """systemd.slice(5): 'ctr-my-shop.slice' would lie in 'ctr-my.slice'."""
    assert project_slice("my-shop") == r"ctr-my\x2dshop.slice"
    assert project_slice("my.shop_1") == "ctr-my.shop_1.slice"
