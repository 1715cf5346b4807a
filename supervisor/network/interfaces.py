"""Names and hardware addresses of network interfaces. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address

from supervisor.errors import ConflictError, UserError
from supervisor.spec.network import DEFAULT, Attachment, Driver, Network

#: IFNAMSIZ of <linux/if.h>, less the final NUL.
_LONGEST = 15
_PREFIX = "ctr-"


def of_network(network: Network, others: Iterable[Network]) -> str:
    """The bridge of *network*, or the parent device of a macvlan or ipvlan one ('': that of the default route).

    Raises `UserError` for a name that the kernel would refuse or that is another network's bridge.
    """
    if network.driver is not Driver.BRIDGE:
        return _checked(network.interface) if network.interface else ""
    if network.interface:
        name = _checked(network.interface)
    elif network.name == DEFAULT:
        name = "ctr0"
    else:
        name = _PREFIX + network.name
        # A dot would be taken for a separator where sysctl names are written with dots.
        if len(name) > _LONGEST or "." in name:
            name = _PREFIX + hashlib.sha256(network.name.encode()).hexdigest()[: _LONGEST - len(_PREFIX)]
    for other in others:
        if other.driver is Driver.BRIDGE and other.interface == name:
            text = f"interface {name}: is the bridge of network {other.name}; choose another name"
            raise ConflictError(text).asked_by("InterfaceName Options", name)
    return name


def of_attachments(attachments: tuple[Attachment, ...]) -> tuple[str, ...]:
    """The names inside the container: those asked for, else eth0, eth1 … Raises `UserError` for one that is taken."""
    networks = [a.network for a in attachments]
    if twice := next((n for n in networks if networks.count(n) > 1), None):
        raise UserError(f"network {twice}: named twice; a container is in a network once")
    given = [_checked(a.interface) for a in attachments if a.interface]
    if twice := next((n for n in given if given.count(n) > 1 or n == "lo"), None):
        raise UserError(f"interface {twice}: named twice; each network needs an interface of its own")
    free = (name for number in range(2 * len(attachments)) if (name := f"eth{number}") not in given)
    return tuple(a.interface or next(free) for a in attachments)


def mac(wish: str, container: str, network: str, addresses: tuple[str, ...]) -> str:
    """The hardware address: the one asked for, else one made of the IPv4 address, which is unique in the network, else
    of the names. Locally administered and unicast (IEEE 802). Raises `UserError`."""
    if wish:
        return _checked_mac(wish)
    ipv4 = next((a for a in addresses if "." in a), None)
    if ipv4:
        tail = IPv4Address(ipv4).packed
    else:
        tail = hashlib.sha256(f"{container} {network} {' '.join(addresses)}".encode()).digest()[:4]
    return (b"\x02\xc7" + tail).hex(":")


def _checked_mac(text: str) -> str:
    words = text.lower().replace("-", ":").split(":")
    try:
        packed = bytes.fromhex("".join(words))
    except ValueError:
        packed = b""
    if len(packed) != 6 or any(len(word) != 2 for word in words):
        raise UserError(f"hardware address '{text}': not one; write 02:11:22:33:44:55, say")
    if packed[0] & 1 or not any(packed):
        raise UserError(f"hardware address {text}: is not one that an interface can have; its first byte must be even")
    return packed.hex(":")


def _checked(name: str) -> str:
    """dev_valid_name() of the kernel's net/core/dev.c, and no character that needs quoting anywhere."""
    if not 0 < len(name) <= _LONGEST:
        raise UserError(f"interface '{name}': use 1 to {_LONGEST} characters")
    if name in (".", "..") or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in name):
        raise UserError(f"interface '{name}': use letters, digits, '_', '.' and '-'")
    return name
