"""A ``.network`` file compiles into the network its author meant, or into every mistake it has."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions import network_values
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.network_file import compile_unit
from supervisor.definitions.unitfile import parse
from supervisor.errors import UserError
from supervisor.spec.network import Driver, Network, Subnet

PATH = "/etc/ctr/shop.network"


def compiled(lines: str, path: str = PATH) -> Compiled[Network]:
    result = compile_unit(parse(path, f"[Network]\n{lines}"))
    assert (result.defined is None) == bool(result.problems)
    return result


def network(lines: str) -> Network:
    result = compiled(lines)
    assert result.problems == () and result.defined is not None
    return result.defined


def problems(lines: str) -> list[str]:
    return [str(problem).removeprefix(PATH) for problem in compiled(lines).problems]


def test_an_empty_section_is_a_network() -> None:
    """Everything else is filled in when it is deployed; its name is the file's, without podman's 'systemd-'."""
    assert network("") == Network("shop", PATH)
    assert compiled("").warnings == ()


EFFECTS = {
    "DisableDNS": ("yes", {"dns": False}),
    "DNS": ("10.0.0.5", {"nameservers": ("10.0.0.5",)}),
    "Driver": ("bridge", {}),
    "Gateway": ("10.0.0.9", {"subnets": (Subnet("10.0.0.0/24", "10.0.0.9"),)}),
    "InterfaceName": ("br-shop", {"interface": "br-shop"}),
    "Internal": ("true", {"internal": True}),
    "IPAMDriver": ("host-local", {}),
    "IPRange": ("10.0.0.8/29", {"subnets": (Subnet("10.0.0.0/24", "", "10.0.0.9", "10.0.0.14"),)}),
    "IPv6": ("yes", {"ipv6": True}),
    "Label": ('a=b "c=d e"', {"labels": (("a", "b"), ("c", "d e"))}),
    "NetworkName": ("%N-net", {"name": "shop-network-net"}),
    "Options": ("mtu=1400,isolate=1 metric=5", {"options": (("mtu", "1400"), ("isolate", "true"), ("metric", "5"))}),
    "Subnet": (
        "fd00::/64",
        {"subnets": (Subnet("10.0.0.0/24"), Subnet("fd00::/64"))},
    ),
}


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect, and only its own."""
    line, expected = EFFECTS[key]
    assert network(f"Subnet=10.0.0.0/24\n{key}={line}\n") == dataclasses.replace(
        network("Subnet=10.0.0.0/24\n"), **expected
    )


def test_every_done_key_is_tested() -> None:
    """The table promises nothing that is not shown to work."""
    assert {key.name for key in keys("Network") if key.section == "Network" and key.state is State.DONE} == set(EFFECTS)


def test_a_network_stays_as_long_as_its_definition() -> None:
    """NetworkDeleteOnStop= changes nothing, and a warning says what goes with the last container and what does not."""
    result = compiled("NetworkDeleteOnStop=yes\n")
    assert result.defined == network("")
    assert [(w.line, w.key) for w in result.warnings] == [(2, "NetworkDeleteOnStop")]
    assert "the bridge and its rules go with the last container that runs" in result.warnings[0].message


def test_what_says_when_podmans_unit_starts_is_a_warning() -> None:
    """A network is no unit here; files that have such lines for podman need no change."""
    lines = "[Unit]\nDescription=x\nAfter=a.service\n[Service]\nRestart=no\n[Install]\nWantedBy=b.target\nAlso=c\n"
    result = compiled(lines)
    assert result.defined == network("")
    assert [w.line for w in result.warnings] == [4, 6, 8, 9]


def test_gateways_and_ranges_belong_to_subnets_in_order() -> None:
    """As podman pairs them up."""
    lines = "Subnet=10.0.0.0/24\nSubnet=fd00::/64\nGateway=10.0.0.254\nGateway=fd00::9\nIPRange=10.0.0.10-10.0.0.20\n"
    assert network(lines).subnets == (
        Subnet("10.0.0.0/24", "10.0.0.254", "10.0.0.10", "10.0.0.20"),
        Subnet("fd00::/64", "fd00::9"),
    )


def test_drivers() -> None:
    """Parent, mode and vlan are where they belong; docker's names are understood; only bridges have names."""
    macvlan = "Driver=macvlan\nSubnet=10.0.0.0/24\n"
    found = network(f"{macvlan}Options=parent=eth0.5,mode=vepa\nOptions=com.docker.network.driver.mtu=1300\n")
    assert (found.driver, found.interface, found.dns) == (Driver.MACVLAN, "eth0.5", False)
    assert found.options == (("mode", "vepa"), ("mtu", "1300"))
    assert network("Options=com.docker.network.bridge.name=br9\n").interface == "br9"
    assert network("Options=mode=managed,isolate=strict,vlan=5\n").options == (("isolate", "strict"), ("vlan", "5"))
    assert network("InterfaceName=br0\nOptions=mode=unmanaged\n").options == (("mode", "unmanaged"),)
    assert network("Options=isolate=false,no_default_route=0\n").options == ()
    assert network("Options=no_default_route=1\n").options == (("no_default_route", "true"),)
    assert not network("Driver=ipvlan\nIPAMDriver=none\nOptions=mode=l3\n").addressing
    assert [w.key for w in compiled("Driver=ipvlan\nSubnet=10.0.0.0/24\nDisableDNS=no\n").warnings] == ["DisableDNS"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("NetworkName=host\n", ":2: NetworkName=: 'host' has a meaning of its own"),
        ("NetworkName=a b\n", ":2: NetworkName=: network name 'a b' is not valid"),
        ("Driver=overlay\n", ":2: Driver=: 'overlay' is not a network driver; write bridge, macvlan or ipvlan"),
        ("Driver=macvlan\n", ":2: Driver=: macvlan needs the subnet of the network it joins"),
        ("IPAMDriver=dhcp\n", ":2: IPAMDriver=: dhcp needs a resident program for each network"),
        ("IPAMDriver=x\n", ":2: IPAMDriver=: 'x' is not a way to give addresses"),
        ("IPAMDriver=none\nSubnet=10.0.0.0/24\n", ":3: Subnet=: there are no addresses, and a subnet says there are"),
        ("Subnet=10.0.0.0\n", ":2: Subnet=: '10.0.0.0' is not a subnet; write 10.0.0.0/24 or another length"),
        ("Subnet=10.0.0.5/24\n", ":2: Subnet=: '10.0.0.5/24' is not a subnet; write 10.0.0.0/24"),
        ("Subnet=lots\n", ":2: Subnet=: 'lots' is not a subnet; write one like 10.91.5.0/24"),
        ("Subnet=10.0.0.0/8\nSubnet=10.1.0.0/16\n", ":2: Subnet=: 10.1.0.0/16 and 10.0.0.0/8 overlap"),
        ("Gateway=10.0.0.1\n", ":2: Gateway=: has no subnet; write one Subnet= for each"),
        ("IPRange=10.0.0.0/25\n", ":2: IPRange=: has no subnet; write one Subnet= for each"),
        ("Subnet=10.0.0.0/24\nGateway=10.0.1.1\n", ":3: Gateway=: 10.0.1.1 is not in 10.0.0.0/24"),
        ("Subnet=10.0.0.0/24\nIPRange=10.0.1.0/25\n", ":3: IPRange=: 10.0.1.1-10.0.1.126 is not in 10.0.0.0/24"),
        ("Subnet=10.0.0.0/24\nIPRange=10.0.0.9-10.0.0.8\n", ":3: IPRange=: '10.0.0.9-10.0.0.8' is not a range"),
        ("InterfaceName=0123456789abcdef\n", ":2: InterfaceName=: '0123456789abcdef' is not an interface name"),
        ("InterfaceName=a\nOptions=parent=b\n", ":2: InterfaceName=: an option names the interface b"),
        ("Options=mtu\n", ":2: Options=: 'mtu' is not an option; write NAME=VALUE"),
        ("Options=mtu=9999999\n", ":2: Options=: '9999999' is not a number from 68 to 65535"),
        ("Options=color=red\n", ":2: Options=: 'color' is no option of a network; there are mtu, isolate"),
        ("Options=mode=l3\n", ":2: Options=: 'l3' is not a mode of bridge"),
        ("Driver=ipvlan\nSubnet=10.0.0.0/24\nOptions=vlan=5\n", ":4: Options=: vlan is for bridges only"),
        ("DNS=a.example\n", ":2: DNS=: 'a.example' is not an IP address"),
        ("Sub=1\n", ":2: Sub=: no such key in [Network]; "),
        ("PodmanArgs=--x\n", ":2: PodmanArgs=: --x: no such option of podman"),
        ("[Unit]\nAfer=a.service\n", ":3: Afer=: no such key in [Unit]; did you mean After?"),
        ("[Service]\nExecStartPre=/x\n", ":3: ExecStartPre=: a network is no unit, so it would not be run"),
        ("[Install]\nWanted=x\n", ":3: Wanted=: no such key in [Install]"),
        ("[Container]\nImage=x\n", ":2: [Container] is not a section of a .network file; use [Install], [Network]"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(lines: str, message: str) -> None:
    """One message for one mistake."""
    (found,) = problems(lines)
    assert found.startswith(message)


def test_sections_that_change_nothing() -> None:
    """A description is free; [Install] is a warning, since the network is there in any case."""
    result = compiled("[Unit]\nDescription=x\nDocumentation=man:x\nX-A=1\n[Install]\nWantedBy=multi-user.target\n")
    assert result.problems == ()
    assert [warning.line for warning in result.warnings] == [7]


def test_names_of_files() -> None:
    """A template, a name that is none, and a word of Network= are refused for the whole file."""
    for name in ("a@.network", "-a.network", "none.network"):
        (problem,) = compiled("", f"/etc/ctr/{name}").problems
        assert (problem.line, problem.key) == (1, "")
    assert compiled("NetworkName=a\n", "/etc/ctr/none.network").problems == ()


BLOCKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
)


@given(BLOCKS)
def test_a_block_as_range_lies_in_the_block(block: tuple[object, int]) -> None:
    """Its host bits are corrected by name, its range is inside, lower address first."""
    text = f"{block[0]}/{block[1]}"
    try:
        network_values.subnet(text)
    except UserError as error:
        text = str(error).rpartition("write ")[2]
    found = network_values.subnet(text)
    low, high = network_values.address_range(text)
    assert low in found and high in found and int(low) <= int(high)
    assert network_values.with_range(Subnet(str(found)), (low, high)) == Subnet(str(found), "", str(low), str(high))


WORDS = st.sampled_from(
    [
        "10.0.0.0/24",
        "10.0.0.1",
        "fd00::/64",
        "-",
        ",",
        "=",
        "mtu",
        "isolate",
        "true",
        "1",
        "/",
        ":",
        "%N",
        "x",
        "yes",
        "none",
        "bridge",
        "macvlan",
    ]
)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(EFFECTS)), st.lists(WORDS, max_size=4).map("".join) | st.text(max_size=9))
    )
)
def test_any_values_compile_without_an_exception(lines: list[tuple[str, str]]) -> None:
    """Every refusal names line and key."""
    text = "".join(f"{key}={''.join(value.splitlines())}\n" for key, value in lines)
    for problem in compiled(text).problems:
        assert problem.line and (problem.key in EFFECTS or not problem.key)
