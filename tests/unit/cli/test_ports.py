"""Published ports in words: the PORTS column, ``ctrctl port``, and what is typed after it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.cli.ports import Published, column, inside_port, joined, mappings, published
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.network import Protocol, PublishedPort
from supervisor.spec.record import Record


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ([], ""),
        ([Published(80, 8080)], "0.0.0.0:8080->80/tcp"),
        ([Published(53, 53, 1, "udp", "127.0.0.1")], "127.0.0.1:53->53/udp"),
        ([Published(80, 8080, 1, "tcp", "fd00::1")], "[fd00::1]:8080->80/tcp"),
        ([Published(90, 8000, 10)], "0.0.0.0:8000-8009->90-99/tcp"),
        ([Published(81, 8081), Published(80, 8080)], "0.0.0.0:8080-8081->80-81/tcp"),
        ([Published(80, 8080), Published(81, 8082)], "0.0.0.0:8080->80/tcp, 0.0.0.0:8082->81/tcp"),
        ([Published(53, 53), Published(53, 53, 1, "udp")], "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp"),
        ([Published(80, 80), Published(81, 81, 1, "tcp", "::1")], "0.0.0.0:80->80/tcp, [::1]:81->81/tcp"),
    ],
)
def test_the_column_is_dockers(ports: list[Published], words: str) -> None:
    """Address, host port, arrow, port and protocol; neighbours are one range."""
    assert column(ports) == words


def numbers(ports: tuple[Published, ...]) -> list[tuple[str, str]]:
    return sorted(mappings(ports))


@given(
    st.lists(
        st.builds(
            Published,
            container=st.integers(1, 30),
            host=st.integers(1, 30),
            length=st.integers(1, 4),
            protocol=st.sampled_from(("tcp", "udp")),
            address=st.sampled_from(("", "127.0.0.1", "::1")),
        ),
        max_size=6,
    )
)
def test_joining_loses_no_port(ports: list[Published]) -> None:
    """Joined or not, the same single ports are published."""
    assert numbers(joined(ports)) == numbers(tuple(ports))


@given(
    st.builds(
        PublishedPort,
        container=st.integers(1, 65535),
        host=st.integers(1, 65535),
        length=st.integers(1, 100),
        protocol=st.sampled_from(Protocol),
        address=st.sampled_from(("", "127.0.0.1", "::1")),
    )
)
def test_what_deploy_records_is_what_is_read(port: PublishedPort) -> None:
    """The record's own codec writes what this module reads without it."""
    (found,) = published(json.loads(codec.dumps(Record("x", ports=(port,)))))
    assert (found.container, found.host, found.length) == (port.container, port.host, port.length)
    assert (found.protocol, found.address) == (port.protocol.value, port.address or "0.0.0.0")


@pytest.mark.parametrize(
    ("text", "port"), [("80", "80/tcp"), ("080", "80/tcp"), ("53/udp", "53/udp"), ("9/sctp", "9/sctp")]
)
def test_a_port_with_or_without_protocol(text: str, port: str) -> None:
    """TCP unless it says otherwise."""
    assert inside_port(text) == port


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "80/", "80/icmp", "80/tcp/x", "9" * 5000, "²"])
def test_what_is_no_port(text: str) -> None:
    """One message, beginning with what was typed."""
    with pytest.raises(UserError, match=r"^port '"):
        inside_port(text)


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("web",), 0, "80/tcp -> 0.0.0.0:8080\n81/tcp -> 0.0.0.0:8081\n53/udp -> 127.0.0.1:53\n", ""),
        (("web", "81"), 0, "0.0.0.0:8081\n", ""),
        (("web", "53/udp"), 0, "127.0.0.1:53\n", ""),
        (("web", "53"), 125, "", "port 53/tcp is not published; published: 80/tcp, 81/tcp, 53/udp"),
        (("db",), 125, "", "no container 'db'"),
    ],
)
def test_the_verb(tmp_path: Path, words: tuple[str, ...], code: int, out: str, err: str) -> None:
    """All ports with where they are, or the one that is asked for."""
    directory = tmp_path / "var/lib/ctr/containers/web"
    directory.mkdir(parents=True)
    ports = (PublishedPort(80, 8080, 2), PublishedPort(53, 53, 1, Protocol.UDP, "127.0.0.1"))
    (directory / "deployed.json").write_text(codec.dumps(Record("x", ports=ports)))
    stdout, stderr = io.StringIO(), io.StringIO()
    console = Console(io.StringIO(), stdout, stderr, {}, Layout(str(tmp_path)))
    assert guarded(("port", *words), console) == code
    assert stdout.getvalue() == out
    assert err in stderr.getvalue()
