"""What the network options of ``ctrctl run`` mean, and which of them contradict each other."""

from __future__ import annotations

import pytest

from supervisor.cli import run_options
from supervisor.cli.parser import parser
from supervisor.errors import UserError
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, NetworkMode, Protocol, PublishedPort


def container(*argv: str) -> Container:
    options = parser("run", "summary", ())
    run_options.configure("run", options)
    args = options.parse_args((*argv, "image"))
    return run_options.request(args, "web", run_options.Caller("/")).container


def test_without_a_network_it_is_the_default_one() -> None:
    """Nothing is said, so deploy decides: the network ctr."""
    made = container()
    assert (made.network, made.attachments, made.ports) == (NetworkMode.NETWORKS, (), ())


@pytest.mark.parametrize(
    ("words", "mode", "attachments"),
    [
        ("--network none", NetworkMode.NONE, ()),
        ("--net host", NetworkMode.HOST, ()),
        ("--network container:db", NetworkMode.CONTAINER, ()),
        ("--network bridge", NetworkMode.NETWORKS, (Attachment("ctr"),)),
        ("--network back", NetworkMode.NETWORKS, (Attachment("back"),)),
        ("--network front --network back", NetworkMode.NETWORKS, (Attachment("front"), Attachment("back"))),
        ("--network front,back", NetworkMode.NETWORKS, (Attachment("front"), Attachment("back"))),
        (
            "--network back:ip=10.90.0.5,ip6=fd00::5,mac=02:00:00:00:00:05,alias=a,alias=b,interface_name=lan0",
            NetworkMode.NETWORKS,
            (Attachment("back", ("a", "b"), "10.90.0.5", "fd00::5", "02:00:00:00:00:05", "lan0"),),
        ),
        (
            "--network back --ip 10.90.0.5 --ip6 fd00:0::5 --mac-address 02:00:00:00:00:AA --network-alias www",
            NetworkMode.NETWORKS,
            (Attachment("back", ("www",), "10.90.0.5", "fd00::5", "02:00:00:00:00:aa"),),
        ),
        ("--network name=back", NetworkMode.NETWORKS, (Attachment("back"),)),
        (
            "--network name=back,ip6=fd00::5,alias=a",
            NetworkMode.NETWORKS,
            (Attachment("back", ("a",), ip6="fd00::5"),),
        ),
        ("--ip 10.89.0.5", NetworkMode.NETWORKS, (Attachment("ctr", ip="10.89.0.5"),)),
        (
            "--network a --network b --net-alias www",
            NetworkMode.NETWORKS,
            (Attachment("a", ("www",)), Attachment("b", ("www",))),
        ),
    ],
)
def test_networks(words: str, mode: NetworkMode, attachments: tuple[Attachment, ...]) -> None:
    """A mode, or networks with what the container wants in each."""
    made = container(*words.split())
    assert (made.network, made.attachments) == (mode, attachments)
    assert made.network_container == ("db" if mode is NetworkMode.CONTAINER else "")


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        ("-p 80", (PublishedPort(80),)),
        ("-p 8080:80", (PublishedPort(80, 8080),)),
        ("-p 127.0.0.1:8080:80/tcp", (PublishedPort(80, 8080, address="127.0.0.1"),)),
        ("-p 127.0.0.1::80", (PublishedPort(80, address="127.0.0.1"),)),
        ("-p [::1]:53:53/udp", (PublishedPort(53, 53, 1, Protocol.UDP, "::1"),)),
        ("--publish 8000-8009:80-89", (PublishedPort(80, 8000, 10),)),
        ("-p 80:80 -p 80:80/udp", (PublishedPort(80, 80), PublishedPort(80, 80, 1, Protocol.UDP))),
        ("--expose 80", ()),
        ("-P --expose 90-91", (PublishedPort(90), PublishedPort(91))),
        ("-P --expose 53/udp", (PublishedPort(53, protocol=Protocol.UDP),)),
        ("-P --expose 80 --expose 81 -p 8080:80", (PublishedPort(80, 8080), PublishedPort(81))),
    ],
)  # fmt: skip
def test_ports(words: str, ports: tuple[PublishedPort, ...]) -> None:
    """As docker writes them; --expose counts only with -P, and not for what is published already."""
    made = container(*words.split())
    assert made.ports == ports
    assert made.publish_all == ("-P" in words)


def test_names_and_resolvers() -> None:
    """Lines of /etc/hosts and of resolv.conf."""
    words = "--add-host db:10.0.0.5 --add-host me;us:host-gateway --dns 9.9.9.9 --dns ::1 --dns-option ndots:1"
    made = container(*words.split(), "--dns-opt", "rotate", "--dns-search", "example.org")
    assert made.hosts == (("db", "10.0.0.5"), ("me", "host-gateway"), ("us", "host-gateway"))
    assert (made.dns, made.dns_options, made.dns_search) == (
        ("9.9.9.9", "::1"),
        ("ndots:1", "rotate"),
        ("example.org",),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--network host --network back", "--network: "),
        ("--network none --network host", "--network: "),
        ("--network back --network back", "--network: the network back is there twice"),
        ("--network container:web", "--network: web is this container itself"),
        ("--network container:", "--network: container name"),
        ("--network back:speed=1", "--network: 'speed=1' is no option"),
        ("--network pasta", "--network: pasta is for rootless podman"),
        ("--network host -p 80:80", "-p/--publish: has no effect with the host's network"),
        ("--network none -P", "-P/--publish-all: has no effect without a network"),
        ("--network container:db -p 80:80", "-p/--publish: has no effect with the network of db"),
        ("-p 80:http", "-p/--publish: '80:http'"),
        ("-p 80-81:80", "-p/--publish: '80-81:80' has 2 ports of the host for 1"),
        ("-p 80:80 -p 0.0.0.0:80:81", "-p/--publish: 80:80/tcp and 0.0.0.0:80:81/tcp need the same port"),
        ("--expose 80:80", "--expose: '80:80' names the host too"),
        ("--network host --ip 10.0.0.5", "--ip: has no meaning with the network host"),
        ("--network a --network b --ip 10.0.0.5", "--ip: says not in which of the 2 networks"),
        ("--network a:ip=10.0.0.6 --ip 10.0.0.5", "--ip: is an option of the network a too"),
        ("--ip fd00::5", "--ip: 'fd00::5' is not an IPv4 address"),
        ("--ip6 10.0.0.5", "--ip6: '10.0.0.5' is not an IPv6 address"),
        ("--mac-address 01:00:00:00:00:00", "--mac-address: .* multicast"),
        ("--network none --network-alias www", "--network-alias: has no meaning with the network none"),
        ("--network none --dns 9.9.9.9", "--dns: has no meaning without a network"),
        ("--network container:db --dns-search x", "--dns-search: cannot be set with another container's network"),
        ("--dns none --dns 9.9.9.9", "--dns: none excludes"),
        ("--add-host db", "--add-host: 'db' is no line"),
        ("--network container:db --add-host db:10.0.0.5", "--add-host: cannot be set"),
        ("--network host --sysctl net.core.somaxconn=9", "--sysctl: net.core.somaxconn would change the host"),
    ],
)  # fmt: skip
def test_contradictions_name_the_option(words: str, message: str) -> None:
    """Found before anything runs, and the message begins with what to correct."""
    with pytest.raises(UserError, match=f"^{message}"):
        container(*words.split())


def test_what_a_command_line_makes_can_be_stored() -> None:
    """spec -> JSON -> spec."""
    words = "--network a:alias=x -p 80 -P --dns 9.9.9.9 --add-host a:host-gateway --dns-search ."
    made = container(*words.split())
    assert codec.loads(Container, codec.dumps(made)) == made
