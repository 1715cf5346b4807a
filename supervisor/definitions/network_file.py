"""A ``.network`` file in, a `Network` out. Pure.

How values read is in `network_values`; here they are put together and checked against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from supervisor.definitions import kinds, network_values, networks, podman_args, values
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import NETWORK
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import UserError
from supervisor.spec.network import Driver, Network, Subnet

T = TypeVar("T")


def compile_unit(file: UnitFile) -> Compiled[Network]:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file = podman_args.expand_section(file, NETWORK.section, findings)
    name = kinds.name_or_refuse(file, NETWORK, findings)
    kinds.check_sections(file, NETWORK, findings)
    kinds.check_no_unit(file, NETWORK, findings)
    stem = kinds.unit_stem(file, NETWORK)
    Lines(file, "Quadlet", findings, stem=stem, unit=f"{stem}.service")
    lines = Lines(file, "Network", findings, stem=stem, unit=f"{stem}.service")
    network = _network(file.path, name, lines, findings)
    return compiled(network, findings)


def _network(path: str, name: str, lines: Lines, findings: Findings) -> Network:
    driver = lines.get("Driver", network_values.driver, Driver.BRIDGE)
    interface, options = _options(lines, driver, findings)
    internal = lines.get("Internal", values.boolean, False)
    addressing = lines.get("IPAMDriver", network_values.addressing, True)
    subnets = _subnets(lines, findings)
    if not findings.problems:
        try:
            network_values.check_subnets(driver, subnets, addressing=addressing, internal=internal)
        except UserError as error:
            at = (*lines.of("Subnet"), *lines.of("Driver"))
            findings.refuse(at[0], error)
    return Network(
        name=name,
        source=path,
        driver=driver,
        subnets=subnets,
        ipv6=lines.get("IPv6", values.boolean, False),
        internal=internal,
        dns=_dns(lines, driver, findings),
        nameservers=tuple(dict.fromkeys(value for _, value in lines.each("DNS", networks.address))),
        addressing=addressing,
        interface=interface,
        options=options,
        labels=labels(lines, "Label", findings),
    )


def _subnets(lines: Lines, findings: Findings) -> tuple[Subnet, ...]:
    """Subnets with the gateways and ranges at the same place, as podman pairs them up."""
    found = [Subnet(str(block)) for _, block in lines.each("Subnet", network_values.subnet)]
    if len(found) < len(lines.of("Subnet")):
        return ()  # a mistake that has been reported; what belongs to which is not known any more
    _pair(found, lines.each("Gateway", networks.address), network_values.with_gateway, findings)
    _pair(found, lines.each("IPRange", network_values.address_range), network_values.with_range, findings)
    return tuple(found)


def _pair(
    found: list[Subnet],
    given: tuple[tuple[Assignment, T], ...],
    add: Callable[[Subnet, T], Subnet],
    findings: Findings,
) -> None:
    for index, (at, value) in enumerate(given):
        if index >= len(found):
            findings.refuse(at, "has no subnet; write one Subnet= for each, in the same order")
            continue
        try:
            found[index] = add(found[index], value)
        except UserError as error:
            findings.refuse(at, error)


def _options(lines: Lines, driver: Driver, findings: Findings) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The interface and the other options: ``Options=a=1,b=2``, several words, several lines."""
    lists = lines.words(
        "Options", lambda text: [network_values.option(word) for word in text.split(",")], unescape=True
    )
    named = lines.one("InterfaceName", networks.interface)
    try:
        interface, options = network_values.options(driver, (pair for _, pairs in lists for pair in pairs))
    except UserError as error:
        findings.refuse(lists[-1][0], error)
        return "", ()
    if named and interface and named != interface:
        findings.refuse(
            lines.of("InterfaceName")[-1], f"an option names the interface {interface}; keep one of the two"
        )
    return named or interface, options


def _dns(lines: Lines, driver: Driver, findings: Findings) -> bool:
    disabled = lines.one("DisableDNS", values.boolean)
    if driver is Driver.BRIDGE:
        return not disabled
    # podman-network-create(1) --disable-dns: "for other drivers it is always disabled".
    if disabled is False:
        findings.warn(
            lines.of("DisableDNS")[-1], f"has no effect with {driver.value}: only bridges have names for containers"
        )
    return False
