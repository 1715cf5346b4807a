"""``ctrctl network``: make, list, show and remove networks, and put their firewall rules back.

Owns the words, the table and the JSON form of a network. Writing is `supervisor.deploy`'s work; what a name, a subnet
or an option may be is said by `supervisor.definitions`, as for ``.network`` files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from supervisor.cli import listing, option
from supervisor.cli.console import Console
from supervisor.definitions import network_values, networks, values
from supervisor.deploy import records, state
from supervisor.deploy.deploy import Deployment
from supervisor.deploy.networking import names as networks_of
from supervisor.deploy.records import NetworkRecord
from supervisor.deploy.state import Deployed
from supervisor.errors import ConflictError, DefinitionError, HostError, UserError
from supervisor.images.store import Store
from supervisor.paths import Layout
from supervisor.spec.network import DEFAULT, Driver, Network, Subnet
from supervisor.systemd.manager import Manager

SOURCE = "ctrctl network create"

EXAMPLES = {
    "network": (
        "ctrctl network create back                          containers in it find each other by name",
        "ctrctl network create --subnet 10.80.0.0/24 --internal vault",
        "ctrctl network create -d macvlan --interface-name eth0 --subnet 192.168.1.0/24 lan",
        "ctrctl run -d --name db --network back postgres",
        "ctrctl network prune                                remove those that no container uses",
    )
}

#: Puts back the rules of every container that runs, whenever it is started.
RELOAD_UNIT = "ctr-firewall.service"

#: What ``ls --filter`` knows, with an example each.
FILTERS = {
    "name": "name=TEXT",
    "driver": "driver=DRIVER",
    "label": "label=KEY[=VALUE]",
    "dangling": "dangling=true|false",
}

#: What may be in a network.
_USERS = ("container", "pod")

T = TypeVar("T")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-command each."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_create(actions.add_parser("create", help="make a network"))
    ls = actions.add_parser("ls", help="list networks")
    listing.configure(ls)
    listing.configure_filters(
        ls,
        "only those whose name contains, whose driver is, that carry the label, or that nothing uses: "
        "name=back, driver=bridge, label=tier, dangling=true; the same key twice means either",
    )
    inspect = actions.add_parser("inspect", help="show everything known about a network, as JSON")
    inspect.add_argument("name", nargs="+", metavar="NAME")
    remove = actions.add_parser("rm", help="remove networks")
    remove.add_argument("name", nargs="+", metavar="NAME")
    prune = actions.add_parser("prune", help="remove what 'create' made and no container uses")
    prune.add_argument("-f", "--force", action="store_true", help="as docker has it; nothing is asked either way")
    actions.add_parser("reload", help="put firewall rules back that something else has removed")


def _configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-d", "--driver", metavar="DRIVER", help="bridge (default), macvlan or ipvlan")
    parser.add_argument("--subnet", action="append", metavar="SUBNET", help="like 10.91.5.0/24 (default: a free one)")
    parser.add_argument("--gateway", action="append", metavar="ADDRESS", help="of the subnet (default: its first)")
    parser.add_argument("--ip-range", action="append", metavar="RANGE", help="what containers get: block or FIRST-LAST")
    parser.add_argument("--ipv6", action="store_true", help="an IPv6 subnet, too")
    parser.add_argument("--internal", action="store_true", help="no way out, and no published ports")
    parser.add_argument("--disable-dns", action="store_true", help="no names for containers")
    parser.add_argument("--dns", action="append", metavar="ADDRESS", help="name server for other names, not the host's")
    parser.add_argument("--interface-name", metavar="NAME", help="of the bridge; or what macvlan, ipvlan stand on")
    parser.add_argument("--ipam-driver", metavar="WAY", help="host-local (default); none: no addresses")
    parser.add_argument("-o", "--opt", action="append", metavar="NAME=VALUE", help="mtu=…, isolate=…, vlan=…, mode=…")
    parser.add_argument("--label", action="append", metavar="NAME=VALUE", help="label")
    parser.add_argument("--ignore", action="store_true", help="all is well if there is one of that name")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when one of several networks to remove or inspect could not be."""
    console.need_root(f"network {args.action}")
    return _ACTIONS[args.action](args, console)


# create


def _create(args: argparse.Namespace, console: Console) -> int:
    wanted = definition(args)
    if wanted.name in records.networks(console.layout).read_all():
        if not args.ignore:
            raise ConflictError(f"network '{wanted.name}': exists already; choose another name, or use --ignore")
        console.line(wanted.name)
        return 0
    with Manager.open() as manager:
        try:
            made = Deployment(console.layout, Store(console.layout), manager).create_network(wanted)
        except DefinitionError as error:
            # A definition's problems have a file and a line; here the command line is all there is.
            raise UserError("\n".join(problem.message for problem in error.problems)) from error
    console.line(made.name)
    return 0


def definition(args: argparse.Namespace) -> Network:
    """The network that *args* describe. Raises `UserError` that names the option. Pure."""
    name = option.read("NAME", networks.network_name, args.name)
    driver = option.default("--driver", network_values.driver, args.driver, Driver.BRIDGE)
    addressing = option.default("--ipam-driver", network_values.addressing, args.ipam_driver, True)
    interface, options = _options(args, driver)
    subnets = _subnets(args)
    with option.named("--subnet"):
        network_values.check_subnets(driver, subnets, addressing=addressing, internal=args.internal)
    return Network(
        name=name,
        source=SOURCE,
        driver=driver,
        subnets=subnets,
        ipv6=args.ipv6,
        internal=args.internal,
        # podman-network-create(1) --disable-dns: "for other drivers it is always disabled".
        dns=driver is Driver.BRIDGE and not args.disable_dns,
        nameservers=tuple(dict.fromkeys(option.each("--dns", networks.address, args.dns))),
        addressing=addressing,
        interface=interface,
        options=options,
        labels=tuple(dict(option.each("--label", values.label, args.label)).items()),
    )


def _subnets(args: argparse.Namespace) -> tuple[Subnet, ...]:
    """Subnets, with the gateways and ranges at the same place."""
    found = [Subnet(str(block)) for block in option.each("--subnet", network_values.subnet, args.subnet)]
    _pair(found, "--gateway", option.each("--gateway", networks.address, args.gateway), network_values.with_gateway)
    ranges = option.each("--ip-range", network_values.address_range, args.ip_range)
    _pair(found, "--ip-range", ranges, network_values.with_range)
    return tuple(found)


def _pair(found: list[Subnet], name: str, given: Iterable[T], add: Callable[[Subnet, T], Subnet]) -> None:
    for index, value in enumerate(given):
        with option.named(name):
            if index >= len(found):
                raise UserError("has no subnet; write one --subnet for each, in the same order")
            found[index] = add(found[index], value)


def _options(args: argparse.Namespace, driver: Driver) -> tuple[str, tuple[tuple[str, str], ...]]:
    pairs = option.each("--opt", network_values.option, (t for text in args.opt or () for t in text.split(",")))
    named = option.default("--interface-name", networks.interface, args.interface_name, "")
    with option.named("--opt"):
        interface, options = network_values.options(driver, pairs)
        if named and interface and named != interface:
            raise UserError(f"{interface} and --interface-name {named} are two names; keep one of the two")
    return named or interface, options


# what there is


def _list(args: argparse.Namespace, console: Console) -> int:
    wanted = listing.parse_filters(args.filter, FILTERS)
    found = [one for one in documents(console.layout) if listing.matches(one, wanted)]
    listing.show(found, args, console, ("NAME", "DRIVER", "SUBNETS", "INTERFACE", "USED BY"), row)
    return 0


def row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one line."""
    subnets = ", ".join(subnet["subnet"] for subnet in one["subnets"])
    users = ", ".join((*one["containers"], *one["pods"]))
    return one["name"], one["driver"], subnets or "-", one["interface"] or "-", users


def _inspect(args: argparse.Namespace, console: Console) -> int:
    known = {one["name"]: one for one in documents(console.layout)}
    found = []

    def inspect(name: str) -> None:
        records.networks(console.layout).read(name)  # says what to do about one that is not there
        found.append(known[name])

    status = listing.each(args.name, console, inspect)
    console.json(found)
    return status


def documents(layout: Layout) -> list[dict[str, Any]]:
    """Every network by name, as ``inspect`` prints it."""
    deployed = state.read_networked(layout)
    return [document(record, deployed) for record in records.networks(layout).read_all().values()]


def document(record: NetworkRecord, deployed: Iterable[Deployed]) -> dict[str, Any]:
    """One network, and which of the *deployed* containers are in it. Pure."""
    network = record.network
    subnets = [
        {"subnet": s.subnet, "gateway": s.gateway or None, "first": s.first or None, "last": s.last or None}
        for s in network.subnets
    ]
    users = [d for d in deployed if network.name in networks_of(d.container)]
    members = {kind: {d.name: _membership(d, network.name) for d in users if d.kind == kind} for kind in _USERS}
    return {
        "name": network.name,
        "source": network.source or None,
        "driver": network.driver.value,
        "interface": network.interface or None,
        "subnets": subnets,
        "ipv6": any(":" in subnet.subnet for subnet in network.subnets),
        "internal": network.internal,
        "dns": network.dns,
        "nameservers": list(network.nameservers),
        "options": dict(network.options),
        "labels": dict(network.labels),
        "containers": members["container"],
        "pods": members["pod"],
    }


def _membership(deployed: Deployed, network: str) -> dict[str, Any]:
    lease = next((lease for lease in deployed.record.leases if lease.network == network), None)
    wish = next((wish for wish in deployed.container.attachments if wish.network == network), None)
    return {
        "interface": lease.interface if lease else None,
        "addresses": list(lease.addresses) if lease else [],
        "mac": lease.mac if lease else None,
        "aliases": list(wish.aliases) if wish else [],
    }


# what goes


def _remove(args: argparse.Namespace, console: Console) -> int:
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)

        def remove(name: str) -> None:
            source = records.networks(console.layout).read(name).definition.source
            deployment.remove_network(name)
            console.line(name)
            if source not in ("", SOURCE):
                console.note(f"{name}: its definition {source} is still there; 'ctrctl apply' will make it again")

        return listing.each(args.name, console, remove)


def _prune(args: argparse.Namespace, console: Console) -> int:
    found = documents(console.layout)
    unused = [one for one in found if not (one["containers"] or one["pods"]) and one["name"] != DEFAULT]
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)

        def remove(name: str) -> None:
            deployment.remove_network(name)
            console.line(name)

        status = listing.each([one["name"] for one in unused if one["source"] == SOURCE], console, remove)
    for one in unused:
        if one["source"] != SOURCE:
            console.note(f"{one['name']}: kept; it is defined in {one['source']}")
    return status


def _reload(args: argparse.Namespace, console: Console) -> int:
    with Manager.open() as manager:
        if (job := manager.restart(RELOAD_UNIT)) != "done":
            raise HostError(f"{RELOAD_UNIT}: its start job ended as '{job}'; see 'journalctl -u {RELOAD_UNIT}'")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "create": _create,
    "ls": _list,
    "inspect": _inspect,
    "rm": _remove,
    "prune": _prune,
    "reload": _reload,
}
