"""Program ctr-image: the image worker inside ctr-image@.service. What is compressed or sent by a registry ends here,
away from the store.

Carries out orders that come over standard input, a socket, and sends back plain bytes (`channel`). It has no
privilege, no file but its own /tmp, and a user of its own; whoever takes it over has what a registry has: the bytes
it sends, which the writer of the store checks.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator, Mapping, Sequence

from supervisor.images import channel
from supervisor.images.blobs import plain
from supervisor.images.channel import Channel, Login, Order, What
from supervisor.images.reference import parse
from supervisor.images.skopeo import Access, Registry


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Takes no arguments; ends when the other end hangs up."""
    del argv, environ
    line = channel.standard_input()
    threading.Thread(target=_end_with, args=(os.dup(0),), daemon=True).start()
    serve(line, "/tmp")  # nobody else's: PrivateTmp=
    return 0


def serve(line: Channel, scratch: str) -> None:
    """Carry out the orders that come over *line*; *scratch* is an empty directory."""
    worker = _Worker(scratch)
    try:
        while received := line.next_order():
            order, descriptor = received
            try:
                line.answer(worker.carry_out(order, descriptor))
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
    except OSError:
        pass  # nobody listens any more
    finally:
        worker.close()


class _Worker:
    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._registry: Registry | None = None

    def carry_out(self, order: Order, descriptor: int) -> Iterator[bytes]:
        if order.what is What.MANIFEST:
            yield self._open(order).manifest()
        elif order.what is What.DOCUMENT:
            yield from self._open(order).document(order.blob)
        elif order.what is What.LAYER:
            with self._open(order).layer(order.blob) as reader:
                yield from plain(reader, order.blob)
        else:
            yield from plain(_Part(descriptor, order.length), order.blob)

    def close(self) -> None:
        if self._registry:
            self._registry.close()

    def _open(self, order: Order) -> Registry:
        """A connection serves one repository."""
        if not self._registry:
            self._registry = Registry(parse(order.reference), self._access(order.login))
        return self._registry

    def _access(self, login: Login) -> Access:
        """*login* as the files that skopeo wants."""
        authfile, certificates = f"{self._scratch}/auth.json", f"{self._scratch}/certificates"
        if login.auth:
            _write(authfile, login.auth)
        if login.certificates:
            os.mkdir(certificates)
        for name, text in login.certificates:
            _write(f"{certificates}/{name}", text)
        return Access(login.tls_verify, authfile if login.auth else "", certificates if login.certificates else "")


class _Part:
    """*length* bytes of an open file (-1: all), from where its descriptor stands."""

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor = descriptor
        self._left = length

    def read(self, size: int, /) -> bytes:
        if self._left >= 0:
            size = min(size, self._left)
        data = os.read(self._descriptor, size)
        if self._left >= 0:
            self._left -= len(data)
        return data


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def _end_with(connection: int) -> None:
    """End this process when the other end hangs up: it may be waiting for a registry just then."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll()
    os._exit(0)
