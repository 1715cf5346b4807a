"""What the host's kernel says of its own addresses and ports: read from /proc/net, changed never.

Routes are the main table's. Ports are those that something listens on; a port that is only reserved for a container
(`supervisor.network.reservation`) is in no table of the kernel, but in that container's record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from itertools import chain

_REJECT = 0x200
_LISTEN = "0A"
#: A shorter prefix is half of the Internet (a VPN that takes all traffic), not a place that containers must avoid.
_SHORTEST = {4: 7, 6: 8}


def host_subnets(ours: Collection[str], proc: str = "/proc") -> tuple[str, ...]:
    """Subnets that the host reaches by other interfaces than *ours* (the bridges of our networks), sorted."""
    found: set[IPv4Network | IPv6Network] = set()
    routes: Iterator[tuple[str, IPv4Network | IPv6Network]] = chain(_ipv4_routes(proc), _ipv6_routes(proc))
    for interface, network in routes:
        local = network.is_loopback or network.is_link_local or network.is_multicast
        if interface not in ours and network.prefixlen >= _SHORTEST[network.version] and not local:
            found.add(network)
    return tuple(map(str, sorted(found, key=lambda n: (n.version, int(n.network_address), n.prefixlen))))


def busy_ports(proc: str = "/proc") -> frozenset[tuple[str, int]]:
    """Protocol and number of every port that a socket of the host listens on, whatever its address."""
    found = ((protocol, port) for protocol in ("tcp", "udp", "sctp") for _, port, _ in listeners(protocol, proc))
    return frozenset(found)


def listeners(protocol: str, proc: str = "/proc") -> Iterator[tuple[str, int, int]]:
    """Address, port and inode of each listening socket. *protocol*: 'tcp', 'udp' or 'sctp'.

    '' stands for IPv6's wildcard: which of those sockets take IPv4 too is not in the kernel's tables.
    """
    if protocol == "sctp":
        yield from _sctp_listeners(proc)
        return
    for table in (protocol, f"{protocol}6"):
        for fields in _table(f"{proc}/net/{table}"):
            if protocol == "udp" or fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                yield _address(address), int(port, 16), int(fields[9])


def _sctp_listeners(proc: str) -> Iterator[tuple[str, int, int]]:
    """ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS"""
    for fields in _table(f"{proc}/net/sctp/eps"):
        addresses = fields[8:] or ["0.0.0.0"]
        for address in addresses:
            yield "" if address == "::" else address, int(fields[5]), int(fields[7])


def _ipv4_routes(proc: str) -> Iterator[tuple[str, IPv4Network]]:
    """Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers in hexadecimal and host byte order."""
    for fields in _table(f"{proc}/net/route"):
        destination, mask = (int.from_bytes(bytes.fromhex(fields[n])[::-1], "big") for n in (1, 7))
        yield fields[0], IPv4Network((destination, str(IPv4Address(mask))))


def _ipv6_routes(proc: str) -> Iterator[tuple[str, IPv6Network]]:
    """Destination, its prefix length, source, its prefix length, next hop, metric, counters, flags, interface."""
    for fields in _table(f"{proc}/net/ipv6_route", header=False):
        if fields[9] != "lo" or int(fields[8], 16) & _REJECT:
            yield fields[9], IPv6Network((bytes.fromhex(fields[0]), int(fields[1], 16)))


def _table(path: str, *, header: bool = True) -> Iterator[list[str]]:
    """The lines of a table as fields; none where the kernel lacks the protocol."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    yield from (line.split() for line in lines[header:] if line.strip())


def _address(text: str) -> str:
    """'0100007F' as '127.0.0.1': words of four bytes, each in host byte order. '' for IPv6's wildcard."""
    packed = b"".join(bytes.fromhex(text[n : n + 8])[::-1] for n in range(0, len(text), 8))
    if len(packed) == 16 and not any(packed):
        return ""
    block = ip_network((packed, 32 if len(packed) == 4 else 128))
    if isinstance(block, IPv6Network) and block.network_address.ipv4_mapped:
        return str(block.network_address.ipv4_mapped)
    return str(block.network_address)
