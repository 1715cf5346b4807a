"""Subnets and addresses: chosen without collision, kept, and refused with the name of who is in the way."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ConflictError, NotFoundError, UserError
from supervisor.network.addresses import DEFAULT, POOL, complete, lease
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Driver, Lease, Network, Subnet


def network(name: str = "back", **fields: object) -> Network:
    return Network(name, "test", **fields)  # type: ignore[arg-type]


def container(name: str, *attachments: Attachment) -> Container:
    return Container(name, "test", image="i", attachments=attachments)


def one(name: str = "back", subnet: str = "10.1.0.0/24", **fields: str) -> Network:
    return complete(network(name, subnets=(Subnet(subnet, **fields),)), (), ())


# networks


def test_default_network() -> None:
    """10.90.0.0/16 on ctr0; on a host that routes that elsewhere, the next pool."""
    done = complete(DEFAULT, (), ())
    assert (done.interface, done.subnets) == ("ctr0", (Subnet("10.90.0.0/16", "10.90.0.1"),))
    assert complete(DEFAULT, (), ("10.0.0.0/8",)).subnets[0].subnet == "172.30.0.0/16"


def test_named_networks_take_the_first_free_block() -> None:
    """Upward from 10.91.0.0/24, past other networks and past what the host routes."""
    first = complete(network("a"), (), ())
    second = complete(network("b"), (first,), ())
    third = complete(network("c"), (first, second), ("10.91.2.128/25",))
    assert [n.subnets[0].subnet for n in (first, second, third)] == ["10.91.0.0/24", "10.91.1.0/24", "10.91.3.0/24"]


def test_a_full_pool_is_an_error() -> None:
    """It says which pool is full."""
    with pytest.raises(ConflictError, match=r"network a: no free subnet in 10\.91\.0\.0/16"):
        complete(network("a"), (), POOL)


def test_ipv6_block_is_made_of_the_name() -> None:
    """A unique local /64, the same every time, another for another name."""
    done = complete(network("a", ipv6=True), (), ())
    assert complete(network("a", ipv6=True), (), ()) == done
    block = ip_network(done.subnets[1].subnet)
    assert block.prefixlen == 64 and block.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert complete(network("b", ipv6=True), (), ()).subnets[1] != done.subnets[1]
    assert complete(network("a", ipv6=True), (), (str(block),)).subnets[1] != done.subnets[1]


def test_a_network_keeps_what_was_chosen_for_it() -> None:
    """Completed again after another one is gone, it does not move; asked for IPv6, it gets both anew."""
    first = complete(network("a"), (), ())
    second = complete(network("b"), (first,), ())
    assert complete(network("b"), (second,), ()).subnets == second.subnets
    assert len(complete(network("b", ipv6=True), (second,), ()).subnets) == 2


@pytest.mark.parametrize(
    ("subnet", "error"),
    [
        (Subnet("10.91.0.0/16"), r"subnet 10\.91\.0\.0/16: overlaps 10\.91\.7\.0/24 of network front"),
        (Subnet("192.0.2.128/25"), r"subnet 192\.0\.2\.128/25: overlaps 192\.0\.2\.0/24, which this host routes"),
        (Subnet("x"), "subnet 'x': not a subnet"),
        (Subnet("127.0.0.0/8"), "is reserved"),
        (Subnet("0.0.0.0/0"), "is reserved"),
        (Subnet("10.1.0.0/31"), "no room"),
        (Subnet("10.1.0.0/24", gateway="10.2.0.1"), r"gateway 10\.2\.0\.1: outside of subnet 10\.1\.0\.0/24"),
        (Subnet("10.1.0.0/24", gateway="10.1.0.255"), "stands for subnet"),
        (Subnet("10.1.0.0/24", first="10.1.0.9", last="10.1.0.5"), "ends before it begins"),
    ],
)
def test_bad_subnets(subnet: Subnet, error: str) -> None:
    """Each mistake is named; nothing is repaired silently."""
    front = one("front", "10.91.7.0/24")
    with pytest.raises(UserError, match=rf"network back: .*{error}"):
        complete(network(subnets=(subnet,)), (front,), ("192.0.2.0/24",))


def test_subnets_of_one_network_do_not_overlap() -> None:
    """A network cannot contradict itself."""
    with pytest.raises(ConflictError, match="overlaps itself"):
        complete(network(subnets=(Subnet("10.1.0.0/16"), Subnet("10.1.5.0/24"))), (), ())


def test_macvlan_shares_its_parents_subnet() -> None:
    """Its subnet is the host's own by intent; without one there is nobody to give addresses."""
    wanted = network(driver=Driver.MACVLAN, subnets=(Subnet("192.0.2.0/24"),))
    assert complete(wanted, (), ("192.0.2.0/24",)).subnets[0].gateway == "192.0.2.1"
    assert complete(replace(wanted, internal=True), (), ()).subnets[0].gateway == ""
    with pytest.raises(UserError, match="no DHCP"):
        complete(network(driver=Driver.MACVLAN), (), ())
    assert complete(network(driver=Driver.MACVLAN, addressing=False), (), ()).subnets == ()


def test_bridges() -> None:
    """ctr-NAME where that is an interface name, else a hash; never another network's."""
    assert complete(network("elevenchars"), (), ()).interface == "ctr-elevenchars"
    for name in ("twelve-chars", "with.dot"):
        made = complete(network(name), (), ()).interface
        assert made.startswith("ctr-") and len(made) <= 15 and "." not in made
    with pytest.raises(ConflictError, match="bridge of network back"):
        complete(network("other", interface="ctr-back"), (one(),), ())
    with pytest.raises(UserError, match="use 1 to 15"):
        complete(network(interface="a" * 16), (), ())


# addresses


def test_lowest_free_address_and_a_stable_mac() -> None:
    """The gateway is left out; the hardware address is unicast, locally administered, and made of the address."""
    back = one()
    taken = {"back": {"10.1.0.2": "a", "10.1.0.4": "b"}}
    (given_,) = lease(container("c", Attachment("back")), {"back": back}, taken, ())
    assert given_ == Lease("back", "eth0", ("10.1.0.3",), "02:c7:0a:01:00:03")


def test_no_network_named_is_the_default_one() -> None:
    """As in podman."""
    assert lease(container("c"), {"ctr": complete(DEFAULT, (), ())}, {}, ())[0].addresses == ("10.90.0.2",)


def test_recorded_address_is_kept_while_it_fits() -> None:
    """Unless somebody else has it, it is the gateway now, or the range or a wish says otherwise."""
    before = (Lease("back", "eth0", ("10.1.0.77",), "02:c7:0a:01:00:4d"),)
    me = container("c", Attachment("back"))

    def got(back: Network, taken: dict[str, str] | None = None, who: Container = me) -> str:
        return lease(who, {"back": back}, {"back": taken or {}}, before)[0].addresses[0]

    assert got(one()) == "10.1.0.77"
    assert got(one(), {"10.1.0.77": "x"}) == "10.1.0.2"
    assert got(one(gateway="10.1.0.77")) == "10.1.0.1"
    assert got(one(first="10.1.0.100")) == "10.1.0.100"
    assert got(one(subnet="10.2.0.0/24")) == "10.2.0.2"
    assert got(one(), who=container("c", Attachment("back", ip="10.1.0.9"))) == "10.1.0.9"


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"ip": "10.1.0.5"}, "held by db; choose another"),
        ({"ip": "10.1.0.1"}, "is the gateway's"),
        ({"ip": "10.1.0.0"}, "stands for subnet"),
        ({"ip": "10.1.0.255"}, "stands for subnet"),
        ({"ip": "10.2.0.5"}, r"outside of its subnet; it has 10\.1\.0\.0/24"),
        ({"ip": "fd00::5"}, "is not an IPv4 address"),
        ({"ip6": "fd00::5"}, "outside of its subnet"),
        ({"mac": "01:00:00:00:00:01"}, "first byte must be even"),
        ({"mac": "02:00:00:00:01"}, "hardware address '02:00:00:00:01': not one"),
        ({"interface": "a b"}, "interface 'a b'"),
    ],
)
def test_wishes_that_cannot_be_granted(wish: dict[str, str], error: str) -> None:
    """One error, with the container, and the holder where there is one."""
    with pytest.raises(UserError, match=rf"^web: .*{error}"):
        lease(container("web", Attachment("back", **wish)), {"back": one()}, {"back": {"10.1.0.5": "db"}}, ())


def test_unknown_network_and_exhausted_subnet() -> None:
    """Both are named."""
    with pytest.raises(NotFoundError, match=r"^web: network nosuch: no such network"):
        lease(container("web", Attachment("nosuch")), {}, {}, ())
    small = one(subnet="10.1.0.0/30")
    with pytest.raises(ConflictError, match=r"^web: network back: no free address left in 10\.1\.0\.0/30"):
        lease(container("web", Attachment("back")), {"back": small}, {"back": {"10.1.0.2": "a"}}, ())


def test_interfaces_inside() -> None:
    """eth0, eth1 … in order, around those that were asked for by name; a network once."""
    networks = {name: one(name, f"10.{n}.0.0/24") for n, name in enumerate("abc", 1)}
    wishes = (Attachment("a"), Attachment("b", interface="eth0"), Attachment("c"))
    assert [item.interface for item in lease(container("x", *wishes), networks, {}, ())] == ["eth1", "eth0", "eth2"]
    with pytest.raises(UserError, match="network a: named twice"):
        lease(container("x", Attachment("a"), Attachment("a")), networks, {}, ())


def test_both_families() -> None:
    """IPv4 first, one of each."""
    back = complete(network(ipv6=True, subnets=(Subnet("fd00::/64"), Subnet("10.1.0.0/24"))), (), ())
    assert lease(container("x", Attachment("back")), {"back": back}, {}, ())[0].addresses == ("10.1.0.2", "fd00::2")


def test_without_addressing() -> None:
    """No address, but a hardware address."""
    back = complete(network(addressing=False), (), ())
    (given_,) = lease(container("x", Attachment("back")), {"back": back}, {}, ())
    assert given_.addresses == () and given_.mac.startswith("02:c7:")


@given(st.lists(st.sampled_from(["", "10.1.0.9", "10.1.0.2", "10.1.0.20"]), max_size=40), st.integers(24, 28))
def test_nobody_shares_an_address(wishes: list[str], prefix: int) -> None:
    """Whatever is wished for, granted addresses are distinct, inside, and nobody's gateway."""
    back = one(subnet=f"10.1.0.0/{prefix}")
    taken: dict[str, str] = {}
    for number, wish in enumerate(wishes):
        try:
            (given_,) = lease(container(f"c{number}", Attachment("back", ip=wish)), {"back": back}, {"back": taken}, ())
        except UserError:
            continue
        (address,) = given_.addresses
        assert address not in taken and address != back.subnets[0].gateway
        assert ip_address(address) in ip_network(back.subnets[0].subnet)
        taken[address] = f"c{number}"
