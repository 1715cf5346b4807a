"""Published ports as words: the PORTS column of ``ctrctl ps``, and ``ctrctl port``.

Reads what deploy recorded (deployed.json); every host port is known there. Imports next to nothing: ``ps`` pays for it.
"""

from __future__ import annotations

from supervisor.errors import NotFoundError, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from typing import Any

    from supervisor.cli.console import Console

EXAMPLES = {
    "port": (
        "ctrctl port web               all of them: 80/tcp -> 0.0.0.0:8080",
        "ctrctl port web 80            where that one is: 0.0.0.0:8080",
        "ctrctl port dns 53/udp",
    )
}

_PROTOCOLS = ("tcp", "udp", "sctp")


class Published:
    """*length* consecutive ports: of the host from *host* on, of the container from *container* on.

    A plain class: the spec's own is a dataclass, whose import would cost ``ps`` more than all of this.
    """

    __slots__ = ("address", "container", "host", "length", "protocol")

    def __init__(
        self, container: int, host: int = 0, length: int = 1, protocol: str = "tcp", address: str = ""
    ) -> None:
        self.container = container
        self.host = host
        self.length = length
        self.protocol = protocol
        self.address = address or "0.0.0.0"

    @property
    def shown_address(self) -> str:
        """As it stands before a port."""
        return f"[{self.address}]" if ":" in self.address else self.address

    def __str__(self) -> str:
        """As in docker's ``ps``: '0.0.0.0:8000-8009->80-89/tcp'."""
        return f"{self.shown_address}:{_range(self.host, self.length)}->{self._inside()}"

    def _inside(self) -> str:
        return f"{_range(self.container, self.length)}/{self.protocol}"

    def document(self) -> dict[str, object]:
        """As in JSON."""
        return {
            "host_address": self.address,
            "host_port": self.host,
            "container_port": self.container,
            "length": self.length,
            "protocol": self.protocol,
        }


def published(record: Mapping[str, Any]) -> tuple[Published, ...]:
    """The ports in the object of a deployed.json (`supervisor.spec.record.Record`)."""
    return tuple(Published(**port) for port in record.get("ports", ()))


def joined(ports: Iterable[Published]) -> tuple[Published, ...]:
    """*ports* in order, neighbours that continue each other made one."""
    found: list[Published] = []
    for port in sorted(ports, key=lambda p: (p.protocol, p.address, p.container, p.host)):
        last = found[-1] if found else None
        if (
            last
            and (last.protocol, last.address) == (port.protocol, port.address)
            and (last.container + last.length, last.host + last.length) == (port.container, port.host)
        ):
            length = last.length + port.length
            found[-1] = Published(last.container, last.host, length, last.protocol, last.address)
        else:
            found.append(port)
    return tuple(found)


def column(ports: Iterable[Published]) -> str:
    """The PORTS column: '0.0.0.0:8080->80/tcp, 127.0.0.1:53->53/udp'."""
    return ", ".join(map(str, joined(ports)))


def _range(first: int, length: int) -> str:
    return str(first) if length == 1 else f"{first}-{first + length - 1}"


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``port``."""
    parser.add_argument("name", metavar="NAME", help="a container's or pod's name")
    parser.add_argument("port", nargs="?", metavar="PORT[/PROTOCOL]", help="only this port of the container")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print a line for each port, or the host's side of one. Raises `NotFoundError` when that one is not published."""
    from supervisor.cli.containers import check_deployed, is_pod, read_json

    owner = args.name
    if not is_pod(args.name, console.layout):
        check_deployed((args.name,), console.layout)
        owner = (read_json(f"{console.layout.container(args.name)}/spec.json") or {}).get("pod") or args.name
    record = read_json(f"{console.layout.container(owner)}/deployed.json")
    if record is None:
        raise UserError(f"{args.name}: only root may read a container's record; run it with sudo")
    lines = mappings(published(record))
    if args.port is None:
        for inside, outside in lines:
            console.line(f"{inside} -> {outside}")
        return 0
    wanted = inside_port(args.port)
    found = [outside for inside, outside in lines if inside == wanted]
    if not found:
        known = ", ".join(dict.fromkeys(inside for inside, _ in lines)) or "none is"
        raise NotFoundError(f"{args.name}: port {wanted} is not published; published: {known}")
    for outside in found:
        console.line(outside)
    return 0


def mappings(ports: Iterable[Published]) -> tuple[tuple[str, str], ...]:
    """Each single port of *ports*: '80/tcp' and '0.0.0.0:8080'."""
    return tuple(
        (f"{port.container + i}/{port.protocol}", f"{port.shown_address}:{port.host + i}")
        for port in sorted(ports, key=lambda p: (p.protocol, p.container))
        for i in range(port.length)
    )


def inside_port(text: str) -> str:
    """'80' or '80/udp' as '80/tcp', '80/udp'. Raises `UserError`."""
    number, slash, protocol = text.partition("/")
    if not (number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65536):
        raise UserError(f"port '{text}': write a number from 1 to 65535, with /udp or /sctp where it is not TCP")
    if slash and protocol not in _PROTOCOLS:
        raise UserError(f"port '{text}': the protocol is one of {', '.join(_PROTOCOLS)}")
    return f"{int(number)}/{protocol or 'tcp'}"
