"""Which subnet a network has, and which address a container has in it. Pure.

Decided when a definition is deployed, recorded, and kept from then on: a start decides nothing, and an address survives
restarts and reboots. Every refusal names who is in the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import chain

from supervisor.errors import ConflictError, NotFoundError, UserError
from supervisor.network import interfaces
from supervisor.spec.container import Container
from supervisor.spec.network import DEFAULT as DEFAULT_NAME
from supervisor.spec.network import Attachment, Driver, Lease, Network, Subnet

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network

DEFAULT = Network(DEFAULT_NAME, "", interface="ctr0")
"""The network of containers that name none, before `complete`."""

#: Subnets of the default network, the first that is free. podman has 10.88.0.0/16 and /24s from 10.89.0.0, docker
#: 172.17.0.0/16 upward.
DEFAULT_POOL = ("10.90.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.168.192.0/18")

#: Every other network has the first free /24 of these; the last two are for hosts that route all of 10.0.0.0/8.
POOL = ("10.91.0.0/16", "10.92.0.0/14", "10.96.0.0/11", "172.28.0.0/15", "192.168.128.0/18")
_POOL_PREFIX = 24

#: A network address, a broadcast address, a gateway and a container.
_LONGEST_PREFIX = {4: 30, 6: 126}


def complete(network: Network, others: Iterable[Network], used: Iterable[str]) -> Network:
    """*network* with everything that its definition left open: interface, subnets, gateways.

    *others*: the deployed networks; one of the same name is this one as it was, and keeps the subnets that were chosen
    for it. *used*: subnets that the host routes elsewhere. Raises `UserError`: a value that is not valid, a subnet that
    overlaps one of them (naming it), no free subnet.
    """
    others = tuple(others)
    before = next((o for o in others if o.name == network.name), None)
    others = tuple(o for o in others if o.name != network.name)
    try:
        network = replace(network, interface=interfaces.of_network(network, others))
        return replace(network, subnets=_subnets(network, before, others, tuple(used)))
    except ConflictError as error:
        raise ConflictError(f"network {network.name}: {error}") from error
    except UserError as error:
        raise UserError(f"network {network.name}: {error}") from error


def _subnets(
    network: Network, before: Network | None, others: tuple[Network, ...], used: tuple[str, ...]
) -> tuple[Subnet, ...]:
    if not network.addressing:
        if network.subnets:
            raise UserError("has subnets, but no addresses are to be given; leave out one of the two")
        return ()
    occupied = _occupied(network, others, used)
    if network.subnets:
        subnets = tuple(_checked(subnet, network) for subnet in network.subnets)
        for position, subnet in enumerate(subnets):
            block = ip_network(subnet.subnet)
            _check_overlap(block, (*occupied, *((ip_network(s.subnet), "itself") for s in subnets[:position])))
        return subnets
    if network.driver is not Driver.BRIDGE:
        raise UserError(
            f"a {network.driver.value} network needs the subnet of its parent device, as there is no DHCP; "
            "set its subnet, or IPAMDriver=none"
        ).asked_by("Driver")
    if before and _still_fits(before, network, occupied):
        return tuple(_checked(subnet, network) for subnet in before.subnets)
    chosen: list[Block] = [_free_ipv4(network.name, occupied)]
    if network.ipv6:
        chosen.append(_free_ipv6(network.name, occupied))
    return tuple(_checked(Subnet(str(block)), network) for block in chosen)


def _still_fits(before: Network, network: Network, occupied: tuple[tuple[Block, str], ...]) -> bool:
    """Whether what was chosen before has the wanted families and is still free."""
    blocks = [ip_network(subnet.subnet) for subnet in before.subnets]
    families = {4, 6} if network.ipv6 else {4}
    return {b.version for b in blocks} == families and not any(_overlap(b, o) for b in blocks for o, _ in occupied)


def _occupied(network: Network, others: tuple[Network, ...], used: tuple[str, ...]) -> tuple[tuple[Block, str], ...]:
    """What a subnet must not overlap, each with its owner in words."""
    found = [
        (ip_network(subnet.subnet), f"{subnet.subnet} of network {other.name}")
        for other in others
        # Several macvlan and ipvlan networks may share one segment: their parent's.
        if Driver.BRIDGE in (network.driver, other.driver)
        for subnet in other.subnets
    ]
    if network.driver is Driver.BRIDGE:
        found += [(ip_network(text, strict=False), f"{text}, which this host routes elsewhere") for text in used]
    return tuple(found)


def _checked(subnet: Subnet, network: Network) -> Subnet:
    """*subnet* with its gateway, every part of it valid and as `ipaddress` prints it."""
    try:
        block = ip_network(subnet.subnet, strict=False)
    except ValueError as error:
        raise UserError(f"subnet '{subnet.subnet}': not a subnet; write 10.91.0.0/24, say") from error
    if block.is_multicast or block.is_loopback or block.is_link_local or block.is_unspecified or not block.prefixlen:
        raise UserError(f"subnet {block}: is reserved; use a private one such as 10.91.0.0/24")
    if block.prefixlen > _LONGEST_PREFIX[block.version]:
        raise UserError(f"subnet {block}: has no room for a gateway and a container; use at most /30 (/126)")
    first, last = (_inside(block, text, "range") if text else None for text in (subnet.first, subnet.last))
    if first and last and int(first) > int(last):
        raise UserError(f"range {first}-{last}: ends before it begins")
    gateway = ""
    if subnet.gateway:
        gateway = str(_inside(block, subnet.gateway, "gateway"))
    elif network.driver is Driver.BRIDGE or not network.internal:
        gateway = str(block[1])
    return Subnet(str(block), gateway, str(first or ""), str(last or ""))


def _inside(block: Block, text: str, what: str) -> Address:
    """*text* as an address that a host in *block* can have."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise UserError(f"{what} '{text}': not an address") from error
    if address not in block:
        raise UserError(f"{what} {address}: outside of subnet {block}")
    if address == block.network_address or (block.version == 4 and address == block.broadcast_address):
        raise UserError(f"{what} {address}: stands for subnet {block} as a whole; use another address in it")
    return address


def _overlap(one: Block, other: Block) -> bool:
    return one.version == other.version and one.overlaps(other)


def _check_overlap(block: Block, occupied: Iterable[tuple[Block, str]]) -> None:
    for other, owner in occupied:
        if _overlap(block, other):
            text = f"subnet {block}: overlaps {owner}; choose another subnet"
            raise ConflictError(text).asked_by("Subnet", str(block))


def _free_ipv4(name: str, occupied: tuple[tuple[Block, str], ...]) -> Block:
    default = name == DEFAULT_NAME
    pools = [IPv4Network(text) for text in (DEFAULT_POOL if default else POOL)]
    candidates = pools if default else chain.from_iterable(p.subnets(new_prefix=_POOL_PREFIX) for p in pools)
    for block in candidates:
        if not any(_overlap(block, other) for other, _ in occupied):
            return block
    raise ConflictError(
        f"no free subnet in {', '.join(DEFAULT_POOL if default else POOL)}; remove a network, or set a subnet"
    )


def _free_ipv6(name: str, occupied: tuple[tuple[Block, str], ...]) -> Block:
    """A unique local /64 (RFC 4193) made of the network's name, so that it is the same whenever it is made."""
    attempt = 0
    while True:
        digest = hashlib.sha256(f"ctr network {name} {attempt}".encode()).digest()
        block = IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))
        if not any(_overlap(block, other) for other, _ in occupied):
            return block
        attempt += 1


def lease(
    container: Container,
    networks: Mapping[str, Network],
    taken: Mapping[str, Mapping[str, str]],
    before: tuple[Lease, ...],
) -> tuple[Lease, ...]:
    """What *container* gets in each of its networks (the default network when it names none).

    *networks*: completed ones by name. *taken*: for each network the addresses of others, with who has them. *before*:
    what was recorded for this container, kept where it still fits. Raises `UserError`: no such network, an address that
    is not to be had (naming who has it), a subnet without free addresses.
    """
    attachments = container.attachments or (Attachment(DEFAULT_NAME),)
    try:
        names = interfaces.of_attachments(attachments)
        leases = []
        for attachment, interface in zip(attachments, names, strict=True):
            network = networks.get(attachment.network)
            if network is None:
                raise NotFoundError(
                    f"network {attachment.network}: no such network; 'ctrctl network ls' lists those there are"
                ).asked_by("Network", attachment.network)
            others = taken.get(network.name, {})
            recorded = next((item.addresses for item in before if item.network == network.name), ())
            addresses = _addresses(attachment, network, others, recorded)
            mac = interfaces.mac(attachment.mac, container.name, network.name, addresses)
            leases.append(Lease(network.name, interface, addresses, mac))
        return tuple(leases)
    except UserError as error:
        raise type(error)(f"{container.name}: {error}") from error


def _addresses(
    attachment: Attachment, network: Network, others: Mapping[str, str], recorded: tuple[str, ...]
) -> tuple[str, ...]:
    found = []
    for version, wish in ((4, attachment.ip), (6, attachment.ip6)):
        subnets = [s for s in network.subnets if ip_network(s.subnet).version == version]
        if wish:
            try:
                found.append(_wished(wish, version, network, subnets, others))
            except UserError as error:
                error.asked_by("IP IP6 Network", wish)
                raise
        elif subnets:
            kept = next((a for a in recorded if _fits(a, subnets, others)), None)
            found.append(kept or _lowest_free(network, subnets, others))
    return tuple(found)


def _wished(wish: str, version: int, network: Network, subnets: list[Subnet], others: Mapping[str, str]) -> str:
    what = f"address {wish} on network {network.name}"
    try:
        address = ip_address(wish)
    except ValueError as error:
        raise UserError(f"{what}: not an address") from error
    if address.version != version:
        raise UserError(f"{what}: is not an IPv{version} address")
    subnet = next((s for s in subnets if address in ip_network(s.subnet)), None)
    if subnet is None:
        has = ", ".join(s.subnet for s in network.subnets) or "no addresses"
        raise UserError(f"{what}: outside of its subnet; it has {has}")
    _inside(ip_network(subnet.subnet), wish, "address")
    if str(address) == subnet.gateway:
        raise ConflictError(f"{what}: is the gateway's; choose another")
    if holder := others.get(str(address)):
        raise ConflictError(f"{what}: held by {holder}; choose another")
    return str(address)


def _bounds(subnet: Subnet) -> tuple[int, int]:
    """First and last address that may be given, as numbers."""
    block = ip_network(subnet.subnet)
    first = int(ip_address(subnet.first)) if subnet.first else int(block.network_address) + 1
    last = int(ip_address(subnet.last)) if subnet.last else int(block.broadcast_address) - (block.version == 4)
    return first, last


def _fits(text: str, subnets: list[Subnet], others: Mapping[str, str]) -> bool:
    """Whether a recorded address may be kept."""
    address = ip_address(text)
    for subnet in subnets:
        first, last = _bounds(subnet)
        if address in ip_network(subnet.subnet) and first <= int(address) <= last:
            return text != subnet.gateway and text not in others
    return False


def _lowest_free(network: Network, subnets: list[Subnet], others: Mapping[str, str]) -> str:
    for subnet in subnets:
        for address in _candidates(subnet):
            if address != subnet.gateway and address not in others:
                return address
    ranges = ", ".join(_range(subnet) for subnet in subnets)
    raise ConflictError(
        f"network {network.name}: no free address left in {ranges}; remove a container, or use a larger subnet"
    ).asked_by("Network", network.name)


def _range(subnet: Subnet) -> str:
    part = subnet.first or subnet.last
    return f"{subnet.first or '…'}-{subnet.last or '…'} of {subnet.subnet}" if part else subnet.subnet


def _candidates(subnet: Subnet) -> Iterator[str]:
    first, last = _bounds(subnet)
    kind = IPv4Address if ip_network(subnet.subnet).version == 4 else IPv6Address
    return (str(kind(number)) for number in range(first, last + 1))
