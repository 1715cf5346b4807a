"""See that a bridge has the gateway addresses of its network. netavark gives them to a bridge that it makes, and never
looks at them again: a network whose subnets change while several containers are up would keep the old ones."""

from __future__ import annotations

import _socket

from supervisor.network import netavark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_IF_INET6 = "/proc/net/if_inet6"


def settle(wanted: Iterable[tuple[str, ...]]) -> None:
    """*wanted*: interface and address with prefix length. What an interface has of a family goes where one is missing:
    those who used it are about to get new addresses, too."""
    pairs = [(interface, address) for interface, address in wanted]
    for interface in dict.fromkeys(interface for interface, _ in pairs):
        for family, sign in (("-4", "."), ("-6", ":")):
            addresses = [a for i, a in pairs if i == interface and sign in a]
            if all(_has(interface, address.partition("/")[0]) for address in addresses):
                continue
            netavark.ip(family, "address", "flush", "dev", interface, "scope", "global")
            for address in addresses:
                nodad = ("nodad",) if sign == ":" else ()
                netavark.ip(family, "address", "add", address, "dev", interface, *nodad)


def _has(interface: str, address: str) -> bool:
    """Whether the host has *address*; an IPv6 one may still be tentative, so the kernel's list is read."""
    if ":" in address:
        digits = _socket.inet_pton(_socket.AF_INET6, address).hex()
        try:
            with open(_IF_INET6, encoding="ascii") as file:
                return any(line.startswith(digits) and line.split()[-1] == interface for line in file)
        except FileNotFoundError:
            return True  # no IPv6 here: netavark has said so, or nobody asked
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.bind((address, 0))
        return True
    except OSError:
        return False
    finally:
        sock.close()
