"""Which networks, addresses and host ports the containers of one apply get. Writes nothing.

Decided here, once, and recorded: what a container was given it keeps until it or its network is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from supervisor.deploy.records import NetworkRecord
from supervisor.deploy.state import Deployed
from supervisor.errors import Problem, UserError
from supervisor.network import addresses, document, ports
from supervisor.render.tree import Networking
from supervisor.spec.container import Container
from supervisor.spec.image import ImageConfig
from supervisor.spec.network import DEFAULT, Lease, Network, NetworkMode, PublishedPort
from supervisor.spec.userns import IdMaps


def complete(
    wanted: Iterable[Network],
    recorded: Mapping[str, NetworkRecord],
    used: Iterable[str],
    problems: list[Problem],
) -> dict[str, NetworkRecord]:
    """Records of the *wanted* networks by name. A definition that did not change keeps what was filled in.

    *recorded*: those that stay. *used*: subnets on the host that are no network's of ours.
    """
    records: dict[str, NetworkRecord] = {}
    busy = tuple(used)
    for definition in wanted:
        old = recorded.get(definition.name)
        if old and old.definition == definition:
            records[definition.name] = old
            continue
        others = {**recorded, **records}
        try:
            network = addresses.complete(definition, tuple(other.network for other in others.values()), busy)
            records[definition.name] = NetworkRecord(definition, network)
        except UserError as error:
            problems.append(Problem.of(definition.source, error))
    return records


def needs_default(containers: Iterable[Container]) -> bool:
    """Whether one of *containers* is in the default network."""
    return any(DEFAULT in names(container) for container in containers)


def names(container: Container) -> tuple[str, ...]:
    """The networks that *container* is in."""
    if container.network is not NetworkMode.NETWORKS:
        return ()
    return tuple(a.network for a in container.attachments) or (DEFAULT,)


class Allotment:
    """Hands out addresses and ports among the containers of one host.

    What a container has it keeps, as long as its definition asks for the same; what another asks for by number comes
    before what nobody has yet.
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        staying: Iterable[Deployed],
        wanted: tuple[Container, ...],
        busy: Iterable[tuple[str, int]],
    ) -> None:
        """*staying*: the deployed containers; *wanted*: those that are deployed (anew). *busy*: host ports that are
        listened on, with their protocol."""
        self._networks = networks
        before = {deployed.name: deployed for deployed in staying}
        self._before = {name: deployed.record for name, deployed in before.items()}
        self._busy = set(busy)
        self._taken: dict[str, dict[str, str]] = {name: {} for name in networks}
        self._asked: dict[str, dict[str, str]] = {name: {} for name in networks}
        self._fixed: dict[str, set[tuple[str, int]]] = {}
        for container in wanted:
            self._fixed[container.name] = {number for port in container.ports if port.host for number in _numbers(port)}
            for attachment in container.attachments:
                for address in filter(None, (attachment.ip, attachment.ip6)):
                    self._asked.setdefault(attachment.network, {}).setdefault(address, container.name)
        anew = {container.name: container for container in wanted}
        for name, deployed in before.items():
            asks = anew.get(name, deployed.container)
            for lease in deployed.record.leases:
                if _wish(asks, lease.network) == _wish(deployed.container, lease.network):
                    self._take(name, (lease,), ())
            self._take(name, (), deployed.record.ports)

    def networking(
        self, container: Container, image: ImageConfig, hostname: str, id_maps: IdMaps | None = None
    ) -> Networking:
        """Raises `UserError`: no such network, an address that is taken, a subnet that is full. *id_maps*: of its user
        namespace."""
        if container.network is not NetworkMode.NETWORKS:
            text = document.without_network(container.name, id_maps) if id_maps and not container.pod else ""
            return Networking((), (), text, id_maps)
        before = self._before.get(container.name)
        others = {network: self._held_by_others(container, network) for network in self._networks}
        leases = addresses.lease(container, self._networks, others, before.leases if before else ())
        fixed = {number for name, numbers in self._fixed.items() if name != container.name for number in numbers}
        ports_before = before.ports if before else ()
        published = ports.resolve(container, image.exposed_ports, self._busy | fixed, ports_before)
        self._take(container.name, leases, published)
        text = document.text(container, hostname, self._networks, leases, published, id_maps)
        return Networking(leases, published, text, id_maps)

    def _held_by_others(self, container: Container, network: str) -> dict[str, str]:
        held = {**self._asked[network], **self._taken[network]}
        return {address: name for address, name in held.items() if name != container.name}

    def _take(self, name: str, leases: Iterable[Lease], published: Iterable[PublishedPort]) -> None:
        for lease in leases:
            self._taken.setdefault(lease.network, {}).update(dict.fromkeys(lease.addresses, name))
        self._busy |= {number for port in published for number in _numbers(port)}


def _wish(container: Container, network: str) -> tuple[str, str] | None:
    """The addresses *container* asks for in *network*; None when it is not in it."""
    if network not in names(container):
        return None
    return next(((a.ip, a.ip6) for a in container.attachments if a.network == network), ("", ""))


def _numbers(port: PublishedPort) -> frozenset[tuple[str, int]]:
    """Protocol and number of each host port of *port*."""
    return frozenset((port.protocol.value, port.host + n) for n in range(port.length))


def check_shared(containers: Iterable[Container]) -> Iterator[Problem]:
    """Those of *containers*, which are all that will be, whose network is that of one that has none to share."""
    every = {c.name: c for c in containers}
    for container in every.values():
        if container.network is not NetworkMode.CONTAINER:
            continue
        other = every.get(container.network_container)
        if other is None:
            text = f"container '{container.network_container}', whose network it is to share, does not exist"
        elif other.network is not NetworkMode.NETWORKS:
            text = f"container '{other.name}' has no network of its own to share; give it one with Network="
        else:
            continue
        asked = ("Network", container.network_container)
        yield Problem(container.source, 0, "", f"{container.name}: {text}", asked)


def sharers(containers: Iterable[Container], name: str) -> tuple[str, ...]:
    """Names of those of *containers* that are in the network namespace of container *name* beside it."""
    return tuple(c.name for c in containers if c.network is NetworkMode.CONTAINER and c.network_container == name)
