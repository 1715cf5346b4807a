"""What makes up a network: the values of a ``.network`` file and of ``ctrctl network create``. Pure.

Follows podman-network-create(1). What is left open is filled in when the network is deployed (`supervisor.network`).
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterable, Sequence

from supervisor.definitions import networks, values
from supervisor.errors import UserError
from supervisor.spec.network import Driver, Subnet

_Block = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: docker's names for what netavark has too.
_SYNONYMS = {"com.docker.network.driver.mtu": "mtu", "com.docker.network.bridge.name": "parent"}
_MODES = {
    Driver.BRIDGE: ("managed", "unmanaged"),
    Driver.MACVLAN: ("bridge", "private", "vepa", "passthru"),
    Driver.IPVLAN: ("l2", "l3", "l3s"),
}


def driver(text: str) -> Driver:
    """The kind of network."""
    try:
        return Driver(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a network driver; write bridge, macvlan or ipvlan") from error


def addressing(text: str) -> bool:
    """Whether there are addresses: ``host-local`` or ``none``."""
    if text == "dhcp":
        raise UserError(
            "dhcp needs a resident program for each network, and there is none; write Subnet= and IPRange=, "
            "a part of the subnet that the DHCP server leaves alone"
        )
    if text not in ("host-local", "none"):
        raise UserError(f"{values.short(text)} is not a way to give addresses; write host-local or none")
    return text == "host-local"


def subnet(text: str) -> _Block:
    """A subnet in CIDR notation."""
    try:
        if "/" not in text:
            raise ValueError("no prefix")
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a subnet; {_corrected(text)}") from error


def _corrected(text: str) -> str:
    try:
        block = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "write one like 10.91.5.0/24"
    return f"write {block}" if "/" in text else f"write {block.network_address}/24 or another length"


def address_range(text: str) -> tuple[_Address, _Address]:
    """First and last address of ``FIRST-LAST``, or of a block: there, as in podman, without its first address and,
    for IPv4, without its last, which are no host's."""
    first, dash, last = text.partition("-")
    if dash:
        low, high = _address(first), _address(last)
        if low.version != high.version or int(low) > int(high):
            raise UserError(f"{values.short(text)} is not a range; write the lower address first, both of one family")
        return low, high
    block = subnet(text)
    if block.num_addresses <= 2:
        return block[0], block[-1]
    return block[1], block[-2 if block.version == 4 else -1]


def _address(text: str) -> _Address:
    return ipaddress.ip_address(networks.address(text.strip()))


def with_gateway(found: Subnet, gateway: str) -> Subnet:
    """*found* with its router's address. Raises `UserError` when that lies elsewhere."""
    if ipaddress.ip_address(gateway) not in ipaddress.ip_network(found.subnet):
        raise UserError(f"{gateway} is not in {found.subnet}; {_ORDER}")
    return dataclasses.replace(found, gateway=gateway)


def with_range(found: Subnet, addresses: tuple[_Address, _Address]) -> Subnet:
    """*found* with the range that addresses are taken from. Raises `UserError` when that lies elsewhere."""
    block = ipaddress.ip_network(found.subnet)
    low, high = addresses
    if low not in block or high not in block:
        raise UserError(f"{low}-{high} is not in {block}; {_ORDER}")
    return dataclasses.replace(found, first=str(low), last=str(high))


_ORDER = "gateways and ranges belong to the subnets in the order in which they are written"


def check_subnets(kind: Driver, subnets: Sequence[Subnet], *, addressing: bool, internal: bool) -> None:
    """Raises `UserError` for a network that no container could have an address in."""
    if subnets and not addressing:
        raise UserError("there are no addresses, and a subnet says there are; keep one of the two")
    if not subnets and addressing and not internal and kind is not Driver.BRIDGE:
        raise UserError(f"{kind.value} needs the subnet of the network it joins; add it, or do without addresses")
    blocks = [ipaddress.ip_network(one.subnet) for one in subnets]
    for index, block in enumerate(blocks):
        for other in blocks[:index]:
            if block.version == other.version and block.overlaps(other):
                raise UserError(f"{block} and {other} overlap; write subnets apart from each other")


def option(text: str) -> tuple[str, str]:
    """NAME=VALUE of a driver's option; docker's names become netavark's."""
    name, equals, value = text.partition("=")
    name = _SYNONYMS.get(name, name)
    if not equals:
        raise UserError(f"{values.short(text)} is not an option; write NAME=VALUE, like mtu=1400")
    if name not in _OPTIONS:
        raise UserError(f"{values.short(name)} is no option of a network; there are {', '.join(_OPTIONS)}")
    return name, _OPTIONS[name](value)


def _flag(text: str) -> str:
    """What netavark reads as a bool; '' is the same as no option at all."""
    return "true" if values.boolean(text) else ""


_OPTIONS: dict[str, Callable[[str], str]] = {
    "mtu": lambda text: str(values.integer(text, 68, 65535)),
    "isolate": lambda text: text if text == "strict" else _flag(text),
    "vlan": lambda text: str(values.integer(text, 1, 4094)),
    "parent": networks.interface,
    "mode": str,
    "metric": lambda text: str(values.integer(text, 1, 2**32 - 1)),
    "no_default_route": _flag,
}


def options(kind: Driver, found: Iterable[tuple[str, str]]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The interface ('' if no option names one), and what is left for netavark. Raises `UserError` for an option that
    *kind* has not."""
    kept = dict(found)
    for name in ("isolate", "vlan") if kind is not Driver.BRIDGE else ():
        if kept.get(name):
            raise UserError(f"{name} is for bridges only, not for {kind.value}; remove it")
    mode = kept.get("mode")
    if mode is not None and mode not in _MODES[kind]:
        raise UserError(f"{values.short(mode)} is not a mode of {kind.value}; there are {', '.join(_MODES[kind])}")
    if mode == "managed":  # netavark's default, and no word of old versions
        del kept["mode"]
    return kept.pop("parent", ""), tuple((name, value) for name, value in kept.items() if value)
