"""Networks as a person meets them: names, published ports, addresses, and clear words when something is in the way."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import netkit
import pytest
from hostkit import DEFINITIONS, ctrctl, is_active, main_pid, messages, run, service, show, systemctl, wait_until
from netkit import addresses, finds, namespace, page, resolves, served, web

Tidy = Callable[[str], str]
Start = Callable[..., str]
Define = Callable[..., str]

RESET = Path("/etc/nftables.conf")


@pytest.fixture
def networks() -> Iterator[Callable[..., str]]:
    """``networks("back", "--ipv6")`` makes a network that goes with the test."""
    made: list[str] = []

    def make(name: str, *options: str) -> str:
        ctrctl("network", "create", *options, name)
        made.append(name)
        return name

    yield make
    for name in reversed(made):
        ctrctl("network", "rm", name)


@pytest.fixture
def start(networks: Callable[..., str], tidy: Tidy, busybox: str) -> Start:
    """``start("web", "-p", "80", command=…)`` runs a container that goes with the test; it goes before its networks."""

    def started(name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000"), check: bool = True) -> str:
        tidy(name)
        done = ctrctl("run", "-d", "--stop-signal", "SIGKILL", "--name", name, *options, busybox, *command, check=check)
        return done.stdout.strip() if check else done.stderr

    return started


# names


def test_containers_find_each_other_by_name(start: Start, networks: Callable[..., str]) -> None:
    """By name, alias and host name in a network they share, in both families, and by no name across networks."""
    networks("front")
    networks("back", "--ipv6")
    start("web", "--network", "front", "--network-alias", "www", "--hostname", "web-host")
    start("app", "--network", "front", "--network", "back")
    start("db", "--network", "back")
    finds("app", {"db": {*addresses("db"), *addresses("db", 6)}})
    finds("app", {name: set(addresses("web")) for name in ("web", "www", "web-host")})
    finds("web", {"web.dns.ctr": set(addresses("web"))})
    assert resolves("db", "app") < {*addresses("app"), *addresses("app", 6)}
    unknown = {f"{name}.dns.ctr": set[str]() for name in ("web", "www", "web-host")}
    assert netkit.resolve_all("db", tuple(unknown)) == unknown
    assert resolves("web", "db.dns.ctr") == set()


def has_another_init(name: str, pid: int) -> bool:
    return main_pid(name) not in (0, pid)


def name_server_other_than(pid: str) -> Callable[[], bool]:
    return lambda: show("ctr-dns.service", "MainPID")["MainPID"] not in (pid, "0")


def test_a_killed_name_server_comes_back_with_all_names(start: Start) -> None:
    """systemd restarts it, whatever killed it; nobody has to write its configuration again."""
    start("one")
    start("two")
    finds("one", {"two": set(addresses("two"))})
    for signal in ("KILL", "TERM", "HUP", "KILL"):
        before = show("ctr-dns.service", "MainPID")["MainPID"]
        systemctl("kill", f"--signal={signal}", "ctr-dns.service")
        if signal != "HUP":
            wait_until(name_server_other_than(before), what="another name server")
        finds("one", {"two": set(addresses("two"))})


def test_the_name_server_ends_with_the_last_network(start: Start) -> None:
    """It is not resident on a host where nothing runs."""
    start("one")
    assert is_active("ctr-dns.service")
    ctrctl("rm", "-f", "one")
    wait_until(
        lambda: show("ctr-dns.service", "ActiveState", "SubState") == {"ActiveState": "inactive", "SubState": "dead"}
    )


def test_files_in_the_container(start: Start, networks: Callable[..., str]) -> None:
    """/etc/hosts has the container, the host and what was added; /etc/resolv.conf the network's server, or what was
    given where the network serves no names."""
    networks("quiet", "--disable-dns")
    start(
        "web",
        "--hostname",
        "www",
        "--add-host",
        "db:10.0.0.9",
        "--add-host",
        "gate:host-gateway",
        "--dns-opt",
        "ndots:1",
    )
    hosts = ctrctl("exec", "web", "cat", "/etc/hosts").stdout
    (address,) = addresses("web")
    gateway = address.rpartition(".")[0].rpartition(".")[0] + ".0.1"
    for line in (f"{address}\twww web", "10.0.0.9\tdb", f"{gateway}\tgate", f"{gateway}\thost.containers.internal"):
        assert line in hosts
    resolver = ctrctl("exec", "web", "cat", "/etc/resolv.conf").stdout
    assert {"search dns.ctr", f"nameserver {gateway}", "options ndots:1"} <= set(resolver.splitlines())
    assert ctrctl("exec", "web", "cat", "/etc/hostname").stdout == "www\n"
    asked = ("exec", "web", "nslookup", "web")
    wait_until(lambda: address in ctrctl(*asked, check=False).stdout, what="the network's server knows it")
    start("mute", "--network", "quiet", "--dns", "192.0.2.53", "--dns-search", "example.org")
    lines = ctrctl("exec", "mute", "cat", "/etc/resolv.conf").stdout.splitlines()
    assert lines[1:] == ["search example.org", "nameserver 192.0.2.53"]


# ports


@pytest.fixture
def outside() -> Iterator[str]:
    """A namespace that is another machine: 198.51.100.2, with the host at 198.51.100.1."""
    run("ip", "netns", "add", "outside")
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", "outside")
    run("ip", "address", "add", "198.51.100.1/30", "dev", "wire")
    run("ip", "link", "set", "wire", "up")
    run("ip", "-n", "outside", "address", "add", "198.51.100.2/30", "dev", "eth0")
    run("ip", "-n", "outside", "link", "set", "eth0", "up")
    yield "outside"
    run("ip", "netns", "delete", "outside")


def test_published_ports(start: Start, outside: str) -> None:
    """From the host by its addresses and localhost, from another machine, only on the address that was named, for each
    port of a range, and with UDP."""
    ports = ("-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "9000-9001:80-81", "-p", "5300:53/udp")
    start("web", *ports, command=web("hello"))
    for address, port in (("127.0.0.1", 8080), ("198.51.100.1", 8080), ("127.0.0.1", 8081), ("127.0.0.1", 9000)):
        served(address, port, "hello")
    served("198.51.100.1", 8080, "hello", inside_of=outside)
    served("198.51.100.1", 9000, "hello", inside_of=outside)
    assert page("198.51.100.1", 8081) == ""
    assert page("198.51.100.1", 8081, inside_of=outside) == ""
    assert page("127.0.0.1", 9001) == ""
    with netkit.echo("web", 53):
        wait_until(lambda: netkit.echoes("127.0.0.1", 5300))
        wait_until(lambda: netkit.echoes("198.51.100.1", 5300))


def test_nobody_can_take_a_published_port(start: Start) -> None:
    """It is held without a process of ours, also from those who say SO_REUSEADDR; and free again afterwards."""
    start("web", "-p", "8080:80", "-p", "5300:53/udp")

    def taken(kind: int, port: int) -> bool:
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("0.0.0.0", port))
                return False
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
                return True

    assert taken(socket.SOCK_STREAM, 8080)
    assert taken(socket.SOCK_DGRAM, 5300)
    # systemd removes an empty control group in its own time.
    nobody = {"MainPID": "0", "ControlGroup": ""}
    wait_until(lambda: show("ctr-netns@web.service", "MainPID", "ControlGroup") == nobody)
    systemctl("restart", service("web"))
    assert taken(socket.SOCK_STREAM, 8080)
    ctrctl("stop", "web")
    wait_until(lambda: not taken(socket.SOCK_STREAM, 8080) and not taken(socket.SOCK_DGRAM, 5300))


def test_a_port_clash_names_the_container(start: Start) -> None:
    """The one that has it keeps it; the other one does not start."""
    start("first", "-p", "8080:80", command=web("first"))
    for number, port in enumerate(("8080:80", "127.0.0.1:8080:80", "8079-8081:80-82")):
        said = start(f"second{number}", "-p", port, check=False)
        assert "8080/tcp: held by container first; stop it or publish another port" in said
        assert said.partition("failed: ")[2] in "\n".join(messages(unit=f"ctr-netns@second{number}.service")) + "\n"
    served("127.0.0.1", 8080, "first")


def test_a_port_clash_names_who_keeps_the_network(start: Start) -> None:
    """A container that has ended leaves its port to the next one; not while another one shares its network."""
    start("first", "-p", "8080:80")
    start("side", "--network", "container:first")
    ctrctl("stop", "first")
    said = start("next", "-p", "8080:80", check=False)
    kept = "held by the network of container first, which container side shares; stop it or publish another port"
    assert f"8080/tcp: {kept}" in said
    ctrctl("stop", "side")
    systemctl("start", service("next"))


def test_a_wildcard_is_of_one_family(start: Start) -> None:
    """``-p 0.0.0.0:…`` and ``-p [::]:…`` are two ports, of one container or of two."""
    start("both", "-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80", "-p", "[::]:8081:80", command=web("both"))
    start("four", "-p", "127.0.0.1:8081:80", command=web("four"))
    served("127.0.0.1", 8080, "both")
    served("127.0.0.1", 8081, "four")
    said = start("six", "-p", "[::1]:8081:80", check=False)
    assert "port [::1]:8081/tcp: held by container both; " in said


def test_a_port_clash_names_the_process_and_its_unit(start: Start) -> None:
    """Whoever it is; and once it is gone the start works, without waiting for its old connections."""
    run("systemd-run", "--quiet", "--unit=clash.service", "python3", "-m", "http.server", "8080")
    wait_until(lambda: page("127.0.0.1", 8080), what="the other server answers")
    said = start("web", "-p", "8080:80", command=web("web"), check=False)
    pid = show("clash.service", "MainPID")["MainPID"]
    assert f"port 8080/tcp: held by clash.service (python3, pid {pid}); stop it or publish another port" in said
    systemctl("stop", "clash.service")
    systemctl("start", service("web"))
    served("127.0.0.1", 8080, "web")


# what cannot be


def test_addresses_that_cannot_be_had(start: Start, networks: Callable[..., str]) -> None:
    """Errors when it is deployed, with the name of who is in the way; nothing is started, nothing stays."""
    networks("back", "--subnet", "10.80.0.0/24")
    start("db", "--network", "back", "--ip", "10.80.0.9")
    before = set(os.listdir("/var/lib/ctr/containers"))

    def refused(*argv: str) -> str:
        done = ctrctl(*argv, check=False)
        assert done.returncode != 0
        return done.stderr

    image = "localhost/busybox:latest"
    assert "10.80.0.9 on network back: held by db" in refused("run", "--network", "back", "--ip", "10.80.0.9", image)
    assert "outside of its subnet; it has 10.80.0.0/24" in refused(
        "run", "--network", "back", "--ip", "10.9.0.9", image
    )
    assert "nosuch" in refused("run", "--network", "nosuch", image)
    overlap = refused("network", "create", "--subnet", "10.80.0.128/25", "more")
    assert "subnet 10.80.0.128/25: overlaps 10.80.0.0/24 of network back" in overlap
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire-end")
    try:
        run("ip", "address", "add", "192.0.2.1/24", "dev", "wire")
        run("ip", "link", "set", "wire", "up")
        routed = refused("network", "create", "--subnet", "192.0.0.0/16", "more")
        assert "subnet 192.0.0.0/16: overlaps 192.0.2.0/24, which this host routes elsewhere" in routed
    finally:
        run("ip", "link", "delete", "wire")
    assert set(os.listdir("/var/lib/ctr/containers")) == before


def test_an_exhausted_subnet(start: Start, networks: Callable[..., str]) -> None:
    """The network and its subnet are named."""
    networks("tiny", "--subnet", "10.80.0.0/30")
    start("one", "--network", "tiny")
    said = ctrctl("run", "--network", "tiny", "localhost/busybox:latest", check=False).stderr
    assert "network tiny: no free address left in 10.80.0.0/30" in said


# many, and again


def test_twenty_containers_at_once(define: Define, busybox: str, start: Start) -> None:
    """Started by one systemctl: twenty addresses, and each name resolves, in the first and in the last."""
    everyone = [f"many{number}" for number in range(20)]
    for name in everyone:
        define(name, f"[Container]\nImage={busybox}\nStopSignal=SIGKILL\nExec=sleep 1000\n", apply=False)
    ctrctl("apply")
    systemctl("start", *map(service, everyone), timeout=600)
    found = {name: addresses(name) for name in everyone}
    assert len({address for given in found.values() for address in given}) == len(everyone)
    wanted = {name: set(given) for name, given in found.items()}
    for asked in (everyone[0], everyone[-1]):
        finds(asked, wanted)
    systemctl("stop", *map(service, everyone), timeout=600)


def test_restarts_keep_namespace_address_and_port(start: Start) -> None:
    """After SIGKILL, and after `systemctl restart`: the same namespace, and the port works at once."""
    start("web", "--restart", "always", "-p", "8080:80", command=web("hello"))
    served("127.0.0.1", 8080, "hello")
    before, given = namespace("web").stat().st_ino, addresses("web")
    for number in range(3):
        pid = main_pid("web")
        if number:
            os.kill(pid, 9)
        else:
            systemctl("restart", service("web"))
        wait_until(partial(has_another_init, "web", pid), what="a new init")
        served("127.0.0.1", 8080, "hello")
        assert (namespace("web").stat().st_ino, addresses("web")) == (before, given)


def test_a_restart_of_the_namespace_takes_its_ports_again(start: Start) -> None:
    """systemd keeps the unit's sockets over a restart; they are not in its own way."""
    start("web", "-p", "8080:80", command=web("hello"))
    systemctl("restart", "ctr-netns@web.service")
    served("127.0.0.1", 8080, "hello")
    assert show("ctr-netns@web.service", "NFileDescriptorStore")["NFileDescriptorStore"] == "1"


@pytest.fixture
def firewall() -> Iterator[None]:
    """nftables.service runs, as on a host with a firewall; its configuration begins with `flush ruleset`."""
    assert "flush ruleset" in RESET.read_text()
    systemctl("start", "nftables.service")
    yield
    systemctl("stop", "nftables.service")


def test_a_flushed_firewall_comes_back(start: Start, firewall: None) -> None:
    """After a reload and a restart of nftables.service the port works, the container never stopped; after a flush by
    hand `ctrctl network reload` does it."""
    start("web", "-p", "8080:80", command=web("hello"))
    served("127.0.0.1", 8080, "hello")
    pid, before = main_pid("web"), sorted(netkit.rules().splitlines())

    def are_back() -> bool:
        return [line for line in sorted(netkit.rules().splitlines()) if line in before] == before

    run("nft", "flush", "ruleset")
    assert page("127.0.0.1", 8080) == ""
    ctrctl("network", "reload")
    served("127.0.0.1", 8080, "hello")
    for verb in ("reload", "restart", "stop", "start"):
        systemctl(verb, "nftables.service")
        if verb != "stop":
            served("127.0.0.1", 8080, "hello")
            # They come one by one: the port may be there before others are.
            wait_until(are_back, what=f"all rules after {verb}")
    assert main_pid("web") == pid
    finds("web", {"web": set(addresses("web"))})


# kinds of networks


def test_internal_and_isolated_networks(start: Start, networks: Callable[..., str]) -> None:
    """An internal one has no way out; isolated ones no way to each other, others have one."""
    networks("vault", "--internal")
    start("inner", "--network", "vault")
    assert "default" not in ctrctl("exec", "inner", "ip", "route").stdout
    refused = ctrctl("run", "--network", "vault", "-p", "8080:80", "localhost/busybox:latest", check=False).stderr
    assert "port 80: cannot be published, as vault is no bridge network that leads out" in refused
    for name in ("cell1", "cell2"):
        networks(name, "--opt", "isolate=true")
        start(name, "--network", name, command=web(name))
    networks("open1")
    networks("open2")
    start("web", "--network", "open1", command=web("web"))
    start("peer", "--network", "open2")

    def fetch(who: str, whom: str) -> str:
        (address,) = addresses(whom)
        return page(address, 80, inside_of=f"ctr-{who}")

    wait_until(lambda: "web" in fetch("peer", "web"), what="open networks reach each other")
    wait_until(lambda: "cell1" in page(addresses("cell1")[0], 80), what="cell1 serves")
    assert fetch("cell2", "cell1") == ""


def test_options_reach_the_interface(start: Start, networks: Callable[..., str]) -> None:
    """MTU, hardware address, name of the bridge; no addresses at all where none are wanted."""
    networks("wide", "--opt", "mtu=1400", "--interface-name", "ctrwide")
    networks("raw", "--ipam-driver", "none")
    start("one", "--network", "wide:mac=02:11:22:33:44:55")
    link = netkit.inside("one", "ip", "link", "show", "eth0").stdout
    assert "mtu 1400" in link and "02:11:22:33:44:55" in link
    assert Path("/sys/class/net/ctrwide/brif").is_dir()
    start("two", "--network", "raw")
    assert addresses("two") == [] and "eth0" in netkit.inside("two", "ip", "link").stdout


def test_macvlan(start: Start, networks: Callable[..., str]) -> None:
    """Two containers beside the host on its own segment; needs a kernel that knows macvlan."""
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire-end")
    try:
        run("ip", "link", "set", "wire", "up")
        run("ip", "link", "set", "wire-end", "up")
        probe = run("ip", "link", "add", "probe", "link", "wire", "type", "macvlan", check=False)
        networks("lan", "--driver", "macvlan", "--interface-name", "wire", "--subnet", "192.0.2.0/24")
        if probe.returncode:
            assert "netavark setup: " in start("one", "--network", "lan", check=False)
            pytest.skip(f"no macvlan in this kernel: {probe.stderr.strip()}")
        run("ip", "link", "delete", "probe")
        start("one", "--network", "lan", "--ip", "192.0.2.10", command=web("one"))
        start("two", "--network", "lan")
        served("192.0.2.10", 80, "one", inside_of="ctr-two")
    finally:
        systemctl("stop", service("one"), service("two"), check=False)
        run("ip", "link", "delete", "wire")


def test_containers_in_one_namespace(start: Start) -> None:
    """``--network container:web``: the same addresses, and its localhost."""
    start("web", command=web("hello"))
    start("side", "--network", "container:web")
    wget = ("exec", "side", "wget", "-q", "-O", "-", "http://localhost/")
    wait_until(lambda: ctrctl(*wget, check=False).stdout == "hello\n")
    assert not namespace("side").exists()


def test_definitions(define: Define, busybox: str) -> None:
    """A .network and a .container file, as Quadlet writes them."""
    define("shopnet", "[Network]\nNetworkName=shopnet\nSubnet=10.81.0.0/24\n", apply=False, suffix=".network")
    text = f"[Container]\nImage={busybox}\nNetwork=shopnet.network\nIP=10.81.0.7\nStopSignal=SIGKILL\nExec=sleep 99\n"
    unit = define("shop", text)
    systemctl("start", unit)
    assert addresses("shop") == ["10.81.0.7"]
    systemctl("stop", unit)
    (DEFINITIONS / "shop.container").unlink()
    (DEFINITIONS / "shopnet.network").unlink()
    ctrctl("apply")
