"""supervisor.systemd.writer: entries that journald decodes to what was written, and none lost unsaid."""

from __future__ import annotations

import os
import socket
import string
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import InternalError
from supervisor.systemd.writer import MOST, Writer, encode

FIELDS = st.dictionaries(
    st.builds(
        str.__add__,
        st.sampled_from(string.ascii_uppercase),
        st.text(string.ascii_uppercase + string.digits + "_", max_size=20),
    ),
    st.one_of(st.text(), st.binary(), st.sampled_from(["a\nMESSAGE=forged", "\n", "", "x\n\n\0"])),
    max_size=8,
)


def decode(datagram: bytes) -> dict[str, bytes]:
    """As journald does: server_process_native_message()."""
    found: dict[str, bytes] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        assert name.decode() not in found
        found[name.decode()] = value
        datagram = rest
    return found


@given(FIELDS)
def test_what_is_decoded_is_what_was_written(fields: dict[str, str | bytes]) -> None:
    """The same fields, the same bytes: no value becomes a field."""
    wanted = {k: v if isinstance(v, bytes) else v.encode("utf-8", "surrogateescape") for k, v in fields.items()}
    assert decode(encode(fields)) == wanted


def test_bytes_that_are_no_text() -> None:
    """What os.fsdecode made of any bytes goes as those bytes; a lone surrogate of another kind is replaced."""
    assert decode(encode({"A": b"\xff\n".decode("utf-8", "surrogateescape")})) == {"A": b"\xff\n"}
    assert decode(encode({"A": "x\ud800y"})) == {"A": b"x?y"}


def test_values_are_capped() -> None:
    """A value of any size leaves an entry that is one datagram."""
    assert decode(encode({"A": "x" * 10_000_000})) == {"A": b"x" * MOST}


@pytest.mark.parametrize("name", ["", "_PID", "1A", "a", "A=B", "A\nB", "A" * 65, "Ä"])
def test_names_that_journald_would_refuse(name: str) -> None:
    """They are a defect of ours."""
    with pytest.raises(InternalError):
        encode({name: "x"})


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes few datagrams, and is read by the test."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    server.bind(str(tmp_path / "socket"))
    yield server
    server.close()


def received(server: socket.socket) -> list[int]:
    """The numbers that have arrived."""
    found = []
    while True:
        try:
            found.append(int(decode(server.recv(1 << 16))["N"]))
        except BlockingIOError:
            return found


def test_a_full_queue(journald: socket.socket, tmp_path: Path) -> None:
    """What journald does not take waits, in order; what is past the limit is counted."""
    writer = Writer(str(tmp_path / "socket"), backlog=50)
    total = 2000  # net.unix.max_dgram_qlen is 10 to 512
    for number in range(total):
        writer.write({"N": str(number)})
    assert writer.backlog == 50 and writer.lost > 0
    found: list[int] = []

    async def read_on() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.flush)
            while len(found) < total - writer.lost:
                found.extend(received(journald))
                await anyio.sleep(0.001)

    anyio.run(read_on)
    assert found == list(range(total - writer.lost)) and writer.backlog == 0
    writer.close()


def test_journald_is_stopped_and_comes_back(tmp_path: Path) -> None:
    """Entries wait for the socket to be there (again), and `run` sends them without being asked."""
    writer = Writer(str(tmp_path / "socket"))
    writer.write({"N": "1"})
    assert writer.backlog == 1

    async def come_back() -> list[int]:
        found: list[int] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            await anyio.wait_all_tasks_blocked()
            writer.write({"N": "2"})
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as server:
                server.bind(str(tmp_path / "socket"))
                with anyio.fail_after(20):
                    while len(found) < 2:
                        found += received(server)
                        await anyio.sleep(0.001)
                    writer.write({"N": "3"})
                    found += received(server)
            tasks.cancel_scope.cancel()
        return found

    assert anyio.run(come_back) == [1, 2, 3]
    assert writer.lost == 0
    writer.write({"N": "4"})
    writer.close()
    assert writer.lost == 1


def test_what_went_with_the_socket_is_doubtful(tmp_path: Path) -> None:
    """As soon as there is another socket: what was sent to the one before, read or not, once. What waited is not, nor
    what is sent from then on, nor what has no note."""
    path = tmp_path / "socket"
    writer = Writer(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as first:
        first.bind(str(path))
        os.utime(path, (1, 1))  # it was made long before the other: a clock of files may stand still for 10 ms
        writer.write({"N": "1"}, "read")
        assert received(first) == [1]
        writer.write({"N": "2"}, "not read")
        writer.write({"N": "3"})
        assert writer.doubtful() == []
    writer.write({"N": "4"}, "refused")
    assert (writer.backlog, writer.doubtful()) == (1, [])
    path.unlink()
    assert writer.doubtful() == []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as second:
        second.bind(str(path))
        anyio.run(writer.flush)
        assert writer.doubtful() == ["read", "not read"]
        writer.write({"N": "5"}, "later")
        assert (received(second), writer.doubtful(), writer.lost) == ([4, 5], [], 0)
    writer.close()


def test_an_entry_that_is_no_datagram(journald: socket.socket, tmp_path: Path) -> None:
    """It is counted as lost and does not hold up others."""
    writer = Writer(str(tmp_path / "socket"))
    writer.write({f"F{number}": "x" * MOST for number in range(100)})
    writer.write({"N": "7"})
    assert (writer.lost, writer.backlog) == (1, 0) and received(journald) == [7]
    writer.close()
