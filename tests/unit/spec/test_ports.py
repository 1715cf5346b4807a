"""When two published ports are in each other's way: as the kernel has it."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.spec.network import Protocol, PublishedPort
from supervisor.spec.ports import collide, overlap

ADDRESSES = ("", "0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1")
PORTS = st.builds(
    PublishedPort,
    container=st.just(1),
    host=st.integers(0, 6),
    length=st.integers(1, 3),
    protocol=st.sampled_from(Protocol),
    address=st.sampled_from(ADDRESSES),
)


def listening(address: str, port: int) -> socket.socket:
    """A socket as the reservation binds it: '' is both families, '::' IPv6 alone."""
    family = socket.AF_INET if "." in address else socket.AF_INET6
    found = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(address)))
    try:
        found.bind((address or "::", port))
    except OSError:
        found.close()
        raise
    return found


def has_ipv6() -> bool:
    try:
        listening("::1", 0).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("one", ADDRESSES)
@pytest.mark.parametrize("other", ADDRESSES)
def test_addresses_overlap_where_the_kernel_says_so(one: str, other: str) -> None:
    """'0.0.0.0' covers IPv4 alone, '::' IPv6 alone, '' both."""
    with listening("", 0) as free:
        port = free.getsockname()[1]
    with listening(one, port):
        try:
            listening(other, port).close()
            taken = False
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            taken = True
    assert overlap(one, other) is taken


@given(PORTS, PORTS)
def test_ports_collide_where_both_have_one(one: PublishedPort, other: PublishedPort) -> None:
    """A port of one protocol on addresses that overlap; one that is chosen later never does."""

    def numbers(port: PublishedPort) -> set[int]:
        return set(range(port.host, port.host + port.length)) if port.host else set()

    both = bool(numbers(one) & numbers(other)) and one.protocol is other.protocol
    assert collide(one, other) == collide(other, one) == (both and overlap(one.address, other.address))
