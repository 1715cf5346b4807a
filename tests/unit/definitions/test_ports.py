"""PublishPort= means what podman-run(1) --publish says."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.definitions.ports import discarded, published, shown
from supervisor.definitions.quadlet import compile_file
from supervisor.errors import UserError
from supervisor.spec.network import NetworkMode, Protocol, PublishedPort
from supervisor.spec.ports import collide


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", PublishedPort(80)),
        ("8080:80", PublishedPort(80, 8080)),
        ("127.0.0.1:8080:80", PublishedPort(80, 8080, address="127.0.0.1")),
        ("127.0.0.1::80", PublishedPort(80, address="127.0.0.1")),
        ("0.0.0.0:8080:80", PublishedPort(80, 8080, address="0.0.0.0")),
        ("[::]:8080:80", PublishedPort(80, 8080, address="::")),
        ("[fd00:0:0::1]::80/tcp", PublishedPort(80, address="fd00::1")),
        ("53:53/udp", PublishedPort(53, 53, protocol=Protocol.UDP)),
        ("9:9/SCTP", PublishedPort(9, 9, protocol=Protocol.SCTP)),
        ("8000-8009:9000-9009", PublishedPort(9000, 8000, 10)),
        ("8000-8001", PublishedPort(8000, 0, 2)),
        ("1-65535:1-65535", PublishedPort(1, 1, 65535)),
    ],
)
def test_forms(text: str, expected: PublishedPort) -> None:
    """Each form of [[ip:][hostPort]:]containerPort[/protocol]."""
    assert published(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "::80", "80:", "0", "65536", "-1", "1-", "2-1", "65535-65536", "1-2:1", "1:1-2", "80/", "80/icmp",
     "localhost:80:80", "1.2.3:80:80", "::1:80:80", "[127.0.0.1:80:80", "[]:80:80", "1.2.3.4:80:80:80", "80:80 ",
     "80x", "٣:٣", "[fe80::1%eth0/]:1:1", "9" * 5000],
)  # fmt: skip
def test_refused(text: str) -> None:
    """What is no port, or no range of as many ports on both sides."""
    with pytest.raises(UserError, match=r"; write |which are numbers"):
        published(text)


PORTS = st.builds(
    PublishedPort,
    st.integers(1, 65000),
    st.integers(0, 65000),
    st.integers(1, 500),
    st.sampled_from(Protocol),
    st.one_of(st.just(""), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)),
)


@given(PORTS)
def test_what_is_shown_is_read_again(port: PublishedPort) -> None:
    """`shown` is the inverse of `published`."""
    assert published(shown(port)) == port


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("80:80", "80:81", True),
        ("80:80", "80:80/udp", False),
        ("80:80", "127.0.0.1:80:80", True),
        ("0.0.0.0:80:80", "127.0.0.1:80:80", True),
        ("0.0.0.0:80:80", "[::1]:80:80", False),
        ("[::]:80:80", "[::1]:80:80", True),
        ("[::]:80:80", "0.0.0.0:80:80", False),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", False),
        ("80-89:80-89", "89:1", True),
        ("80-89:80-89", "90:1", False),
        ("80", "80", False),
    ],
)
def test_collisions(one: str, other: str, expected: bool) -> None:
    """One port of one protocol on addresses that overlap."""
    assert collide(published(one), published(other)) is expected
    assert collide(published(other), published(one)) is expected


def test_ports_are_discarded_without_a_network_of_its_own() -> None:
    """Only there."""
    assert [mode for mode in NetworkMode if not discarded(mode)] == [NetworkMode.NETWORKS]


@given(st.text(alphabet="0123456789-:[]./tcpud% ax\"'", max_size=24) | st.text(max_size=12))
@example("%:%")
def test_every_refusal_names_line_and_key(text: str) -> None:
    """Never an exception, whatever the value is."""
    line = text.replace("\n", "").replace("\r", "").rstrip("\\")
    result = compile_file("/d/a.container", f"[Container]\nImage=x\nPublishPort={line}\n")
    assert (result.defined is None) == bool(result.problems)
    for problem in result.problems:
        assert problem.line == 3 and (problem.key == "PublishPort" or "control character" in problem.message)
