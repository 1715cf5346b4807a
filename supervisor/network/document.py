"""What a container's network namespace is made from: the text that deploy writes and `ctr-netns` carries out. Pure.

One ``key=value`` a line, no quoting, keys may repeat, like the launcher's plan and for its reason: a JSON parser would
cost the program that reads it a third of its own time. Fields within a value are separated by tabs. What netavark gets
is JSON, but on one line, and passed on as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from supervisor.errors import UserError
from supervisor.network.record import VERSION
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Driver, Lease, Network, PublishedPort
from supervisor.spec.userns import IdMaps

#: Where containers find each other; aardvark-dns also answers to names without it.
DOMAIN = "dns.ctr"

_HOST_GATEWAY = "host-gateway"
_HOST_NAMES = ("host.containers.internal", "host.docker.internal")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")

#: netavark's own default for the first network's default route; each further one counts up, so the first one wins.
_METRIC = 100


def text(
    container: Container,
    hostname: str,
    networks: Mapping[str, Network],
    leases: tuple[Lease, ...],
    ports: tuple[PublishedPort, ...],
    id_maps: IdMaps | None = None,
) -> str:
    """The document of one container. *networks*: completed ones by name; *leases* and *ports*: as recorded. *id_maps*:
    of its user namespace.

    Raises `UserError` for a name or option that cannot be written, and for ports that nothing could lead to.
    """
    attached = tuple((networks[lease.network], lease) for lease in leases)
    try:
        _check_ports(attached, ports)
        netavark = json.dumps(_netavark(container, hostname, attached, ports), separators=(",", ":"))
        lines = [*_head(container.name, id_maps), f"netavark={netavark}"]
        lines += [f"bridge={network.name}\t{network.interface}" for network, _ in attached if _is_ours(network)]
        lines += [
            f"gateway={network.interface}\t{subnet.gateway}/{subnet.subnet.partition('/')[2]}"
            for network, _ in attached
            for subnet in network.subnets
            if _is_ours(network) and subnet.gateway
        ]
        lines += [f"port={port.protocol.value}\t{port.address}\t{port.host}\t{port.length}" for port in ports]
        lines += [f"dns={line}" for line in _dns(container, hostname, attached)]
        lines += [f"hosts={line}" for line in _hosts(container, hostname, attached)]
        lines += _resolver(container, attached)
    except UserError as error:
        raise type(error)(f"{container.name}: {error}") from error
    return "\n".join(lines) + "\n"


def without_network(name: str, id_maps: IdMaps | None) -> str:
    """The document of a container or pod *name* that has namespaces of its own, but no networks."""
    return "\n".join(_head(name, id_maps)) + "\n"


def _head(name: str, id_maps: IdMaps | None) -> list[str]:
    lines = [f"ctr-network={VERSION}", f"name={name}"]
    for key, ranges in (("user-map", id_maps.uids), ("group-map", id_maps.gids)) if id_maps else ():
        lines += [f"{key}={one.container}\t{one.host}\t{one.length}" for one in ranges]
    return lines


def _is_ours(network: Network) -> bool:
    """Whether the bridge is made and removed with the network."""
    return network.driver is Driver.BRIDGE and dict(network.options).get("mode") != "unmanaged"


def _check_ports(attached: tuple[tuple[Network, Lease], ...], ports: tuple[PublishedPort, ...]) -> None:
    if not ports:
        return
    if not any(network.driver is Driver.BRIDGE and not network.internal for network, _ in attached):
        names = ", ".join(network.name for network, _ in attached)
        raise UserError(
            f"port {ports[0].container}: cannot be published, as {names} is no bridge network that leads out; "
            "attach one, or publish no port"
        ).asked_by("PublishPort", str(ports[0].container))


# what netavark gets


def _netavark(
    container: Container, hostname: str, attached: tuple[tuple[Network, Lease], ...], ports: tuple[PublishedPort, ...]
) -> dict[str, Any]:
    """netavark's NetworkOptions (src/network/types.rs)."""
    return {
        "container_id": hashlib.sha256(container.name.encode()).hexdigest(),
        "container_name": container.name,
        "container_hostname": hostname,
        "networks": {
            network.name: {
                "interface_name": lease.interface,
                "static_ips": list(lease.addresses),
                "static_mac": lease.mac,
            }
            for network, lease in attached
        },
        "network_info": {
            network.name: _network_info(network, lease, position) for position, (network, lease) in enumerate(attached)
        },
        "port_mappings": [
            {
                "container_port": port.container,
                "host_ip": _host_ip(port.address, attached),
                "host_port": port.host,
                "protocol": port.protocol.value,
                "range": port.length,
            }
            for port in ports
        ],
    }


def _host_ip(address: str, attached: tuple[tuple[Network, Lease], ...]) -> str:
    """*address*, or '' for the wildcard of the only family the container has: netavark before pull request 638 makes
    rules for packets to '0.0.0.0', of which there are none."""
    families = {":" in one for _, lease in attached for one in lease.addresses}
    return "" if address in ("0.0.0.0", "::") and families == {":" in address} else address


def _network_info(network: Network, lease: Lease, position: int) -> dict[str, Any]:
    """One network as this container sees it: of its subnets those that it has an address in, as netavark pairs them."""
    options = dict(network.options)
    if position and network.driver is Driver.BRIDGE:
        options.setdefault("metric", str(_METRIC + position))
    info: dict[str, Any] = {
        "name": network.name,
        "id": hashlib.sha256(f"network {network.name}".encode()).hexdigest(),
        "driver": network.driver.value,
        # Names are ours to serve (`supervisor.network.dns`), so that whole files are written, by one who can be killed.
        "dns_enabled": False,
        "internal": network.internal,
        "ipv6_enabled": any(":" in address for address in lease.addresses),
        "options": options,
        "ipam_options": {"driver": "host-local" if network.addressing else "none"},
        "subnets": [_subnet(network, address) for address in lease.addresses],
    }
    if network.interface:
        info["network_interface"] = network.interface
    return info


def _subnet(network: Network, address: str) -> dict[str, str]:
    subnet = next(s for s in network.subnets if _contains(s.subnet, address))
    return {"subnet": subnet.subnet} | ({"gateway": subnet.gateway} if subnet.gateway else {})


def _contains(subnet: str, address: str) -> bool:
    block = ip_network(subnet)
    return (block.version == 6) == (":" in address) and ip_network(address).subnet_of(block)  # type: ignore[arg-type]


# names


def _gateways(network: Network, lease: Lease) -> list[str]:
    return [gateway for address in lease.addresses if (gateway := _subnet(network, address).get("gateway"))]


def _serves_names(network: Network) -> bool:
    """aardvark-dns listens on the gateways, and only a bridge's are the host's own."""
    return network.dns and network.driver is Driver.BRIDGE and bool(network.subnets)


def _attachment(container: Container, network: str) -> Attachment:
    return next((a for a in container.attachments if a.network == network), Attachment(network))


def _dns(container: Container, hostname: str, attached: tuple[tuple[Network, Lease], ...]) -> Iterator[str]:
    """Network, addresses to listen on, the network's name servers, entry of this container (aardvark-dns
    src/config/mod.rs)."""
    identity = hashlib.sha256(container.name.encode()).hexdigest()
    servers = [address for address in container.dns if address != "none"]
    for network, lease in attached:
        if not _serves_names(network):
            continue
        names = [container.name, hostname, *_attachment(container, network.name).aliases]
        for name in names:
            if not name or not set(name) <= _NAME_CHARACTERS:
                raise UserError(f"name '{name}' on network {network.name}: use letters, digits, '_', '.' and '-'")
        ipv4 = ",".join(a for a in lease.addresses if ":" not in a)
        ipv6 = ",".join(a for a in lease.addresses if ":" in a)
        words = [identity, ipv4, ipv6, ",".join(dict.fromkeys(name.lower() for name in names))]
        if servers and not network.internal:
            words.append(",".join(servers))
        upstream = () if network.internal else network.nameservers
        yield "\t".join((_file(network), ",".join(_gateways(network, lease)), ",".join(upstream), " ".join(words)))


def _file(network: Network) -> str:
    """aardvark-dns asks nobody outside for a network whose file is named so (src/config/constants.rs; since 1.7)."""
    return f"{network.name}%int" if network.internal else network.name


def _hosts(container: Container, hostname: str, attached: tuple[tuple[Network, Lease], ...]) -> Iterator[str]:
    """/etc/hosts, as podman fills it."""
    yield "127.0.0.1\tlocalhost localhost.localdomain"
    yield "::1\tlocalhost localhost.localdomain ip6-localhost ip6-loopback"
    host = next(
        (g for network, lease in attached if network.driver is Driver.BRIDGE for g in _gateways(network, lease)), ""
    )
    for name, address in container.hosts:
        if address == _HOST_GATEWAY and not host:
            text = f"host {name}: there is no {_HOST_GATEWAY} without a bridge network; write an address"
            raise UserError(text).asked_by("AddHost", name)
        yield _line(f"{host if address == _HOST_GATEWAY else address}\t{name}", f"host {name}")
    given = {name for name, _ in container.hosts}
    if host and (names := [name for name in _HOST_NAMES if name not in given]):
        yield f"{host}\t{' '.join(names)}"
    own = " ".join(dict.fromkeys((hostname, container.name)))
    for _, lease in attached:
        for address in lease.addresses:
            yield f"{address}\t{own}"


def _resolver(container: Container, attached: tuple[tuple[Network, Lease], ...]) -> Iterator[str]:
    """Lines of /etc/resolv.conf, and what is to be added of the host's own when the container starts."""
    if container.dns == ("none",):
        return
    yield "resolv=# Written by ctr when the container's network was set up."
    served = [gateway for network, lease in attached if _serves_names(network) for gateway in _gateways(network, lease)]
    # With names of our own, given servers are asked by aardvark-dns, for what no container is called.
    servers = served or list(container.dns)
    search = [domain for domain in container.dns_search if domain != "."]
    if not container.dns_search:
        search = [DOMAIN] if served else []
        if not served:
            yield "resolv-host-search=1"
    if search:
        yield _line(f"resolv=search {' '.join(search)}", "DNSSearch=")
    for server in servers:
        yield _line(f"resolv=nameserver {server}", "DNS=")
    if container.dns_options:
        yield _line(f"resolv=options {' '.join(container.dns_options)}", "DNSOption=")
    if not servers:
        yield "resolv-host=1"


def _line(line: str, what: str) -> str:
    if any(ord(character) < 32 and character != "\t" for character in line):
        raise UserError(f"{what}: contains a control character")
    return line
