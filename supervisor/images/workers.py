"""The store's side of image workers: connections to them, and a registry as they show it.

Every connection to ctr-image.socket is a new instance of ctr-image@.service with a user of its own. One that has seen a
hostile layer may be somebody else's from then on; so a worker is only asked for what can be checked against a digest
when it comes back (and for the manifest behind a tag, which is whatever the registry says).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator

from supervisor.errors import HostError, UserError
from supervisor.images.channel import Channel, Login, Order, What
from supervisor.images.manifest import MAX_DOCUMENT, Descriptor, digest_of
from supervisor.images.reference import Reference
from supervisor.paths import Layout

Connect = Callable[[], socket.socket]


def connector(layout: Layout) -> Connect:
    """Connects to a new worker. Raises `HostError`."""

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(layout.image_socket)
        except OSError as error:
            connection.close()
            raise HostError(f"image worker: {error.strerror}; systemctl start ctr-image.socket") from error
        return connection

    return connect


class Workers:
    """Image workers for one image or archive, as many as threads ask at once. Close it to end all of them."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._channels: set[Channel] | None = set()
        self._idle: list[Channel] = []

    @contextlib.contextmanager
    def ask(self, order: Order, descriptor: int = -1) -> Iterator[Iterator[bytes]]:
        """What a worker answers to *order*; *descriptor* goes with it. Raises as `Channel.order`."""
        channel = self._take() or self._hire()
        try:
            yield channel.order(order, descriptor)
        finally:
            if channel.idle:
                self._idle.append(channel)
            else:  # there is more to come, which nobody wants
                self._dismiss(channel)

    def call(self) -> None:
        """Have a worker start that the first order will find ready. Raises `HostError`."""
        self._idle.append(self._hire())

    def close(self) -> None:
        """From any thread: whoever waits for a worker gets a `HostError`."""
        with self._lock:
            channels, self._channels = self._channels, None
        for channel in channels or ():
            channel.close()

    def _take(self) -> Channel | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _hire(self) -> Channel:
        channel = Channel(self._connect())
        with self._lock:
            if self._channels is not None:
                self._channels.add(channel)
                return channel
        channel.close()
        raise HostError("the transfer was given up")

    def _dismiss(self, channel: Channel) -> None:
        with self._lock:
            if self._channels is not None:
                self._channels.discard(channel)
        channel.close()


class Registry:
    """`supervisor.images.origin.Origin` for one repository."""

    def __init__(self, workers: Workers, reference: Reference, login: Login) -> None:
        self._workers = workers
        self._reference = reference
        self._login = login

    def manifest(self) -> bytes:
        """The manifest or index that the reference names; checked against the digest when it has one."""
        data = self._read(What.MANIFEST, Descriptor(""))
        wanted = self._reference.digest
        if wanted and digest_of(data) != wanted:
            raise UserError(f"{self._reference}: the registry sent a manifest with digest {digest_of(data)}")
        return data

    def document(self, descriptor: Descriptor) -> bytes:
        return self._read(What.DOCUMENT, descriptor)

    @contextlib.contextmanager
    def layer(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        with self._workers.ask(self._order(What.LAYER, descriptor)) as parts:
            yield parts

    def _read(self, what: What, descriptor: Descriptor) -> bytes:
        with self._workers.ask(self._order(what, descriptor)) as parts:
            return joined(parts, f"{self._reference}: {descriptor.digest or 'manifest'}")

    def _order(self, what: What, blob: Descriptor) -> Order:
        return Order(what, str(self._reference), blob, login=self._login)


def joined(parts: Iterable[bytes], what: str) -> bytes:
    """All *parts* of a document. Raises `UserError` beyond `MAX_DOCUMENT`."""
    data = bytearray()  # a worker may send one byte at a time
    for part in parts:
        data += part
        if len(data) > MAX_DOCUMENT:
            raise UserError(f"{what}: is longer than {MAX_DOCUMENT} bytes; the image is refused")
    return bytes(data)
