"""Networks and volumes in a deployment: they come with their definitions, keep what they were given, and go only when
nobody uses them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from supervisor.errors import ConflictError, DefinitionError, NotFoundError
from supervisor.names import namespace_unit
from supervisor.render.tree import NETWORK
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.network import DEFAULT, Attachment, Network, NetworkMode, PublishedPort, Subnet
from supervisor.spec.volume import Volume
from tests.unit.deploy.host import Neighbourhood, Place


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
    place.systemd.active["ctr@web.service"] = "active"
    place.systemd.calls.clear()
    apply(place, attached(place, "web", "shop"), networks=(first,))
    assert place.systemd.calls == []
    apply(place, attached(place, "web", "shop"), networks=(network(place, "shop", "10.21.0.0/24"),))
    assert f"try-restart {namespace_unit('web')}" in place.systemd.calls
    assert address(place, "web").startswith("10.21.0.")


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
    chosen = [d.ports[0].host for d in records(place)]
    assert all(chosen) and len(set(chosen)) == 2
    apply(place, attached(place, "a", ports=wish, command="new"), attached(place, "b", ports=wish))
    assert [d.ports[0].host for d in records(place)] == chosen


def records(place: Place) -> list[object]:
    from supervisor.deploy import state

    return [d.record for d in state.read_all(place.layout)]  # type: ignore[misc]


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
