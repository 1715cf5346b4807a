"""``ctrctl network``, the network options of ``ctrctl run``, and where ports and addresses are shown."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from urllib.request import urlopen

import pytest
from hostkit import ctrctl, is_active, run, service, wait_until

Tidy = Callable[[str], None]


@pytest.fixture
def back(tidy: Tidy) -> Iterator[str]:
    """A network of its own; *tidy* is set up first, so that its containers are gone before it is removed."""
    ctrctl("network", "create", "--subnet", "10.80.0.0/24", "back")
    yield "back"
    for name in ("web", "client"):
        ctrctl("rm", "--force", name, check=False)
    ctrctl("network", "rm", "back", check=False)


def serve(busybox: str, *options: str) -> None:
    """Start the container web, which serves its own host name on port 80."""
    # As init httpd does not hear of SIGTERM.
    words = ("run", "-d", "--stop-signal=KILL", "--name", "web", *options)
    ctrctl(*words, busybox, "sh", "-c", "hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp")


def networks(*argv: str) -> list[str]:
    return ctrctl("network", "ls", "-q", *argv).stdout.split()


def inspected(kind: tuple[str, ...], name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(ctrctl(*kind, name).stdout)[0]
    return found


def fetched(port: int) -> str:
    """What the container serves, once it listens."""

    def fetch() -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    return wait_until(fetch, what=f"an answer from port {port}").strip()


def test_a_network_in_use_is_not_removed(busybox: str, back: str, tidy: Tidy) -> None:
    """rm names the containers, ls and inspect show them; without them the network goes."""
    tidy("web")
    ctrctl("create", "--name", "web", "--network", f"{back}:ip=10.80.0.9,alias=www", busybox, "true")
    refused = ctrctl("network", "rm", back, check=False)
    assert refused.returncode == 125
    assert "web" in refused.stderr
    assert networks("--filter", "dangling=false") == [back]
    members = inspected(("network", "inspect"), back)["containers"]
    assert members["web"]["addresses"] == ["10.80.0.9"]  # type: ignore[index]
    own = inspected(("inspect",), "web")
    assert own["network_mode"] == "networks"
    assert own["networks"][back]["gateways"] == ["10.80.0.1"]  # type: ignore[index]
    assert own["networks"][back]["aliases"] == ["www"]  # type: ignore[index]
    ctrctl("rm", "web")
    assert ctrctl("network", "rm", back).stdout == f"{back}\n"
    assert back not in networks()


def test_prune_keeps_what_is_used_and_what_is_defined(
    busybox: str, back: str, tidy: Tidy, define: Callable[..., str]
) -> None:
    """What 'create' made and nobody uses goes; a definition's network stays, which is said."""
    define("written", "[Network]\nSubnet=10.81.0.0/24\n", suffix=".network")
    try:
        ctrctl("network", "create", "spare")
        tidy("web")
        ctrctl("create", "--name", "web", "--network", back, busybox, "true")
        pruned = ctrctl("network", "prune")
        assert pruned.stdout == "spare\n"
        assert "written: kept; it is defined in /etc/ctr/written.network" in pruned.stderr
        assert set(networks()) >= {back, "written"}
    finally:
        ctrctl("network", "rm", "written", check=False)


def test_networks_that_cannot_be(back: str) -> None:
    """A name or a subnet that is taken: said at once, naming who has it, and nothing is made."""
    before = networks()
    for words, reason in (
        ((back,), "network 'back': exists"),
        (("--subnet", "10.80.0.0/16", "wide"), "network back"),
        (("--subnet", "10.80.0.0/24", "--gateway", "10.0.0.1", "odd"), "--gateway"),
    ):
        refused = ctrctl("network", "create", *words, check=False)
        assert refused.returncode == 125
        assert reason in refused.stderr
    assert networks() == before
    assert ctrctl("network", "create", "--ignore", back).stdout == f"{back}\n"


def test_a_published_port_is_shown_and_leads_inside(busybox: str, back: str, tidy: Tidy) -> None:
    """ps and port say where it is; a second container that wants it is told who has it, by run and by start."""
    tidy("web")
    serve(busybox, "--network", back, "-p", "8080:80", "-p", "127.0.0.1:9000-9001:90-91")
    assert fetched(8080) == "web"
    shown = "0.0.0.0:8080->80/tcp, 127.0.0.1:9000-9001->90-91/tcp"
    (line,) = [line for line in ctrctl("ps").stdout.splitlines() if line.startswith("web ")]
    assert line.endswith(shown)
    assert ctrctl("port", "web", "80").stdout == "0.0.0.0:8080\n"
    assert ctrctl("port", "web").stdout.splitlines()[2] == "91/tcp -> 127.0.0.1:9001"
    tidy("client")
    for words in (("run", "-d", "--name", "client", "-p", "8080:80", busybox, "true"), ("start", "client")):
        refused = ctrctl(*words, check=False)
        assert refused.returncode == 125
        assert refused.stderr.startswith("ctrctl: client: start failed: port 8080/tcp: held by container web; ")
    assert not is_active(service("client"))
    ctrctl("create", "--name", "third", "--network", "none", "--requires", "client", busybox, "true")
    tidy("third")
    far = ctrctl("start", "third", check=False).stderr
    assert "third: start failed: ctr-netns@client.service, which it requires, failed: " in far
    assert "client: port 8080/tcp: held by container web" in far
    before = ctrctl("ps", "-a", "-q").stdout
    gone = ctrctl("run", "--rm", "-p", "8080:80", busybox, "true", check=False)
    assert (gone.returncode, gone.stdout) == (125, "")
    assert "start failed: port 8080/tcp: held by container web" in gone.stderr
    assert ctrctl("ps", "-a", "-q").stdout == before


def test_ports_nobody_chose_stay_the_same(busybox: str, back: str, tidy: Tidy) -> None:
    """-P publishes what is exposed, on a free port that a restart keeps."""
    tidy("web")
    serve(busybox, "--network", back, "-P", "--expose", "80")
    address = ctrctl("port", "web", "80").stdout.strip()
    assert fetched(int(address.rpartition(":")[2])) == "web"
    ctrctl("restart", "web")
    assert ctrctl("port", "web", "80").stdout.strip() == address
    assert fetched(int(address.rpartition(":")[2])) == "web"


def test_names_addresses_and_resolvers_inside(busybox: str, back: str, tidy: Tidy) -> None:
    """Address, hardware address, lines of /etc/hosts and resolv.conf are those of the command line; another container
    finds it by name and by alias, and one that joins its network is at its address."""
    tidy("web")
    options = ("--ip", "10.80.0.7", "--mac-address", "02:00:00:00:00:07", "--network-alias", "www")
    names = ("--add-host", "elsewhere:192.0.2.1", "--dns-option", "ndots:3", "--dns-search", "example.org")
    serve(busybox, "--network", back, *options, *names)
    assert "10.80.0.7/24" in ctrctl("exec", "web", "ip", "address", "show", "eth0").stdout
    assert ctrctl("exec", "web", "cat", "/sys/class/net/eth0/address").stdout == "02:00:00:00:00:07\n"
    assert ["192.0.2.1", "elsewhere"] in [line.split() for line in _file("web", "/etc/hosts")]
    resolver = _file("web", "/etc/resolv.conf")
    assert any(line.startswith("options") and "ndots:3" in line for line in resolver)
    assert any(line.split() == ["search", "example.org"] for line in resolver)
    own = ("exec", "web", "wget", "-qO-", "http://127.0.0.1/")
    wait_until(lambda: ctrctl(*own, check=False).stdout == "web\n", what="it listens")
    ask = "for name in web www; do wget -qO- http://$name/; done"
    assert ctrctl("run", "--rm", "--network", back, busybox, "sh", "-c", ask).stdout == "web\nweb\n"
    joined = ctrctl("run", "--rm", "--network", "container:web", busybox, "wget", "-qO-", "http://127.0.0.1/")
    assert joined.stdout == "web\n"


def _file(name: str, path: str) -> list[str]:
    return ctrctl("exec", name, "cat", path).stdout.splitlines()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--network", "nosuch"), "nosuch"),
        (("--network", "back:ip=10.99.0.1"), "10.99.0.1"),
        (("--network", "container:nosuch"), "nosuch"),
        (("--network", "host", "-p", "80:80"), "-p/--publish"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    busybox: str, back: str, options: tuple[str, ...], reason: str
) -> None:
    """One message, exit code 125, and no container."""
    refused = ctrctl("run", "-d", "--name", "web", *options, busybox, "true", check=False)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "web" not in ctrctl("ps", "-a", "-q").stdout.split()


def test_reload_puts_the_rules_back(busybox: str, back: str, tidy: Tidy) -> None:
    """After somebody flushed the firewall a published port works again with 'ctrctl network reload'."""
    tidy("web")
    serve(busybox, "--network", back, "-p", "8080:80")
    assert fetched(8080) == "web"
    run("nft", "flush", "ruleset")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", 8080), timeout=1) as lost:
        # A socket that only keeps the port may take the connection, but nobody answers.
        lost.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if not lost.recv(1):
            raise ConnectionError("closed")
    ctrctl("network", "reload")
    assert fetched(8080) == "web"
