"""Networks, and what one container has of them.

Definitions compile into `Network` and `Attachment`; `supervisor.network` fills in what was left open (subnets,
addresses) at deploy time, once, so that a start decides nothing and an address survives restarts and reboots.
Addresses and subnets are text as `ipaddress` prints it ('10.90.0.5', 'fd00::5', '10.90.0.0/24').
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: The network of containers whose author names none; it comes into being with the first of them.
DEFAULT = "ctr"


class NetworkMode(Enum):
    """Whose network a container sees."""

    NETWORKS = "networks"
    """A namespace of its own, attached to `Container.attachments`, or to the default network when there are none."""
    NONE = "none"
    """A namespace of its own with only ``lo``."""
    HOST = "host"
    CONTAINER = "container"
    """The namespace of the container `Container.network_container`."""
    POD = "pod"
    """That of the pod `Container.pod`, whatever it has."""


class Driver(Enum):
    """netavark's network drivers."""

    BRIDGE = "bridge"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet of a network."""

    subnet: str
    gateway: str = ""
    """Empty in a definition: the first address. A deployed subnet has one, except in a network without gateway
    (internal macvlan, say)."""
    first: str = ""
    """With *last*: the range that addresses are taken from; empty: all of the subnet."""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """One network. As a definition *subnets* may be empty and *interface* too; as deployed neither is (except
    *subnets* where *addressing* is false)."""

    name: str
    source: str
    """Where it came from: the definition's path, or the command line (``ctrctl network create``), or '' (default)."""
    driver: Driver = Driver.BRIDGE
    subnets: tuple[Subnet, ...] = ()
    ipv6: bool = False
    """A definition without subnets gets an IPv6 one too."""
    internal: bool = False
    """No route out, and no published ports."""
    dns: bool = True
    """Whether containers find each other by name."""
    nameservers: tuple[str, ...] = ()
    """Where names that are no container's are looked up; empty: the host's."""
    addressing: bool = True
    """False: no addresses at all (``IPAMDriver=none``)."""
    interface: str = ""
    """The bridge's name, or the parent device of macvlan and ipvlan; at most 15 characters."""
    options: tuple[tuple[str, str], ...] = ()
    """netavark's: 'mtu', 'isolate' ('true', 'strict'), 'vlan', 'metric', 'no_default_route', 'mode', …"""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """One container's wish to be in one network."""

    network: str
    aliases: tuple[str, ...] = ()
    """Further names beside the container's own."""
    ip: str = ""
    ip6: str = ""
    mac: str = ""
    interface: str = ""
    """Name inside the container; empty: eth0, eth1 … in order."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What one container was given in one network, recorded when it was deployed."""

    network: str
    interface: str
    addresses: tuple[str, ...]
    """At most one of each family, IPv4 first; without prefix length."""
    mac: str
    """Always set: a namespace that is made anew keeps it, and neighbours' ARP caches stay right."""


class Protocol(Enum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """*length* consecutive ports of the host that lead into the container."""

    container: int
    host: int = 0
    """First host port; 0 in a definition: any free one, chosen and recorded when it is deployed."""
    length: int = 1
    protocol: Protocol = Protocol.TCP
    address: str = ""
    """Host address to listen on; empty: all."""
