"""When two published ports are in each other's way: one rule for definitions, deployment and the start. Pure.

It is the kernel's, for sockets as `supervisor.network.reservation` binds them: '::' with IPV6_V6ONLY, '' without.
Imports nothing, since what looks for a clash at a start may not import much.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.spec.network import PublishedPort


def collide(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether both want one port of the host. A port chosen at deploy time (0) never does."""
    if not one.host or not other.host or one.protocol is not other.protocol:
        return False
    if one.host >= other.host + other.length or other.host >= one.host + one.length:
        return False
    return overlap(one.address, other.address)


def overlap(one: str, other: str) -> bool:
    """Whether listening on the one address of the host is in the way of listening on the other.

    '' is all addresses, '0.0.0.0' all of IPv4, '::' all of IPv6.
    """
    return one == other or _covers(one, other) or _covers(other, one)


def _covers(listening: str, address: str) -> bool:
    if not listening or not address:
        return not listening
    return listening == ("::" if ":" in address else "0.0.0.0")
