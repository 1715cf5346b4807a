"""Image workers as the store's writer has them: what they make of orders, and which of them does what."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.errors import HostError, UserError
from supervisor.images.channel import Order, What
from supervisor.images.manifest import MAX_DOCUMENT, Descriptor
from supervisor.images.workers import Workers, joined
from tests.unit.images import hired

PLAIN = b"plain bytes " * 1000
PACKED = gzip.compress(PLAIN)
BLOB = Descriptor("sha256:" + hashlib.sha256(PACKED).hexdigest(), len(PACKED))


@pytest.fixture
def workers() -> Iterator[Workers]:
    with hired.workers() as made:
        yield made


def expand(workers: Workers, path: Path, order: Order, start: int = 0) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        with workers.ask(order, file.fileno()) as parts:
            return b"".join(parts)


def test_a_file_is_expanded_from_where_it_stands(workers: Workers, tmp_path: Path) -> None:
    """As far as the order says; that is how a member of an archive is read."""
    path = tmp_path / "archive"
    path.write_bytes(b"before" + PACKED + b"behind")
    assert expand(workers, path, Order(What.EXPAND, blob=BLOB, length=len(PACKED)), 6) == PLAIN


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (Descriptor("sha256:" + "0" * 64), "blob has digest .* damaged"),
        (Descriptor(BLOB.digest, len(PACKED) - 1), "more bytes than its manifest says"),
    ],
)
def test_a_blob_that_is_not_what_was_promised_is_refused(
    workers: Workers, tmp_path: Path, blob: Descriptor, words: str
) -> None:
    """By digest and by size; the next order is carried out all the same."""
    path = tmp_path / "blob"
    path.write_bytes(PACKED)
    with pytest.raises(UserError, match=words):
        expand(workers, path, Order(What.EXPAND, blob=blob))
    assert expand(workers, path, Order(What.EXPAND, blob=BLOB)) == PLAIN


def test_orders_that_follow_each_other_share_a_worker(tmp_path: Path) -> None:
    """The one that was called beforehand; to start one, and log in to a registry, takes time."""
    hired_for: list[list[What]] = []
    path = tmp_path / "blob"
    path.write_bytes(PACKED)

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        orders: list[What] = []
        hired_for.append(orders)
        threading.Thread(target=_note, args=(theirs, orders), daemon=True).start()
        return ours

    workers = Workers(connect)
    workers.call()
    for _ in range(2):
        expand(workers, path, Order(What.EXPAND))
    workers.close()
    assert hired_for == [[What.EXPAND, What.EXPAND]]


def _note(connection: socket.socket, orders: list[What]) -> None:
    line = hired.Channel(connection)
    while received := line.next_order():
        order, descriptor = received
        os.close(descriptor)
        orders.append(order.what)
        line.answer([])
    line.close()


def test_a_worker_that_was_not_heard_out_is_dismissed(workers: Workers, tmp_path: Path) -> None:
    """What it still says is not taken for the answer to the next order."""
    path = tmp_path / "blob"
    path.write_bytes(bytes(8_000_000))
    with path.open("rb") as file, workers.ask(Order(What.EXPAND), file.fileno()) as parts:
        next(parts)
    path.write_bytes(PACKED)
    assert expand(workers, path, Order(What.EXPAND)) == PLAIN


def test_closing_ends_every_wait() -> None:
    """A thread that waits for a worker gets an error, and no worker is hired afterwards."""
    ends = [socket.socketpair() for _ in range(2)]
    mine = iter(ours for ours, _ in ends)
    workers = Workers(lambda: next(mine))
    asked = threading.Event()
    errors: list[HostError] = []

    def wait() -> None:
        with workers.ask(Order(What.MANIFEST)) as parts:
            asked.set()
            try:
                list(parts)
            except HostError as error:
                errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    asked.wait()
    workers.close()
    thread.join()
    assert len(errors) == 1
    with pytest.raises(HostError, match="given up"), workers.ask(Order(What.MANIFEST)):
        pass
    for _, theirs in ends:
        theirs.close()


def test_a_document_has_a_limit() -> None:
    """A worker that sends for ever is stopped."""

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(UserError, match=f"longer than {MAX_DOCUMENT} bytes"):
        joined(endless(), "web")


def test_a_document_in_single_bytes_costs_no_more_than_its_size() -> None:
    """Parts are not copied once for each that follows: that many would take minutes."""
    begun = time.process_time()
    assert len(joined((b"x" for _ in range(MAX_DOCUMENT)), "web")) == MAX_DOCUMENT
    assert time.process_time() - begun < 20
