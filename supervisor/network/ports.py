"""Which ports of the host lead into a container: decided when it is deployed, recorded, and kept. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from ipaddress import ip_address

from supervisor.errors import ConflictError, UserError
from supervisor.spec.container import Container
from supervisor.spec.network import Protocol, PublishedPort
from supervisor.spec.ports import collide

#: Where ports that nobody chose come from: below Linux's ephemeral ports (32768 to 60999), so that no outgoing
#: connection of the host sits on one while its container is down.
FIRST, LAST = 20000, 32767
_HIGHEST = 65535


def resolve(
    container: Container,
    exposed: tuple[str, ...],
    busy: Collection[tuple[str, int]],
    before: tuple[PublishedPort, ...],
) -> tuple[PublishedPort, ...]:
    """The published ports of *container*, with every host port decided.

    *exposed*: the image's, as '80/tcp' (for ``publish_all``). *busy*: (protocol, port) pairs that are no choice for a
    port that nobody named: those in use, and those recorded for other containers. *before*: what was recorded for this
    container, kept where nothing asks for something else. Raises `UserError`.
    """
    try:
        ports = [_checked(port) for port in container.ports]
        if container.publish_all:
            named = {(p.protocol, n) for p in ports for n in range(p.container, p.container + p.length)}
            ports += [p for p in _exposed(exposed) if (p.protocol, p.container) not in named]
        return _decide(ports, busy, before)
    except UserError as error:
        raise type(error)(f"{container.name}: {error}") from error


def words(port: PublishedPort) -> str:
    """The host's side of *port* for messages: '127.0.0.1:8080-8082/tcp'."""
    text = str(port.host) if port.length == 1 else f"{port.host}-{port.host + port.length - 1}"
    if port.address:
        text = f"[{port.address}]:{text}" if ":" in port.address else f"{port.address}:{text}"
    return f"{text}/{port.protocol.value}"


def _checked(port: PublishedPort) -> PublishedPort:
    if port.length < 1 or not 1 <= port.container <= _HIGHEST or not 0 <= port.host <= _HIGHEST:
        raise UserError(f"port {port.host}:{port.container}: ports are 1 to {_HIGHEST}")
    if max(port.host, port.container) + port.length - 1 > _HIGHEST:
        raise UserError(f"port {port.host}:{port.container}: a range of {port.length} ports ends beyond {_HIGHEST}")
    if not port.address:
        return port
    try:
        address = ip_address(port.address)
    except ValueError as error:
        raise UserError(f"port {port.container}: host address '{port.address}' is not an address") from error
    # The wildcard of one family is not 'all': '0.0.0.0' says IPv4 only.
    return replace(port, address=str(address))


def _exposed(texts: tuple[str, ...]) -> Iterator[PublishedPort]:
    for text in sorted(set(texts)):
        number, _, protocol = text.partition("/")
        first, _, last = number.partition("-")
        try:
            kind = Protocol(protocol or "tcp")
            bounds = range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise UserError(f"image: exposed port '{text}' is not one; publish the port by its number") from error
        yield from (_checked(PublishedPort(port, protocol=kind)) for port in bounds)


def _decide(
    ports: list[PublishedPort], busy: Collection[tuple[str, int]], before: tuple[PublishedPort, ...]
) -> tuple[PublishedPort, ...]:
    fixed = [port for port in ports if port.host]
    for position, port in enumerate(fixed):
        if any(collide(port, other) for other in fixed[:position]):
            raise ConflictError(f"port {words(port)}: published twice; publish each port of the host once")
    decided: list[PublishedPort] = []
    for port in ports:
        if port.host:
            decided.append(port)
            continue
        avoid = [*fixed, *decided]
        kept = [b for b in before if replace(b, host=0) == port and not any(collide(b, o) for o in avoid)]
        decided.append(kept[0] if kept else _free(port, busy, avoid))
    return tuple(decided)


def _free(port: PublishedPort, busy: Collection[tuple[str, int]], avoid: list[PublishedPort]) -> PublishedPort:
    protocol = port.protocol.value
    for first in range(FIRST, LAST + 2 - port.length):
        candidate = replace(port, host=first)
        wanted = range(first, first + port.length)
        if not any((protocol, n) in busy for n in wanted) and not any(collide(candidate, o) for o in avoid):
            return candidate
    text = f"port {port.container}/{protocol}: no free port in {FIRST}-{LAST}; choose one yourself"
    raise ConflictError(text).asked_by("PublishPort", str(port.container))
