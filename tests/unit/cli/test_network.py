"""``ctrctl network``: what the words of ``create`` mean, and how networks are shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from supervisor.cli import listing, network
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.cli.parser import parser
from supervisor.deploy.records import NetworkRecord
from supervisor.deploy.state import Deployed
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Driver, Lease, Network, NetworkMode, Subnet
from supervisor.spec.record import Record


def created(*argv: str) -> Network:
    options = parser("network", "summary", ())
    network.configure("network", options)
    return network.definition(options.parse_args(("create", *argv)))


def test_a_name_alone_leaves_everything_open() -> None:
    """Subnet and interface are chosen when it is deployed."""
    assert created("back") == Network("back", "ctrctl network create")


def test_every_option_reaches_the_spec() -> None:
    """As podman-network-create(1) names them."""
    words = """
        --subnet 10.80.0.0/24 --gateway 10.80.0.254 --ip-range 10.80.0.128/25 --subnet fd00:80::/64 --ipv6 --internal
        --disable-dns --dns 9.9.9.9 --interface-name vault0 -o mtu=1400 --opt isolate=true --label a=b vault
    """
    assert created(*words.split()) == Network(
        name="vault",
        source="ctrctl network create",
        subnets=(Subnet("10.80.0.0/24", "10.80.0.254", "10.80.0.129", "10.80.0.254"), Subnet("fd00:80::/64")),
        ipv6=True,
        internal=True,
        dns=False,
        nameservers=("9.9.9.9",),
        interface="vault0",
        options=(("mtu", "1400"), ("isolate", "true")),
        labels=(("a", "b"),),
    )


def test_other_drivers() -> None:
    """What they stand on by either spelling; no names for containers, as in podman."""
    words = "-d macvlan --subnet 10.80.0.0/24"
    for parent in ("--interface-name eth0", "-o parent=eth0"):
        made = created(*words.split(), *parent.split(), "lan")
        assert (made.driver, made.interface, made.dns) == (Driver.MACVLAN, "eth0", False)
    assert not created("-d", "macvlan", "--ipam-driver", "none", "lan").addressing


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a/b", "NAME: network name 'a/b'"),
        ("host", "NAME: 'host' has a meaning of its own"),
        ("-d overlay x", "--driver: 'overlay'"),
        ("--subnet 10.80.0.1/24 x", "--subnet: '10.80.0.1/24' is not a subnet; write 10.80.0.0/24"),
        ("--subnet 10.80.0.0/24 --subnet 10.80.0.0/25 x", "--subnet: .* overlap"),
        ("--gateway 10.80.0.1 x", "--gateway: has no subnet"),
        ("--subnet 10.80.0.0/24 --gateway 10.81.0.1 x", "--gateway: 10.81.0.1 is not in 10.80.0.0/24"),
        ("--subnet 10.80.0.0/24 --ip-range 10.81.0.0/25 x", "--ip-range: .* is not in 10.80.0.0/24"),
        ("-o speed=1 x", "--opt: 'speed'"),
        ("-o parent=a --interface-name b x", "--opt: a and --interface-name b are two names"),
        ("--interface-name sixteencharacter x", "--interface-name: 'sixteencharacter'"),
        ("-d macvlan x", "--subnet: macvlan needs the subnet"),
        ("--ipam-driver dhcp x", "--ipam-driver: dhcp"),
        ("--subnet 10.80.0.0/24 --ipam-driver none x", "--subnet: there are no addresses"),
        ("--dns dns.example x", "--dns: 'dns.example' is not an IP address"),
    ],
)
def test_mistakes_name_the_option(words: str, message: str) -> None:
    """Every message begins with what to correct."""
    with pytest.raises(UserError, match=f"^{message}"):
        created(*words.split())


SUBNETS = (Subnet("10.80.0.0/24", "10.80.0.1"),)
BACK = NetworkRecord(
    Network("back", network.SOURCE),
    Network("back", network.SOURCE, subnets=SUBNETS, interface="ctr1", labels=(("tier", "back"),)),
)
IDLE = NetworkRecord(Network("idle", "/etc/ctr/idle.network"), Network("idle", "/etc/ctr/idle.network"))
WEB = Deployed(
    Container("web", "x", image="i", attachments=(Attachment("back", aliases=("www",)),)),
    Record("x", leases=(Lease("back", "eth0", ("10.80.0.2",), "02:00:00:00:00:02"),)),
)
ALONE = Deployed(Container("alone", "x", image="i", network=NetworkMode.NONE), Record("x"))


def test_a_network_knows_its_containers() -> None:
    """Addresses from the record, aliases from the spec; containers of other networks are not its."""
    found = network.document(BACK, (ALONE, WEB))
    assert found["containers"] == {
        "web": {"interface": "eth0", "addresses": ["10.80.0.2"], "mac": "02:00:00:00:00:02", "aliases": ["www"]}
    }
    assert found["subnets"] == [{"subnet": "10.80.0.0/24", "gateway": "10.80.0.1", "first": None, "last": None}]
    assert network.row(found) == ("back", "bridge", "10.80.0.0/24", "ctr1", "web")
    assert network.row(network.document(IDLE, (ALONE, WEB))) == ("idle", "bridge", "-", "-", "")


def test_the_default_network_is_of_containers_that_name_none() -> None:
    """Without attachments a container is in ctr."""
    bare = Deployed(Container("bare", "x", image="i"), Record("x"))
    default = NetworkRecord(Network("ctr", ""), Network("ctr", ""))
    assert list(network.document(default, (ALONE, WEB, bare))["containers"]) == ["bare"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["back", "idle"]),
        (["name=ck"], ["back"]),
        (["name=ck", "name=dle"], ["back", "idle"]),
        (["driver=macvlan"], []),
        (["label=tier"], ["back"]),
        (["label=tier=front"], []),
        (["dangling=true"], ["idle"]),
        (["dangling=false", "name=idle"], []),
    ],
)
def test_filters(filters: list[str], names: list[str]) -> None:
    """Values of a key are alternatives, keys and labels all have to fit."""
    wanted = listing.parse_filters(filters, network.FILTERS)
    every = [network.document(record, (WEB,)) for record in (BACK, IDLE)]
    assert [one["name"] for one in every if listing.matches(one, wanted)] == names


@pytest.mark.parametrize("text", ["name", "colour=red", "dangling=maybe", ""])
def test_filters_that_make_no_sense(text: str) -> None:
    """A filter that could never match is an error, not an empty list."""
    with pytest.raises(UserError, match=r"^filter "):
        listing.parse_filters([text], network.FILTERS)


def host(root: Path) -> Layout:
    layout = Layout(str(root))
    directory = Path(layout.container("web"))
    (directory / "current").mkdir(parents=True)
    (directory / "spec.json").write_text(codec.dumps(WEB.container))
    (directory / "deployed.json").write_text(codec.dumps(WEB.record))
    Path(layout.networks).mkdir()
    for record in (BACK, IDLE):
        Path(f"{layout.networks}/{record.network.name}.json").write_text(codec.dumps(record))
    return layout


def said(layout: Layout, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = guarded(("network", *words), Console(io.StringIO(), out, err, {}, layout))
    return code, out.getvalue(), err.getvalue()


def test_ls_and_inspect_read_what_deploy_wrote(tmp_path: Path) -> None:
    """A table, names, or JSON; one that does not exist is said, the others are shown all the same."""
    layout = host(tmp_path)
    assert said(layout, "ls", "-q") == (0, "back\nidle\n", "")
    assert said(layout, "ls")[1].splitlines()[1].split() == ["back", "bridge", "10.80.0.0/24", "ctr1", "web"]
    assert [one["name"] for one in json.loads(said(layout, "ls", "--format", "json")[1])] == ["back", "idle"]
    code, out, err = said(layout, "inspect", "nosuch", "back")
    assert (code, json.loads(out)[0]["containers"]["web"]["addresses"]) == (125, ["10.80.0.2"])
    assert err == "ctrctl: network nosuch: does not exist; 'ctrctl network ls' lists all\n"


def test_a_host_without_networks_lists_none(tmp_path: Path) -> None:
    """Not an error."""
    assert said(Layout(str(tmp_path)), "ls", "-q") == (0, "", "")
