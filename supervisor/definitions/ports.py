"""Published ports: the values of PublishPort= and of ``ctrctl run -p``. Pure.

Follows podman-run(1) --publish. Which ports of the host are free is not known here, and when two of them collide is
`supervisor.spec.ports`' to say.
"""

from __future__ import annotations

import ipaddress
import re

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.network import NetworkMode, Protocol, PublishedPort

_FORM = "write [[IP:][HOSTPORT]:]CONTAINERPORT[/tcp|udp|sctp], like 127.0.0.1:8080:80"

#: Address (in brackets, or without ':') and host ports, or host ports alone; container ports; protocol.
_PUBLISHED = re.compile(r"(?:(\[[^\]]+\]|[^\[\]:]+):([0-9-]*):|([0-9-]+):)?([0-9-]+)(?:/([A-Za-z]+))?")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def published(text: str) -> PublishedPort:
    """``[[IP:][HOSTPORT]:]CONTAINERPORT[/PROTOCOL]``: ports may be ranges, IPv6 addresses stand in brackets.

    Without a host port any free one is taken when the container is deployed.
    """
    match = _PUBLISHED.fullmatch(text)
    if match is None:
        raise UserError(f"{values.short(text)} is not a port to publish; {_FORM}")
    address, host, host_alone, container, protocol = match.groups()
    host = host or host_alone
    first, length = _ports(container, text)
    host_first, host_length = _ports(host, text) if host else (0, length)
    if host_length != length:
        raise UserError(
            f"{values.short(text)} has {host_length} ports of the host for {length} of the container; write as many"
        )
    return PublishedPort(first, host_first, length, _protocol(protocol or "tcp"), _address(address or ""))


def _ports(text: str, whole: str) -> tuple[int, int]:
    """First port and number of ports."""
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= 65535 or not first <= last <= 65535:
        raise UserError(
            f"{values.short(whole)}: {values.short(text)} is neither a port nor a range of ports, "
            "which are numbers from 1 to 65535, the lower one first"
        )
    return first, last - first + 1


def _protocol(text: str) -> Protocol:
    try:
        return Protocol(text.lower())
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a protocol of ports; write tcp, udp or sctp") from error


def _address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") else text
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError as error:
        raise UserError(f"{values.short(bare)} is not an address of the host; {_FORM}") from error


def discarded(mode: NetworkMode, container: str = "") -> str:
    """Why no port is published with *mode* (and the *container* whose network it is), or '' where they are.

    In a definition that is a warning, as with podman, and the definition stays usable; on the command line it is an
    error, since whoever typed it expects the port to be open.
    """
    if mode is NetworkMode.HOST:
        return "has no effect with the host's network: what the program listens on is reachable as it is; remove it"
    if mode is NetworkMode.NONE:
        return "has no effect without a network: nothing can reach the container; remove it, or name a network"
    if mode is NetworkMode.CONTAINER:
        return f"has no effect with the network of {container or 'another container'}; publish the port there"
    if mode is NetworkMode.POD:
        return "belongs to the pod, whose network it is; write it in the .pod file"
    return ""


def shown(port: PublishedPort) -> str:
    """*port* as `published` reads it, for messages."""
    last = port.length - 1
    address = f"[{port.address}]" if ":" in port.address else port.address
    host = f"{port.host}-{port.host + last}" if port.host and last else str(port.host or "")
    container = f"{port.container}-{port.container + last}" if last else str(port.container)
    before = f"{address}:{host}:" if address else f"{host}:" if host else ""
    return f"{before}{container}/{port.protocol.value}"
