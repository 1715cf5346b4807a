"""Published ports: decided once, kept, never two on one port of the host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ConflictError, UserError
from supervisor.network.ports import FIRST, LAST, resolve, words
from supervisor.spec.container import Container
from supervisor.spec.network import Protocol, PublishedPort


def container(*ports: PublishedPort, everything: bool = False) -> Container:
    return Container("web", "test", image="i", ports=ports, publish_all=everything)


def test_what_was_asked_for_is_what_one_gets() -> None:
    """Ports that are named stay as they are, even when they are busy now: that is for the start to say."""
    port = PublishedPort(80, 8080, 3, Protocol.UDP, "127.0.0.1")
    assert resolve(container(port), (), {("udp", 8080)}, ()) == (port,)
    assert words(port) == "127.0.0.1:8080-8082/udp"


def test_open_ports_are_chosen_free_and_kept() -> None:
    """The lowest of the pool that nobody has; once recorded it is kept, also while it is busy (it is its own)."""
    (chosen,) = resolve(container(PublishedPort(80)), (), {("tcp", FIRST), ("udp", FIRST + 1)}, ())
    assert chosen == PublishedPort(80, FIRST + 1)
    assert resolve(container(PublishedPort(80)), (), {("tcp", FIRST + 1)}, (chosen,)) == (chosen,)
    taken = container(PublishedPort(81, FIRST + 1), PublishedPort(80))
    assert resolve(taken, (), (), (chosen,))[1].host == FIRST


def test_an_open_range_is_consecutive() -> None:
    """A hole that is too small is passed over."""
    (chosen,) = resolve(container(PublishedPort(80, length=3)), (), {("tcp", FIRST + 2)}, ())
    assert chosen.host == FIRST + 3
    with pytest.raises(ConflictError, match=f"no free port in {FIRST}-{LAST}"):
        resolve(container(PublishedPort(80)), (), {("tcp", n) for n in range(FIRST, LAST + 1)}, ())


def test_publish_all() -> None:
    """Every exposed port that is not published by name."""
    done = resolve(container(PublishedPort(80, 8080), everything=True), ("80/tcp", "53/udp", "443"), (), ())
    assert [(p.container, p.protocol.value) for p in done] == [(80, "tcp"), (443, "tcp"), (53, "udp")]
    with pytest.raises(UserError, match="web: image: exposed port 'x/tcp'"):
        resolve(container(everything=True), ("x/tcp",), (), ())


@pytest.mark.parametrize(
    ("ports", "error"),
    [
        ([PublishedPort(80, 8080), PublishedPort(81, 8080)], "port 8080/tcp: published twice"),
        ([PublishedPort(80, 8080, 5), PublishedPort(81, 8084, address="10.0.0.1")], "published twice"),
        ([PublishedPort(80, 8080, address="::"), PublishedPort(80, 8080, address="::1")], "published twice"),
        ([PublishedPort(0, 8080)], "ports are 1 to 65535"),
        ([PublishedPort(80, 65535, 2)], "ends beyond 65535"),
        ([PublishedPort(80, 8080, address="localhost")], "'localhost' is not an address"),
    ],
)
def test_bad_ports(ports: list[PublishedPort], error: str) -> None:
    """Each names the container and the port."""
    with pytest.raises(UserError, match=f"^web: .*{error}"):
        resolve(container(*ports), (), (), ())


def test_ports_that_only_look_alike() -> None:
    """Other protocols, other addresses and other families are other ports."""
    same = [
        PublishedPort(80, 8080),
        PublishedPort(80, 8080, protocol=Protocol.UDP),
        PublishedPort(80, 8081, address="127.0.0.1"),
        PublishedPort(80, 8081, address="127.0.0.2"),
        PublishedPort(80, 8082, address="0.0.0.0"),
        PublishedPort(80, 8082, address="::1"),
        PublishedPort(80, 8083, address="0.0.0.0"),
        PublishedPort(80, 8083, address="::"),
        PublishedPort(80, 8084, address="::"),
        PublishedPort(80, 8084, address="127.0.0.1"),
    ]
    assert resolve(container(*same), (), (), ()) == tuple(same)


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(1, 5)), max_size=12), st.sets(st.integers(FIRST, FIRST + 60))
)
def test_chosen_ports_never_meet(wishes: list[tuple[int, int]], busy: set[int]) -> None:
    """Neither each other nor what is busy."""
    ports = [PublishedPort(number, length=length) for number, length in wishes]
    used = [
        n
        for p in resolve(container(*ports), (), {("tcp", n) for n in busy}, ())
        for n in range(p.host, p.host + p.length)
    ]
    assert len(used) == len(set(used))
    assert not busy & set(used)
