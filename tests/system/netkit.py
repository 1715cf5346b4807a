"""What network tests look at and talk to: interfaces, rules, namespaces, ports. Observes from outside, as `hostkit`."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hostkit import RUNTIME, STATE, names, run, wait_until

#: Answers each datagram with itself.
_ECHO = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', %d)); print(flush=True)\n" + (
    "while True: data, who = s.recvfrom(999); s.sendto(data, who)"
)

#: Name to addresses of each argument, as JSON.
_RESOLVE = """
import json, socket, sys
def addresses(name):
    try:
        return [found[4][0] for found in socket.getaddrinfo(name, None)]
    except socket.gaierror:
        return []
print(json.dumps({name: addresses(name) for name in sys.argv[1:]}))
"""


def namespace(name: str) -> Path:
    """The network namespace of the container *name*."""
    return Path(f"/run/netns/ctr-{name}")


def inside(name: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program of the host in the network of a container."""
    return run("ip", "netns", "exec", f"ctr-{name}", *argv, check=check)


def addresses(name: str, family: int = 4) -> list[str]:
    """Global addresses in the network of a container, as the kernel has them."""
    links = json.loads(inside(name, "ip", "-json", f"-{family}", "address", "show", "scope", "global").stdout)
    return [address["local"] for link in links for address in link.get("addr_info", ()) if address]


def page(address: str, port: int, *, inside_of: str = "") -> str:
    """Body of http://ADDRESS:PORT/, '' when nobody answers; *inside_of*: from that named network namespace."""
    command = ["ip", "netns", "exec", inside_of] if inside_of else []
    host = f"[{address}]" if ":" in address else address
    return run(*command, "curl", "--silent", "--max-time", "3", f"http://{host}:{port}/", check=False).stdout


def served(address: str, port: int, text: str, *, inside_of: str = "") -> None:
    """Wait until that page says *text*."""
    wait_until(lambda: text in page(address, port, inside_of=inside_of), what=f"{address}:{port} says {text}")


def web(text: str, port: int = 80) -> tuple[str, ...]:
    """A container's command: a web server that says *text*."""
    return ("sh", "-c", f"mkdir -p /w; echo {text} >/w/index.html; exec httpd -f -p {port} -h /w")


@contextmanager
def echo(name: str, port: int) -> Iterator[None]:
    """A UDP server in the network of a container."""
    command = ["ip", "netns", "exec", f"ctr-{name}", "python3", "-c", _ECHO % port]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


def echoes(address: str, port: int) -> bool:
    """Whether a UDP server there answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.sendto(b"hello", (address, port))
            return sock.recvfrom(99)[0] == b"hello"
        except OSError:
            return False


def resolves(container: str, name: str) -> set[str]:
    """Addresses that *container* gets for *name*; empty when there is none."""
    return resolve_all(container, (name,), seconds=3)[name]


def resolve_all(container: str, wanted: Sequence[str], seconds: int = 1) -> dict[str, set[str]]:
    """Addresses that a program gets for each of the names, through the C library, in the network of *container* and
    with its files below /etc. (busybox's nslookup is no measure: it does not try a name without the search domain.)"""
    places = STATE / "containers" / container / "resolving"
    mounts = "".join(f"mount --bind {places}/{file} /etc/{file}; " for file in ("hosts", "resolv.conf"))
    command = ("unshare", "--mount", "sh", "-c", f'{mounts} exec python3 -c "$0" "$@"', _RESOLVE, *wanted)
    # The host has no name server that could say of a name that there is none, so nobody answers; do not wait long.
    options = f"RES_OPTIONS=timeout:{seconds} attempts:1"
    found = json.loads(inside(container, "env", options, *command).stdout)
    return {name: set(found[name]) for name in wanted}


def finds(container: str, wanted: dict[str, set[str]]) -> None:
    """Wait until *container* resolves each name of *wanted* to exactly its addresses: the name server takes its time to
    learn of them, and a busy host to answer."""
    wait_until(lambda: resolve_all(container, list(wanted), seconds=3) == wanted, what=f"{container} finds {wanted}")


def rules() -> str:
    """Every firewall rule, without its counters."""
    listed = run("nft", "--stateless", "list", "ruleset").stdout
    return re.sub(r" counter packets \d+ bytes \d+", "", listed)


def traces() -> frozenset[str]:
    """What containers' networks leave on a host while they are up: all of it has to go with them."""
    return (
        names(Path("/sys/class/net"), ["veth*", "ctr*"])
        | names(Path("/run/netns"))
        | names(RUNTIME, ["networks/*", "dns/*"])
        | names(Path("/run/containers/networks/firewall"), ["networks/*", "ports/*"])
        | frozenset(line for line in Path("/proc/1/mountinfo").read_text().splitlines() if "/run/netns/ctr-" in line)
    )
