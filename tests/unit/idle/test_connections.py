"""Which connections count, from what the kernel answers."""

from __future__ import annotations

import os
import select
import socket
import struct
from pathlib import Path

import pytest

from supervisor.errors import HostError
from supervisor.idle import connections
from supervisor.idle.record import Listener

TABLE = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/web.sock
0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/web.sock
0000000000000000: 00000003 00000000 00000000 0001 03 102
0000000000000000: 00000003 00000000 00000000 0001 03 103 /run/other.sock
0000000000000000: 00000003 00000000 00000000 0001 03 104 @hidden
0000000000000000: 00000003 00000000 00000000 0001 03 105 /run/two words
0000000000000000: 00000003 00000000 00000000 0001 02 0 /run/slow.sock
"""
#: For this process alone: such names belong to the whole machine.
ABSTRACT = f"\0ctr-unit-test-{os.getpid()}"

ESTABLISHED, FIN_WAIT1, CLOSE_WAIT, LAST_ACK = 1, 4, 8, 9
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 8973: 0100007F:1F90 00000000:0000 07 00000000:00000340 00:00000000 00000000     0        0 1 2 0 0
 8974: 00000000:0035 00000000:0000 07 00000340:00000000 00:00000000 00000000     0        0 2 2 0 0
"""


def answer(*rows: tuple[int, str, int, int], state: int = ESTABLISHED, done: bool = True) -> bytes:
    """Messages as sock_diag sends them: family, own address, own port, inode."""
    text = b""
    for family, address, port, inode in rows:
        local = socket.inet_pton(family, address).ljust(16, b"\0")
        body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", port, 50000) + local + bytes(16 + 12)
        body += struct.pack("=IIIII", 0, 0, 0, 0, inode)
        text += struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body
    return text + (struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0) if done else b"")


def has_ipv6() -> bool:
    """Whether the loopback interface has its address, which a setting may have taken from it."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def wait_for(sock: socket.socket) -> None:
    """Until what was sent to it has arrived: a busy kernel delivers when it comes to it."""
    assert select.select([sock], [], [], 20)[0]


def test_a_connection_is_told_by_its_own_end() -> None:
    """Address and port as the program that accepted it has them; then the end of the answer."""
    found = list(
        connections.local_addresses(answer((socket.AF_INET, "10.0.0.1", 80, 7), (socket.AF_INET6, "::1", 81, 8)))
    )
    assert found == [("10.0.0.1", 80), ("::1", 81), None]


@pytest.mark.parametrize(
    ("state", "counts"), [(ESTABLISHED, True), (CLOSE_WAIT, True), (FIN_WAIT1, False), (LAST_ACK, False)]
)
def test_what_no_program_holds_counts_while_it_waits(state: int, counts: bool) -> None:
    """The kernel gives no inode to what is not accepted yet, nor to what the program has closed: the state tells."""
    found = list(connections.local_addresses(answer((socket.AF_INET, "10.0.0.1", 80, 0), state=state)))
    assert found == ([("10.0.0.1", 80)] if counts else []) + [None]


def test_an_answer_may_come_in_parts() -> None:
    """A part that has no end asks for more."""
    assert list(connections.local_addresses(answer((socket.AF_INET, "10.0.0.1", 80, 1), done=False))) == [
        ("10.0.0.1", 80)
    ]


def test_a_refusal_is_an_error() -> None:
    """A look that cannot tell must not stop anything."""
    with pytest.raises(HostError, match="Operation not permitted"):
        list(connections.local_addresses(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + bytes(16)))


def test_the_kernel_is_asked_for_the_port() -> None:
    """TCP, every state but LISTEN and TIME_WAIT, the listener's family and port (linux/inet_diag.h)."""
    text = connections.request(Listener(socket.AF_INET6, socket.SOCK_STREAM, "::", 8080))
    length, kind, flags = struct.unpack_from("=IHH", text)
    family, protocol, _, _, states = struct.unpack_from("=BBBBI", text, 16)
    assert (length, kind, flags) == (len(text), 20, 0x301) == (72, 20, 0x301)
    assert (family, protocol) == (socket.AF_INET6, 6)
    assert states & 1 << 1 and states & 1 << 8 and not states & 1 << 10 and not states & 1 << 6
    assert struct.unpack_from(">H", text, 24) == (8080,)


def test_the_kernel_understands_and_is_understood(tmp_path: Path) -> None:
    """A real connection of this process is found while it is open, whichever address its listener has."""
    listening = [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET, "127.0.0.1", "0.0.0.0")]
    if has_ipv6():
        listening.append((socket.AF_INET6, "::1", "::"))
    for family, bound, listener in listening:
        with socket.create_server((bound, 0), family=family) as server:
            port = server.getsockname()[1]
            asked = [Listener(family, socket.SOCK_STREAM, listener, port)]
            with socket.create_connection((bound, port)):
                wait_for(server)
                assert connections.is_connected(str(tmp_path), asked), "it waits to be accepted"
                accepted, _ = server.accept()
                assert connections.is_connected(str(tmp_path), asked)
                assert not connections.is_connected(
                    str(tmp_path), [Listener(family, socket.SOCK_STREAM, "127.0.0.9", port)]
                )
                accepted.close()
                assert not connections.is_connected(str(tmp_path), asked)


def test_unix_connections_are_told_by_name_and_state() -> None:
    """Connected ones of that very name; neither the listener nor the other end, which has no name."""
    assert connections.connected(TABLE, {"/run/web.sock"}) == {"101"}
    assert connections.connected(TABLE, {connections.shown("\0hidden"), "/run/two words"}) == {"104", "105"}
    assert connections.connected("", {"/run/web.sock"}) == set()


def test_a_unix_connection_that_waits_is_told_by_its_state() -> None:
    """It bears the listener's name and nobody holds it."""
    assert connections.waits(TABLE, {"/run/slow.sock"})
    assert not connections.waits(TABLE, {"/run/web.sock", "@hidden"})


def test_a_datagram_that_waits_is_seen_in_its_sockets_queue() -> None:
    """By address and port in the kernel's notation; what is on its way out is not of interest."""
    assert connections.queued(UDP, Listener(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1", 8080))
    assert not connections.queued(UDP, Listener(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1", 8081))
    assert not connections.queued(UDP, Listener(socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0", 53))


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_datagram_counts_until_it_is_read(tmp_path: Path, family: int, address: str) -> None:
    """A real one."""
    if family == socket.AF_INET6 and not has_ipv6():
        pytest.skip("this host has no IPv6")
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind((address, 0))
        asked = [Listener(family, socket.SOCK_DGRAM, address, server.getsockname()[1])]
        assert not connections.is_connected(str(tmp_path), asked)
        client.sendto(b"?", server.getsockname())
        wait_for(server)
        assert connections.is_connected(str(tmp_path), asked)
        server.recv(9)
        assert not connections.is_connected(str(tmp_path), asked)


def test_a_unix_connection_counts_when_the_container_holds_it(tmp_path: Path) -> None:
    """One of this process, and only while this process is in the control group."""
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    path = str(tmp_path / "web.sock")
    asked = [Listener(socket.AF_UNIX, socket.SOCK_STREAM, path)]
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        assert not connections.is_connected(str(tmp_path), asked)
        client.connect(path)
        assert connections.is_connected(str(tmp_path / "elsewhere"), asked), "it waits to be accepted"
        accepted, _ = server.accept()
        assert connections.is_connected(str(tmp_path), asked)
        assert not connections.is_connected(str(tmp_path / "elsewhere"), asked)
        accepted.close()
        assert not connections.is_connected(str(tmp_path), asked)


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, ABSTRACT),
    ],
)
def test_sockets_are_named(family: int, kind: int, address: tuple[str, int] | str) -> None:
    """Family, type, address and port, abstract names with their NUL."""
    with socket.socket(family, kind) as sock:
        sock.bind(address)
        found = connections.named(sock)
        name = sock.getsockname()
    if family == socket.AF_UNIX:
        assert found == Listener(family, kind, ABSTRACT)
    else:
        assert found == Listener(family, kind, name[0], name[1])


def test_a_link_local_address_is_named_as_the_kernel_lists_it() -> None:
    """Without the interface that it belongs to."""
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
            sock.bind(("fe80::1", 0, 0, socket.if_nametoindex("lo")))
        except OSError as error:
            pytest.skip(f"{error}")
        found = connections.named(sock)
    assert found is not None and found.address == "fe80::1"


def test_other_sockets_have_no_name() -> None:
    """Netlink, say: nobody could tell whether it is used."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        assert connections.named(sock) is None


def test_processes_are_those_of_the_group_and_below(tmp_path: Path) -> None:
    """A container may make control groups of its own; one that has gone has none."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "inner" / "cgroup.procs").write_text("3\n")
    assert sorted(connections.processes(str(tmp_path))) == [1, 2, 3]
    assert list(connections.processes(str(tmp_path / "gone"))) == []
