"""Read what `supervisor.network.document` wrote for one container. Decides nothing, and imports next to nothing."""

from __future__ import annotations

from supervisor.errors import InternalError, NotFoundError

VERSION = "1"

#: The file's name in a container's version directory.
FILE = "network"


class Record:
    """A parsed document. Values that may repeat are tuples; those with fields are tuples of text."""

    __slots__ = (
        "bridges",
        "dns",
        "gateways",
        "group_map",
        "host_search",
        "host_servers",
        "hosts",
        "name",
        "netavark",
        "pod",
        "ports",
        "resolver",
        "text",
        "user_map",
    )

    def __init__(self, text: str) -> None:
        values: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)

        def fields(key: str) -> tuple[tuple[str, ...], ...]:
            return tuple(tuple(value.split("\t")) for value in values.get(key, ()))

        if values.get("ctr-network") != [VERSION]:
            raise InternalError(f"network document: version {values.get('ctr-network')} is not {VERSION}")
        self.text = text
        self.name = values["name"][0]
        #: What netavark is asked; '' for a container without networks of its own.
        self.netavark = values.get("netavark", [""])[0]
        #: Of a user namespace of its own: first number inside, first number outside, how many.
        self.user_map = fields("user-map")
        self.group_map = fields("group-map")
        #: Of a pod: host name, bytes of /dev/shm, and NETWORKS, NONE or HOST (`supervisor.network.pod`).
        self.pod = next(iter(fields("pod")), ())
        #: Network and interface of each bridge that comes and goes with its containers.
        self.bridges = fields("bridge")
        #: Interface and address, with prefix length, of each gateway on such a bridge.
        self.gateways = fields("gateway")
        self.ports = tuple(Port(*port) for port in fields("port"))
        #: File, addresses to listen on, upstream servers, entry (`supervisor.network.dns`).
        self.dns = fields("dns")
        self.hosts = tuple(values.get("hosts", ()))
        self.resolver = tuple(values.get("resolv", ()))
        self.host_servers = "resolv-host" in values
        self.host_search = "resolv-host-search" in values


class Port:
    """*length* consecutive published ports; *address* '' is all of the host's."""

    __slots__ = ("address", "first", "length", "protocol")

    def __init__(self, protocol: str, address: str, first: str, length: str) -> None:
        self.protocol = protocol
        self.address = address
        self.first = int(first)
        self.length = int(length)


def read(path: str) -> Record:
    """The document at *path*. Raises `NotFoundError` when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return Record(file.read())
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file; deploy the container with 'ctrctl apply'") from error
