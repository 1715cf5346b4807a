"""Network options of ``ctrctl run`` and ``create``, as docker-run(1) and podman-run(1) have them. Pure.

How values read, and what contradicts what, is `supervisor.definitions`' to say; here it gets the option's name.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from supervisor.cli import option
from supervisor.definitions import networks, ports, values
from supervisor.definitions.networks import Choice, Extras
from supervisor.errors import UserError
from supervisor.spec.container import Container
from supervisor.spec.network import NetworkMode, PublishedPort
from supervisor.spec.ports import collide

_PUBLISH, _NETWORK = "-p/--publish", "--network"


@dataclass(frozen=True, slots=True)
class _Network:
    """What the options say together."""

    mode: NetworkMode
    choices: tuple[Choice, ...]
    container: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        "--net",
        action="append",
        metavar="NAME[:ip=…,alias=…]",
        help="a network, or several; or none, host, container:NAME (default: the network ctr)",
    )
    group.add_argument("-p", "--publish", action="append", metavar="[[IP:]PORT:]PORT[/PROTOCOL]", help="publish a port")
    group.add_argument("-P", "--publish-all", action="store_true", help="publish what the image exposes, on free ports")
    group.add_argument("--expose", action="append", metavar="PORT[/PROTOCOL]", help="one more port for -P")
    group.add_argument("--network-alias", "--net-alias", action="append", metavar="NAME", help="one more name")
    group.add_argument("--ip", metavar="ADDRESS", help="IPv4 address in its network")
    group.add_argument("--ip6", metavar="ADDRESS", help="IPv6 address in its network")
    group.add_argument("--mac-address", metavar="ADDRESS", help="hardware address in its network")
    group.add_argument("--add-host", action="append", metavar="NAME:ADDRESS", help="line of /etc/hosts; host-gateway")
    group.add_argument("--dns", action="append", metavar="ADDRESS", help="name server, not the network's; or none")
    group.add_argument("--dns-option", "--dns-opt", action="append", metavar="OPTION", help="option of resolv.conf(5)")
    group.add_argument("--dns-search", action="append", metavar="DOMAIN", help="domain for short names; . is none")


def applied(container: Container, args: argparse.Namespace) -> Container:
    """*container* with what the options say. Raises `UserError` that names the option."""
    network = _network(args, container.name)
    published = _published(args, network)
    if network.mode is NetworkMode.HOST:
        for name, _ in container.sysctls:
            _refuse_if("--sysctl", f"{name} would change the host's network" if name.startswith("net.") else "")
    hosts = option.each("--add-host", networks.host, args.add_host)
    if hosts:
        _refuse_if("--add-host", networks.no_hosts(network.mode))
    for name, given in (("--dns", args.dns), ("--dns-option", args.dns_option), ("--dns-search", args.dns_search)):
        if given:
            _refuse_if(name, networks.no_resolver(network.mode))
    with option.named("--dns"):
        servers = networks.nameservers([networks.nameserver(text) for text in args.dns or ()])
    return replace(
        container,
        network=network.mode,
        attachments=tuple(c.attachment for c in network.choices if c.attachment),
        network_container=network.container,
        ports=published,
        publish_all=args.publish_all,
        hosts=tuple(line for lines in hosts for line in lines),
        dns=servers,
        dns_options=option.each("--dns-option", networks.resolver_option, args.dns_option),
        dns_search=option.each("--dns-search", networks.search_domain, args.dns_search),
    )


def _network(args: argparse.Namespace, name: str) -> _Network:
    choices: tuple[Choice, ...] = ()
    for text in args.network or ():
        for part in _parts(text):
            other = option.read(_NETWORK, networks.choice, part)
            with option.named(_NETWORK):
                for first in choices:
                    networks.together(first, other)
            choices += (other,)
    aliases = option.each("--network-alias", networks.alias, args.network_alias)
    for flag, extras in (
        ("--network-alias", Extras(aliases=aliases)),
        ("--ip", Extras(ip=option.one("--ip", networks.ipv4, args.ip))),
        ("--ip6", Extras(ip6=option.one("--ip6", networks.ipv6, args.ip6))),
        ("--mac-address", Extras(mac=option.one("--mac-address", networks.mac, args.mac_address))),
    ):
        if extras != Extras():
            with option.named(flag):
                choices = tuple(Choice(NetworkMode.NETWORKS, a) for a in networks.attachments(choices, extras))
    alone = choices[0] if choices and choices[0].attachment is None else Choice(NetworkMode.NETWORKS)
    if alone.container == name:
        raise UserError(f"{_NETWORK}: {name} is this container itself; name another one")
    return _Network(alone.mode, choices, alone.container)


def _parts(text: str) -> list[str]:
    """*text* in podman's spelling: docker also has ``name=NAME,ip=…``, an older podman several names in one option."""
    if text.startswith("name="):
        name, _, options = text.removeprefix("name=").partition(",")
        return [f"{name}:{options}".rstrip(":")]
    return [text] if ":" in text else text.split(",")


def _published(args: argparse.Namespace, network: _Network) -> tuple[PublishedPort, ...]:
    found = list(option.each(_PUBLISH, ports.published, args.publish))
    for at, port in enumerate(found):
        for other in found[:at]:
            if collide(port, other):
                shown = f"{ports.shown(other)} and {ports.shown(port)}"
                raise UserError(f"{_PUBLISH}: {shown} need the same port of the host; choose another for one")
    exposed = option.each("--expose", _exposed, args.expose)
    for name, given in ((_PUBLISH, args.publish), ("-P/--publish-all", args.publish_all)):
        if given:
            _refuse_if(name, ports.discarded(network.mode, network.container))
    if args.publish_all:
        inside = {(p.protocol, p.container + n) for p in found for n in range(p.length)}
        every = (PublishedPort(p.container + n, protocol=p.protocol) for p in exposed for n in range(p.length))
        found += (port for port in dict.fromkeys(every) if (port.protocol, port.container) not in inside)
    return tuple(found)


def _exposed(text: str) -> PublishedPort:
    """``PORT[-PORT][/PROTOCOL]``: of the container alone."""
    if ":" in text:
        raise UserError(f"{values.short(text)} names the host too; write PORT[/PROTOCOL], or use --publish")
    return ports.published(text)


def _refuse_if(name: str, reason: str) -> None:
    if reason:
        raise UserError(f"{name}: {reason}")
