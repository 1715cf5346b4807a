"""Networks and volumes in a deployment: they come with their definitions, keep what they were given, and go only when
nobody uses them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from supervisor.deploy import state
from supervisor.errors import ConflictError, DefinitionError, NotFoundError
from supervisor.names import namespace_unit
from supervisor.render.tree import NETWORK
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.network import DEFAULT, Attachment, Network, NetworkMode, PublishedPort, Subnet
from supervisor.spec.record import Record
from supervisor.spec.volume import Volume
from tests.unit.deploy.host import Neighbourhood, Place, Refusing


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def attached(place: Place, name: str, *networks: str, **changes: object) -> Container:
    """A container in *networks*, the default one when there are none."""
    attachments = tuple(Attachment(network) for network in networks)
    return place.container(name, network=NetworkMode.NETWORKS, attachments=attachments, **changes)


def network(place: Place, name: str, *subnets: str) -> Network:
    return Network(name, f"{place.layout.definitions}/{name}.network", subnets=tuple(Subnet(s) for s in subnets))


def apply(place: Place, *containers: Container, networks: tuple[Network, ...] = (), **options: object) -> object:
    return place.deployment().apply(
        containers, networks=networks, prune=lambda c: c.source.startswith(place.layout.definitions), **options
    )


def address(place: Place, name: str) -> str:
    (lease,) = place.deployment().leases()[name]
    return lease.addresses[0]


def problems(place: Place, *containers: Container, networks: tuple[Network, ...] = ()) -> str:
    with pytest.raises(DefinitionError) as raised:
        apply(place, *containers, networks=networks)
    return str(raised.value)


def test_the_default_network_comes_with_its_first_container(place: Place) -> None:
    """Nobody has to make it; a host without such a container has none."""
    apply(place, place.container("alone"))
    assert place.deployment().networks() == ()
    apply(place, attached(place, "web"))
    (made,) = place.deployment().networks()
    assert made.name == DEFAULT and made.subnets and made.interface


def test_an_address_stays_whatever_is_deployed_beside_it(place: Place) -> None:
    """A new deployment, with more containers that sort before and after, leaves every address as it is."""
    apply(place, attached(place, "m"))
    before = address(place, "m")
    apply(place, attached(place, "a"), attached(place, "m", command="two"), attached(place, "z"))
    assert address(place, "m") == before
    assert len({address(place, name) for name in "amz"}) == 3


def test_an_address_is_free_once_its_container_is_removed(place: Place) -> None:
    """Removal is what ends a lease; nothing else has to be told."""
    apply(place, attached(place, "one"), attached(place, "two"))
    freed = address(place, "one")
    place.deployment().remove("one")
    apply(place, attached(place, "two"), attached(place, "three"))
    assert address(place, "three") == freed


def test_the_namespace_is_rendered_from_what_was_given(place: Place) -> None:
    """The document, the path in config.json and the unit's dependency agree on whose namespace it is."""
    side = place.container("side", network=NetworkMode.CONTAINER, network_container="web")
    apply(place, attached(place, "web"), side)
    directory = Path(place.layout.container("web"))
    assert address(place, "web") in (directory / "current" / NETWORK).read_text()
    for name in ("web", "side"):
        config = json.loads((Path(place.layout.container(name)) / "config.json").read_text())
        spaces = {n["type"]: n.get("path") for n in config["linux"]["namespaces"]}
        assert spaces["network"] == place.layout.namespace("web")
        dropin = Path(place.layout.units, f"ctr@{name}.service.d/50-ctr.conf").read_text()
        assert f"Requires={namespace_unit('web')}" in dropin and f"After={namespace_unit('web')}" in dropin


def test_a_changed_network_restarts_the_namespaces_in_it(place: Place) -> None:
    """A running container gets a new namespace when its network's subnet changes, and keeps it when nothing does."""
    first = network(place, "shop", "10.20.0.0/24")
    apply(place, attached(place, "web", "shop"), networks=(first,))
    place.systemd.active |= {"ctr@web.service": "active", namespace_unit("web"): "active"}
    place.systemd.calls.clear()
    apply(place, attached(place, "web", "shop"), networks=(first,))
    assert place.systemd.calls == []
    apply(place, attached(place, "web", "shop"), networks=(network(place, "shop", "10.21.0.0/24"),))
    assert f"try-restart {namespace_unit('web')}" in place.systemd.calls
    assert address(place, "web").startswith("10.21.0.")


def test_a_namespace_that_only_another_uses_is_made_anew(place: Place) -> None:
    """Its own container is down, and a sidecar runs in it: it must not keep an address that is no longer its own."""
    side = place.container("side", network=NetworkMode.CONTAINER, network_container="web")
    apply(place, attached(place, "web"), side)
    place.systemd.active |= {"ctr@side.service": "active", namespace_unit("web"): "active"}
    place.systemd.calls.clear()
    apply(place, attached(place, "web", ports=(PublishedPort(80, 8080),)), side)
    assert place.systemd.calls == [f"try-restart {namespace_unit('web')}"]


@pytest.mark.parametrize("flush", [3, 4])
def test_what_a_killed_apply_owes_is_done_by_the_next(place: Place, flush: int) -> None:
    """Killed after the switch: the next apply, which finds nothing changed, has systemd reload and restart."""
    apply(place, attached(place, "web"))
    place.systemd.active |= {"ctr@web.service": "active", namespace_unit("web"): "active"}
    child = os.fork()
    if not child:
        disk = Refusing(fatal=True)
        disk.at = -1
        disk.flushes = flush
        changed = attached(place, "web", ports=(PublishedPort(80, 8080),))
        place.deployment(disk).apply((changed,), prune=lambda _: False)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    place.systemd.calls.clear()
    again = attached(place, "web", ports=(PublishedPort(80, 8080),))
    report = place.deployment().apply((again,), prune=lambda _: False)
    assert report.restarted == ("web",)
    assert place.systemd.calls[0] == "daemon-reload"
    assert place.systemd.calls[-2:] == [f"try-restart {namespace_unit('web')}", "start ctr@web.service"]
    place.systemd.calls.clear()
    place.deployment().apply((again,), prune=lambda _: False)
    assert place.systemd.calls == []


def wishes(place: Place, **addresses: str) -> tuple[Container, ...]:
    """Containers in the network shop that ask for these addresses; '' asks for none."""
    return tuple(
        place.container(name, network=NetworkMode.NETWORKS, attachments=(Attachment("shop", ip=ip),))
        for name, ip in addresses.items()
    )


def test_who_asks_for_an_address_comes_before_who_had_it(place: Place) -> None:
    """Whatever the order of names: in one apply, after a swap, and for one that was given up or merely given."""
    shop = (network(place, "shop", "10.20.0.0/24"),)
    apply(place, *wishes(place, a="", b="10.20.0.2"), networks=shop)
    assert (address(place, "a"), address(place, "b")) == ("10.20.0.3", "10.20.0.2")
    apply(place, *wishes(place, a="10.20.0.2", b="10.20.0.3"), networks=shop)
    assert (address(place, "a"), address(place, "b")) == ("10.20.0.2", "10.20.0.3")
    apply(place, *wishes(place, a="", b="10.20.0.2"), networks=shop)
    assert address(place, "b") == "10.20.0.2" != address(place, "a")
    has = address(place, "a")
    assert f"address {has} on network shop: held by a" in problems(place, *wishes(place, a="", b=has), networks=shop)
    assert "held by a" in problems(place, *wishes(place, a="10.20.0.9", b="10.20.0.9"), networks=shop)


def test_a_port_that_somebody_names_is_no_free_port(place: Place) -> None:
    """When both come at once; and one that was chosen stays."""
    anybody, chosen = PublishedPort(80), PublishedPort(80, 20000)
    apply(place, attached(place, "a", ports=(anybody,)), attached(place, "b", ports=(chosen,)))
    assert [r.ports[0].host for r in records(place)] == [20001, 20000]
    place.deployment().remove("b")
    apply(place, attached(place, "a", ports=(anybody,)), attached(place, "c", ports=(anybody,)))
    assert [r.ports[0].host for r in records(place)] == [20001, 20000]


def test_the_default_network_outlives_its_definition(place: Place) -> None:
    """A ctr.network that is removed leaves the network, as a container is in it."""
    apply(place, attached(place, "web"), networks=(network(place, DEFAULT),))
    before = address(place, "web")
    apply(place, attached(place, "web"))
    assert [n.name for n in place.deployment().networks()] == [DEFAULT]
    assert address(place, "web") == before


def test_a_volume_that_is_no_longer_mounted_has_no_unit(place: Place) -> None:
    """A definition that loses its device becomes a plain directory; not while a container has it mounted."""
    source = f"{place.layout.definitions}/data.volume"
    mounted, plain = Volume("data", source, type="tmpfs", device="tmpfs"), Volume("data", source)
    user = place.container("db", mounts=(Mount(MountType.VOLUME, "/data", "data"),))
    place.deployment().apply((user,), volumes=(mounted,), prune=lambda _: False)
    (unit,) = Path(place.layout.units).glob("*.mount")
    place.systemd.active["ctr@db.service"] = "active"
    with pytest.raises(DefinitionError, match="volume data: is mounted for db; stop what uses it first"):
        place.deployment().apply((user,), volumes=(plain,), prune=lambda _: False)
    place.systemd.active.clear()
    place.deployment().apply((user,), volumes=(plain,), prune=lambda _: False)
    assert f"stop {unit.name}" in place.systemd.calls and not unit.exists()


def test_a_network_keeps_the_subnet_that_was_chosen_for_it(place: Place) -> None:
    """Also when another option of its definition changes, and a lower one is free by then."""
    apply(place, networks=(network(place, "first"), network(place, "shop")))
    _, before = place.deployment().networks()
    apply(place, networks=(dataclasses.replace(network(place, "shop"), labels=(("a", "b"),)),))
    (after,) = place.deployment().networks()
    assert after.subnets == before.subnets and after.labels


def test_a_network_goes_with_its_definition_unless_it_is_used(place: Place) -> None:
    """Not while a container that stays is in it: the error names both."""
    shop = network(place, "shop")
    other = dataclasses.replace(attached(place, "web", "shop"), source="ctrctl run")
    apply(place, networks=(shop,))
    place.deployment().apply((other,), prune=lambda _: False)
    assert "network shop: container web uses it as it is" in problems(place)
    place.deployment().remove("web")
    apply(place)
    assert place.deployment().networks() == ()


@pytest.mark.parametrize(
    ("containers", "networks", "message"),
    [
        (("missing",), (), "missing"),
        ((), (("a", "10.20.0.0/16"), ("b", "10.20.5.0/24")), "overlap"),
        ((), (("a", "192.168.7.0/24"),), "overlap"),
    ],
)
def test_what_cannot_be_is_an_error_and_changes_nothing(
    place: Place, containers: tuple[str, ...], networks: tuple[tuple[str, str], ...], message: str
) -> None:
    """A network that does not exist, a subnet of another network or of the host: refused before anything is written."""
    place.neighbourhood = Neighbourhood(("192.168.0.0/16",))
    before = place.snapshot()
    defined = tuple(network(place, *one) for one in networks)
    assert message in problems(place, *(attached(place, f"c{n}", n) for n in containers), networks=defined)
    assert place.snapshot() == before


def test_joining_a_container_without_a_network_is_refused(place: Place) -> None:
    """There is no namespace of its own to share with Network=host or none, or of a container that does not exist."""
    side = place.container("side", network=NetworkMode.CONTAINER, network_container="web")
    assert "'web', whose network it is to share, does not exist" in problems(place, side)
    assert "'web' has no network of its own" in problems(place, side, place.container("web"))


def test_a_free_port_is_chosen_once(place: Place) -> None:
    """Host port 0 becomes a free one, no other container's and none the host listens on, and stays."""
    wish = (PublishedPort(80),)
    apply(place, attached(place, "a", ports=wish), attached(place, "b", ports=wish))
    chosen = [r.ports[0].host for r in records(place)]
    assert all(chosen) and len(set(chosen)) == 2
    apply(place, attached(place, "a", ports=wish, command="new"), attached(place, "b", ports=wish))
    assert [r.ports[0].host for r in records(place)] == chosen


def records(place: Place) -> list[Record]:
    return [deployed.record for deployed in state.read_all(place.layout)]


def test_a_volume_stays_when_its_definition_goes(place: Place) -> None:
    """Data is removed by name only, and never while a container uses it."""
    data = Volume("data", f"{place.layout.definitions}/data.volume")
    user = place.container("db", mounts=(Mount(MountType.VOLUME, "/data", "data"),))
    place.deployment().apply((user,), volumes=(data,), prune=lambda _: True)
    with pytest.raises(ConflictError, match="container db uses it"):
        place.deployment().remove_volume("data")
    place.deployment().apply((), prune=lambda _: True)
    assert place.deployment().volumes() == (data,)
    place.deployment().remove_volume("data")
    assert place.deployment().volumes() == ()
    with pytest.raises(NotFoundError):
        place.deployment().remove_volume("data")


def test_one_that_has_not_run_yet_is_not_removed_in_place_of_another(tmp_path: Path) -> None:
    """A container of the same name that is deployed while the clean-up of its predecessor is under way stays."""
    place = Place(tmp_path)
    apply(place, place.container("web", remove=True))
    place.deployment().remove_ended("web")
    assert place.deployment().get("web")
    Path(place.layout.container("web"), "last-exit").write_text("{}")
    place.deployment().remove_ended("web")
    assert place.deployment().deployed() == ()
