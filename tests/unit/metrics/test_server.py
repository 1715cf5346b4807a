"""Clients of every kind, over real sockets."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from supervisor.metrics import server

BODY = b"x" * 40_000_000
SOON = 20.0
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"

Connect = Callable[[], socket.socket]


def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", str(len(BODY)))])
    return [BODY]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """As systemd passes it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


@pytest.fixture
def connect(listener: socket.socket) -> Iterator[Connect]:
    """How to connect; connections are closed at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(listener.getsockname(), timeout=SOON))


@contextmanager
def serving(listener: socket.socket, idle: float = 3600.0) -> Iterator[multiprocessing.process.BaseProcess]:
    """A server in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=server.serve, args=([listener], application, idle))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.fixture
def served(listener: socket.socket, connect: Connect) -> Iterator[Connect]:
    """A server, by how to connect to it."""
    with serving(listener):
        yield connect


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = bytearray()
    while piece := connection.recv(1 << 20):
        found += piece
    return bytes(found)


def fetch(connection: socket.socket) -> bytes:
    connection.sendall(GET)
    return answer(connection)


def test_a_client_gets_its_answer_and_the_connection_ends(served: Connect) -> None:
    """HTTP/1.0: nobody keeps a place between two scrapes."""
    head, _, body = fetch(served()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert body == BODY


def test_it_ends_when_nobody_comes(listener: socket.socket, connect: Connect) -> None:
    """And not before: the connection that is being served keeps it."""
    slow = connect()
    slow.sendall(GET[:-2])
    with serving(listener, idle=0.2) as process:
        process.join(0.6)
        assert process.is_alive()
        slow.sendall(GET[-2:])
        assert answer(slow).endswith(BODY)
        process.join(SOON)
        assert process.exitcode == 0


def test_silent_clients_give_way(served: Connect) -> None:
    """Ten times more connections than places, and none of them says anything: who asks is answered all the same."""
    crowd = [served() for _ in range(10 * server.PLACES)]
    assert fetch(served()).endswith(BODY)
    assert sum(_is_closed(one) for one in crowd) >= 9 * server.PLACES


def test_clients_who_do_not_fetch_give_way(served: Connect) -> None:
    """Each has asked for 40 MB, more than the sockets hold, and reads none of it."""
    for _ in range(server.PLACES + 1):
        lazy = served()
        lazy.sendall(GET)
    assert fetch(served()).endswith(BODY)


def test_slow_clients_end(listener: socket.socket, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not prolong the time for a request, nor for the answer."""
    monkeypatch.setattr(server, "_ENDS", dict.fromkeys(server._ENDS, 0.5))
    with serving(listener):
        lazy = connect()
        lazy.sendall(GET)
        lazy.recv(1, socket.MSG_PEEK)  # its answer has begun: it is not the younger one when the other has to go
        drip = connect()
        began = time.monotonic()
        try:
            for _ in range(int(SOON / 0.1)):
                drip.sendall(b"G")
                time.sleep(0.1)  # the pace of this client, not a wait for anything
        except OSError:
            pass
        assert time.monotonic() - began < SOON
        assert not answer(lazy).endswith(BODY)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 1_000_000,
        b"GET /" + b"y" * 1_000_000,
        b"\0" * 1_000_000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"",
    ],
    ids=["headers", "header", "path", "zeros", "version", "empty", "no-path", "nothing"],
)
def test_what_is_no_request_is_refused(served: Connect, request_: bytes) -> None:
    """Never with the page; and the server goes on."""
    client = served()
    found = b""
    try:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        found = answer(client)
    except OSError:
        pass  # refused while it was sending
    assert b"xxxx" not in found
    assert fetch(served()).endswith(BODY)


def test_a_request_is_bounded(served: Connect) -> None:
    """Just below the limit it is served, above it is not."""
    room = server.LONGEST_REQUEST - len(GET) - len("X: \r\n")
    for length, status in ((room, b"200"), (room + 1, b"431")):
        client = served()
        client.sendall(GET[:-2] + b"X: " + b"y" * length + b"\r\n\r\n")
        assert answer(client).split(b" ", 2)[1] == status


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
