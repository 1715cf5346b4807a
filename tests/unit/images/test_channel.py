"""Orders to image workers and their answers, on a socket pair."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import CtrError, HostError, NotFoundError, RetryError, UserError
from supervisor.images.channel import Channel, Login, Order, What
from supervisor.images.compression import STEP
from supervisor.images.manifest import Descriptor

LOGIN = Login(False, '{"auths": {}}', (("ca.crt", "-----BEGIN"),))
ORDER = Order(What.LAYER, "quay.io/web:1", Descriptor("sha256:" + "a" * 64, 7, "layer"), 3, LOGIN)


@contextlib.contextmanager
def line() -> Iterator[tuple[Channel, Channel]]:
    """The writer's end and the worker's."""
    ours, theirs = (Channel(s) for s in socket.socketpair())
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def aside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_an_order_arrives_with_its_file(tmp_path: Path) -> None:
    """All members, and a descriptor of the same file; without one, -1; None when the writer hangs up."""
    (tmp_path / "file").write_bytes(b"content")
    with line() as (writer, worker):
        with (tmp_path / "file").open("rb") as file:
            writer.order(ORDER, file.fileno())
        order, descriptor = worker.next_order() or (None, -1)
        assert order == ORDER
        with open(descriptor, "rb") as file:
            assert file.read() == b"content"
        writer.order(Order(What.MANIFEST))
        assert worker.next_order() == (Order(What.MANIFEST), -1)
        writer.close()
        assert worker.next_order() is None


@given(st.lists(st.binary(max_size=100)))
def test_what_is_answered_is_what_was_sent(parts: list[bytes]) -> None:
    """Byte for byte, and the channel is idle exactly between the end and the next order."""
    with line() as (writer, worker):
        answer = writer.order(ORDER)
        assert not writer.idle
        thread = aside(lambda: worker.answer(parts))
        assert b"".join(answer) == b"".join(parts)
        assert writer.idle
        thread.join()


def test_a_large_part_is_cut() -> None:
    """No step of the writer takes more than `STEP` bytes of memory."""
    data = os.urandom(2 * STEP + 5)
    with line() as (writer, worker):
        answer = writer.order(ORDER)
        thread = aside(lambda: worker.answer([data]))
        assert [len(part) for part in answer] == [STEP, STEP, 5]
        thread.join()


@pytest.mark.parametrize("kind", [UserError, NotFoundError, HostError, RetryError])
def test_an_error_is_raised_on_the_other_side(kind: type[CtrError]) -> None:
    """With its type and words, but for what would steer a terminal; then the worker may have another order."""

    def failing() -> Iterator[bytes]:
        yield b"some"
        raise kind("web: \x1b[2Jno\nsuch")

    with line() as (writer, worker):
        answer = writer.order(ORDER)
        thread = aside(lambda: worker.answer(failing()))
        assert next(answer) == b"some"
        with pytest.raises(kind) as raised:
            next(answer)
        assert (type(raised.value), str(raised.value)) == (kind, "web:  [2Jno such")
        assert writer.idle
        thread.join()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"D",
        b"D\0\0\0\x09cut",
        b"D\xff\xff\xff\xff",
        b"?\0\0\0\0",
        b"D\0\0\0\0" * 9 + b"E\0\0\0\0",
        b"X\0\0\0\x02{}",
    ],
)
def test_a_worker_that_breaks_off_or_lies_is_an_error(sent: bytes) -> None:
    """Never the end of the data, and never more memory than a step takes."""
    ours, theirs = socket.socketpair()
    writer = Channel(ours)
    answer = writer.order(ORDER)
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(HostError, match="image worker"):
        list(answer)
    writer.close()
    theirs.close()


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda data: b"X\0\0\0" + bytes([len(data)]) + data))
def test_nothing_a_worker_sends_is_more_than_an_error(sent: bytes) -> None:
    """Bytes of any kind end as data or as one of our errors."""
    ours, theirs = socket.socketpair()
    writer = Channel(ours)
    answer = writer.order(ORDER)
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with contextlib.suppress(CtrError):
        list(answer)
    writer.close()
    theirs.close()
