"""The document: what netavark, aardvark-dns and the container's files are made from, and that it can be read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.errors import InternalError, UserError
from supervisor.network import addresses, document, record
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Driver, Network, PublishedPort, Subnet

CTR = addresses.complete(addresses.DEFAULT, (), ())
BACK = addresses.complete(Network("back", "test", ipv6=True, nameservers=("9.9.9.9",)), (CTR,), ())
VAULT = addresses.complete(Network("vault", "test", internal=True), (CTR, BACK), ())
QUIET = addresses.complete(Network("quiet", "test", dns=False), (CTR, BACK, VAULT), ())
LAN = addresses.complete(
    Network("lan", "test", driver=Driver.MACVLAN, interface="eth9", subnets=(Subnet("192.0.2.0/24"),)), (), ()
)
NETWORKS = {n.name: n for n in (CTR, BACK, VAULT, QUIET, LAN)}


def made(*networks: str, hostname: str = "host1", **fields: Any) -> record.Record:
    attachments = tuple(Attachment(n, aliases=("alias",)) for n in networks)
    container = Container("web", "test", image="i", attachments=attachments, **fields)
    leases = addresses.lease(container, NETWORKS, {}, ())
    return record.Record(document.text(container, hostname, NETWORKS, leases, container.ports))


def test_what_netavark_gets() -> None:
    """Static addresses, one subnet for each, ports, and a metric that makes the first network the way out."""
    asked = json.loads(made("ctr", "back", ports=(PublishedPort(80, 8080, 2, address="127.0.0.1"),)).netavark)
    assert asked["networks"]["ctr"] == {
        "interface_name": "eth0",
        "static_ips": ["10.90.0.2"],
        "static_mac": "02:c7:0a:5a:00:02",
    }
    back = asked["network_info"]["back"]
    assert [len(back["subnets"]), back["ipv6_enabled"], back["dns_enabled"], back["options"]] == [
        2,
        True,
        False,
        {"metric": "101"},
    ]
    assert asked["port_mappings"] == [
        {"container_port": 80, "host_ip": "127.0.0.1", "host_port": 8080, "protocol": "tcp", "range": 2}
    ]


def test_the_wildcard_of_its_only_family_is_no_address() -> None:
    """netavark 1.4 takes '0.0.0.0' for an address that packets go to, and no packet does; '' says the same as long as
    the container has no address of the other family."""
    ports = (PublishedPort(80, 8080, address="0.0.0.0"), PublishedPort(80, 8080, address="::"))

    def asked(*networks: str) -> list[str]:
        return [port["host_ip"] for port in json.loads(made(*networks, ports=ports).netavark)["port_mappings"]]

    assert asked("ctr") == ["", "::"]
    assert asked("ctr", "back") == ["0.0.0.0", "::"]


def test_names() -> None:
    """Name, host name and aliases, in each network that serves names; upstream servers where there is a way out."""
    lines = {line[0]: line[1:] for line in made("ctr", "back", "vault", "quiet", "lan", dns=("1.1.1.1",)).dns}
    assert set(lines) == {"ctr", "back", "vault%int"}
    listen, upstream, entry = lines["back"]
    assert listen.split(",") == [s.gateway for s in BACK.subnets] and upstream == "9.9.9.9"
    assert entry.split(" ")[1:] == ["10.91.0.2", lines["back"][2].split(" ")[2], "web,host1,alias", "1.1.1.1"]
    assert lines["vault%int"][2].split(" ")[1:] == ["10.91.1.2", "", "web,host1,alias"]


def test_hosts_file() -> None:
    """localhost, what was added, the host, and the container itself in every network."""
    hosts = made("ctr", "back", hosts=(("db", "10.0.0.9"), ("gate", "host-gateway"))).hosts
    assert hosts[2:5] == ("10.0.0.9\tdb", "10.90.0.1\tgate", "10.90.0.1\thost.containers.internal host.docker.internal")
    assert [line.split("\t")[1] for line in hosts[5:]] == ["host1 web"] * 3
    with pytest.raises(UserError, match="web: host gate: there is no host-gateway without a bridge"):
        made("lan", hosts=(("gate", "host-gateway"),))


def test_resolver() -> None:
    """The gateways that serve names; else what was given; else the host's own servers, read at start."""
    served = made("ctr", "quiet", dns=("1.1.1.1",), dns_options=("ndots:2",))
    assert served.resolver[1:] == ("search dns.ctr", "nameserver 10.90.0.1", "options ndots:2")
    assert not served.host_servers and not served.host_search
    given = made("quiet", dns=("1.1.1.1",), dns_search=("example.org",))
    assert given.resolver[1:] == ("search example.org", "nameserver 1.1.1.1") and not given.host_servers
    host = made("quiet")
    assert host.host_servers and host.host_search and len(host.resolver) == 1
    assert made("ctr", dns_search=(".",)).resolver[1:] == ("nameserver 10.90.0.1",)
    assert made("ctr", dns=("none",)).resolver == ()


def test_bridges_that_come_and_go() -> None:
    """Not those of others: an unmanaged bridge, the parent of a macvlan."""
    assert made("ctr", "back", "lan").bridges == (("ctr", "ctr0"), ("back", "ctr-back"))
    unmanaged = addresses.complete(Network("br", "test", interface="br0", options=(("mode", "unmanaged"),)), (), ())
    container = Container("web", "test", image="i", attachments=(Attachment("br"),))
    leases = addresses.lease(container, {"br": unmanaged}, {}, ())
    assert record.Record(document.text(container, "h", {"br": unmanaged}, leases, ())).bridges == ()


@pytest.mark.parametrize("network", ["vault", "lan"])
def test_ports_need_a_way_in(network: str) -> None:
    """An internal network and a macvlan have none; that is said when it is deployed."""
    with pytest.raises(UserError, match=rf"web: port 80: cannot be published, as {network} is no bridge"):
        made(network, ports=(PublishedPort(80, 8080),))


def test_nothing_breaks_out_of_its_line() -> None:
    """Names with other characters, and control characters, are refused."""
    with pytest.raises(UserError, match="name 'a,b' on network ctr"):
        made("ctr", hostname="a,b")
    with pytest.raises(UserError, match="control character"):
        made("ctr", hosts=(("a\nport=tcp", "10.0.0.1"),))


def test_ports_are_read_back() -> None:
    """And another version is not read at all."""
    (port,) = made("ctr", ports=(PublishedPort(80, 8080, 2, address="::1"),)).ports
    assert (port.protocol, port.address, port.first, port.length) == ("tcp", "::1", 8080, 2)
    with pytest.raises(InternalError, match="version"):
        record.Record("ctr-network=2\n")
