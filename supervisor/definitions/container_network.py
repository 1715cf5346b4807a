"""The keys of [Container] that say what a container has of the network. Pure.

How a value reads is in `networks` and `ports`; here the lines are put together and checked against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervisor.definitions import networks, ports
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.networks import Choice, Extras
from supervisor.definitions.unitfile import Assignment
from supervisor.errors import UserError
from supervisor.spec.network import Attachment, NetworkMode, PublishedPort
from supervisor.spec.ports import collide


@dataclass(frozen=True, slots=True)
class Networking:
    """Members of `Container`, except that *ports* come with their lines."""

    mode: NetworkMode
    container: str
    attachments: tuple[Attachment, ...]
    ports: tuple[tuple[Assignment, PublishedPort], ...]
    dns: tuple[str, ...]
    dns_options: tuple[str, ...]
    dns_search: tuple[str, ...]
    hosts: tuple[tuple[str, str], ...]


def in_pod(mode: NetworkMode) -> Networking:
    """Of a container whose network is its pod's: nothing of its own."""
    return Networking(mode, "", (), (), (), (), (), ())


def networking(lines: Lines, name: str, names: Mapping[str, str], findings: Findings) -> Networking:
    """What the lines of the container *name* say; *names* are the definitions it may refer to."""
    choices = _choices(lines, name, names, findings)
    mode = choices[0].mode if choices else NetworkMode.NETWORKS
    return Networking(
        mode=mode,
        container=choices[0].container if choices else "",
        attachments=_attachments(lines, choices, findings),
        ports=_ports(lines, choices, findings),
        dns=_dns(lines, mode, findings),
        dns_options=_unless(networks.no_resolver(mode), lines, "DNSOption", networks.resolver_option, findings),
        dns_search=_unless(networks.no_resolver(mode), lines, "DNSSearch", networks.search_domain, findings),
        hosts=_hosts(lines, mode, findings),
    )


def _choices(lines: Lines, name: str, names: Mapping[str, str], findings: Findings) -> tuple[Choice, ...]:
    kept: list[tuple[Assignment, Choice]] = []
    for at, choice in lines.each("Network", lambda text: networks.choice(text, names)):
        try:
            if choice.container == name:
                raise UserError(f"{name} is this container itself; name another one")
            for earlier, other in kept:
                _check_together(choice, other, earlier.where)
            kept.append((at, choice))
        except UserError as error:
            findings.refuse(at, error)
    return tuple(choice for _, choice in kept)


def _check_together(choice: Choice, other: Choice, where: str) -> None:
    try:
        networks.together(choice, other)
    except UserError as error:
        raise UserError(f"{where} contradicts it: {error}") from error


def _attachments(lines: Lines, choices: tuple[Choice, ...], findings: Findings) -> tuple[Attachment, ...]:
    aliases = tuple(lines.each("NetworkAlias", networks.alias))
    ip = lines.one("IP", networks.ipv4)
    ip6 = lines.one("IP6", networks.ipv6)
    parts = {
        "NetworkAlias": Extras(aliases=tuple(alias for _, alias in aliases)),
        "IP": Extras(ip=ip),
        "IP6": Extras(ip6=ip6),
    }
    for key, extras in parts.items():
        try:
            networks.attachments(choices, extras)
        except UserError as error:
            findings.refuse(lines.of(key)[-1], error)
            return ()
    return networks.attachments(choices, Extras(parts["NetworkAlias"].aliases, ip, ip6))


def _ports(
    lines: Lines, choices: tuple[Choice, ...], findings: Findings
) -> tuple[tuple[Assignment, PublishedPort], ...]:
    found = lines.words("PublishPort", ports.published, unescape=False)
    if choices and (reason := ports.discarded(choices[0].mode, choices[0].container)):
        for at, _ in found:
            findings.warn(at, reason)
        return ()
    for index, (at, port) in enumerate(found):
        for earlier, other in found[:index]:
            if collide(port, other):
                findings.refuse(at, f"{earlier.where} publishes {ports.shown(other)} already; keep one of the two")
    return found


def _unless(reason: str, lines: Lines, key: str, convert: Callable[[str], str], findings: Findings) -> tuple[str, ...]:
    """The values of *key*, each once; refused for *reason* if there is one."""
    found = lines.each(key, convert)
    if reason:
        for at in lines.of(key):
            findings.refuse(at, reason)
    return tuple(dict.fromkeys(value for _, value in found))


def _dns(lines: Lines, mode: NetworkMode, findings: Findings) -> tuple[str, ...]:
    found = _unless(networks.no_resolver(mode), lines, "DNS", networks.nameserver, findings)
    try:
        return networks.nameservers(found)
    except UserError as error:
        findings.refuse(lines.of("DNS")[-1], error)
        return ()


def _hosts(lines: Lines, mode: NetworkMode, findings: Findings) -> tuple[tuple[str, str], ...]:
    found = lines.each("AddHost", networks.host)
    if reason := networks.no_hosts(mode):
        for at in lines.of("AddHost"):
            findings.refuse(at, reason)
    return tuple(dict.fromkeys(pair for _, pairs in found for pair in pairs))
