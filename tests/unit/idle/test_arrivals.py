"""What comes between two looks is not missed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor.errors import HostError
from supervisor.idle import arrivals
from supervisor.idle.record import Listener


def test_the_filter_is_eleven_instructions() -> None:
    """Eight bytes each; the map's descriptor is in the fourth; it ends by keeping the packet."""
    code = arrivals.program(5)
    assert len(code) == 11 * 8
    assert code[3 * 8 :][:8] == bytes((0x18, 0x11, 0, 0, 5, 0, 0, 0))
    assert code[-16:] == bytes((0xB7, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x95, 0, 0, 0, 0, 0, 0, 0))


def test_every_connection_is_counted() -> None:
    """Ten that came and went are seen afterwards, and nothing that they said was lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            number = arrivals.count([server.fileno()])
        except HostError as error:
            pytest.skip(f"{error}")
        assert arrivals.counted(number) == 0
        for _ in range(10):
            with socket.create_connection(server.getsockname()) as client:
                accepted, _ = server.accept()
                client.send(b"hello")
                assert accepted.recv(9) == b"hello"
                accepted.close()
        assert arrivals.counted(number) >= 10


def test_a_counter_that_is_not_there_counts_nothing() -> None:
    """Of a run whose sockets are gone, or where the kernel has none."""
    assert arrivals.counted(0) == 0
    assert arrivals.counted(2**32 - 2) == 0


def test_connecting_to_a_path_is_seen_once(tmp_path: Path) -> None:
    """Also under relatime, where a time of access moves rarely; and again with the next connection."""
    path = str(tmp_path / "web.sock")
    listeners = [Listener(socket.AF_UNIX, socket.SOCK_STREAM, path), Listener(socket.AF_INET, 1, "0.0.0.0", 80)]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        arrivals.touched(listeners)
        if os.statvfs(path).f_flag & os.ST_NOATIME:
            pytest.skip("the file system is mounted noatime")
        for _ in range(2):
            assert not arrivals.touched(listeners)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            assert arrivals.touched(listeners)


def test_a_removed_path_was_not_connected_to(tmp_path: Path) -> None:
    """Nor is an abstract name a path."""
    assert not arrivals.touched(
        [Listener(socket.AF_UNIX, 1, str(tmp_path / "gone")), Listener(socket.AF_UNIX, 1, "\0x")]
    )
