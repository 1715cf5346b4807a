"""What is read of the host: routes, listening sockets and who has them, resolv.conf."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.network import holders, resolver, routes
from supervisor.network.record import Port, Record

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
ctr0\t00005A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
*\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
_NONE = "0" * 32
ROUTE6 = "".join(
    f"{destination:0<32} {prefix} {_NONE} 00 {_NONE} 00000100 00000001 00000000 {flags} {interface:>8}\n"
    for destination, prefix, flags, interface in (
        (f"{1:0>32}", "80", "80200001", "lo"),
        ("fe80", "40", "00000001", "eth0"),
        ("fd00000000000001", "40", "00000001", "eth0"),
        ("fd00000000000002", "40", "00000001", "ctr0"),
        ("0", "00", "00000003", "eth0"),
    )
)
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1 0 100 0 0 10 0
   1: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 502 1 0 100 0 0 10 0
"""
TCP6 = "  sl  local_address remote_address st …\n" + "".join(
    f"   {number}: {address} {_NONE}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0 100 0 0 10 0\n"
    for number, address, inode in (
        (0, f"{_NONE}:01BB", 503),
        (1, "0000000000000000FFFF00000100007F:0BB8", 504),
    )
)
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 505 2 0 0
"""


def proc(tmp_path: Path) -> str:
    """A /proc with these tables and one process, nginx, which has the socket 501."""
    net = tmp_path / "net"
    net.mkdir()
    for name, text in (("route", ROUTE), ("ipv6_route", ROUTE6), ("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        (net / name).write_text(text)
    fds = tmp_path / "77/fd"
    fds.mkdir(parents=True)
    (fds / "3").symlink_to("socket:[501]")
    (tmp_path / "77/comm").write_text("nginx\n")
    (tmp_path / "77/cgroup").write_text("0::/system.slice/nginx.service\n")
    return str(tmp_path)


def test_subnets_of_the_host(tmp_path: Path) -> None:
    """Connected and rejected ones; not the default route, half the Internet, our bridges, link-local or loopback."""
    assert routes.host_subnets(("ctr0",), proc(tmp_path)) == ("192.0.2.0/24", "192.168.0.0/16", "fd00:0:0:1::/64")


def test_busy_ports(tmp_path: Path) -> None:
    """Listening TCP and every UDP socket; not connections."""
    assert routes.busy_ports(proc(tmp_path)) == {("tcp", 8080), ("tcp", 443), ("tcp", 3000), ("udp", 53)}


def test_addresses_of_listeners(tmp_path: Path) -> None:
    """In the words of people: '' for what may be all of both families, IPv4 also where a socket is an IPv6 one."""
    assert list(routes.listeners("tcp", proc(tmp_path))) == [
        ("127.0.0.1", 8080, 501),
        ("", 443, 503),
        ("127.0.0.1", 3000, 504),
    ]
    assert list(routes.listeners("udp", str(tmp_path))) == [("0.0.0.0", 53, 505)]


def test_who_has_a_port(tmp_path: Path) -> None:
    """The unit, the program and its number; nobody for another address or port."""
    root = proc(tmp_path)
    assert holders.find(Port("tcp", "", "8080", "1"), 8080, (), root) == "nginx.service (nginx, pid 77)"
    assert holders.find(Port("tcp", "127.0.0.1", "8080", "1"), 8080, (), root)
    assert holders.find(Port("tcp", "127.0.0.2", "8080", "1"), 8080, (), root) == ""
    assert holders.find(Port("udp", "", "8080", "1"), 8080, (), root) == ""
    assert holders.find(Port("tcp", "", "443", "1"), 443, (), root) == "a process in another namespace"
    assert holders.find(Port("udp", "127.0.0.1", "53", "1"), 53, (), root)
    assert holders.find(Port("udp", "::", "53", "1"), 53, (), root) == ""


def test_a_pod_has_a_port(tmp_path: Path) -> None:
    """And is called so."""
    record = Record("ctr-network=1\nname=shop\nport=tcp\t\t80\t1\npod=shop\t1\tnetworks\n")
    found = holders.find(Port("tcp", "", "80", "1"), 80, (record,), str(tmp_path))
    assert found == holders.described(found) == "pod shop"


def test_a_container_has_a_port_in_its_family_alone(tmp_path: Path) -> None:
    """The one on '::' is not in the way of '0.0.0.0', nor of an IPv4 address."""
    record = Record("ctr-network=1\nname=six\nnetavark={}\nport=tcp\t::\t80\t2\n")
    found = {
        address: holders.find(Port("tcp", address, "81", "1"), 81, (record,), str(tmp_path))
        for address in ("", "::", "::1", "0.0.0.0", "127.0.0.1")
    }
    assert found == {"": "container six", "::": "container six", "::1": "container six", "0.0.0.0": "", "127.0.0.1": ""}


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ((), "container h"),
        (("ctr@h.service", "ctr@s.service"), "container h"),
        (("ctr@s.service",), "the network of container h, which container s shares"),
        (
            ("ctr@s.service", "tap.service"),
            "the network of container h, which container s and tap.service share",
        ),
    ],
)
def test_who_keeps_a_namespace(units: tuple[str, ...], expected: str) -> None:
    """The container itself while it needs it; once it has ended, those who share its network."""
    assert holders.kept("h", units) == expected


def test_resolver_of_the_host(tmp_path: Path) -> None:
    """Servers on the loopback are of no use inside; behind systemd-resolved's stub are real ones."""
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\nsearch example.org\n")
    real.write_text("# resolved\nnameserver 192.0.2.53\nsearch example.org\n")
    both = (str(stub), str(real))
    assert resolver.host_lines(servers=True, search=True, paths=both) == [
        "nameserver 192.0.2.53",
        "search example.org",
    ]
    assert resolver.host_lines(servers=True, search=False, paths=(str(stub),)) == []
    assert resolver.host_lines(servers=False, search=True, paths=(str(stub),)) == ["search example.org"]
    assert resolver.host_lines(servers=True, search=True, paths=(str(tmp_path / "none"),)) == []
