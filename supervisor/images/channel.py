"""What the writer of the store and an image worker say to each other, over one stream socket.

The writer sends an `Order`, perhaps with an open file; the worker answers with parts of data, then with the end or an
error. One order at a time. The writer trusts nothing it is sent: lengths are bounded here, and content is checked by
whoever asked for it. Carries out no order.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from supervisor.errors import CtrError, HostError, UserError
from supervisor.images.compression import STEP
from supervisor.images.manifest import Descriptor
from supervisor.images.work import Result
from supervisor.spec import codec

_LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">cI")
_DATA, _END, _ERROR = b"D", b"E", b"X"

#: Characters of an error.
_MAX_MESSAGE = 4096


class What(Enum):
    """What a worker can do."""

    MANIFEST = "manifest"
    """The manifest or index that `Order.reference` names."""
    DOCUMENT = "document"
    """A manifest or configuration of that repository, by digest."""
    LAYER = "layer"
    """The plain bytes of a layer of that repository."""
    EXPAND = "expand"
    """The plain bytes of the file that comes with the order, from where its descriptor stands."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to be let in by a registry; contents, for a worker can read no file of the host's."""

    tls_verify: bool = True
    auth: str = ""
    """Text of a containers-auth.json(5), or ''."""
    certificates: tuple[tuple[str, str], ...] = ()
    """Names and texts of the files in a directory as containers-certs.d(5) has it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to do."""

    what: What
    reference: str = ""
    blob: Descriptor = field(default_factory=lambda: Descriptor(""))
    """What is wanted, or what the file has to be; an empty digest is not known."""
    length: int = -1
    """EXPAND: bytes of the file that belong to it; -1 is all."""
    login: Login = field(default_factory=Login)


class Channel:
    """One end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.idle = True
        """Whether another order may be sent."""

    # the writer's side

    def order(self, order: Order, descriptor: int = -1) -> Iterator[bytes]:
        """Send *order*, with the open file *descriptor* unless it is -1; yields what is answered.

        Raises the worker's `CtrError`, or `HostError` when the worker has ended.
        """
        self.idle = False
        data = codec.dumps(order).encode()
        try:
            socket.send_fds(self._connection, [_LENGTH.pack(len(data))], [descriptor] if descriptor >= 0 else [])
            self._connection.sendall(data)
        except OSError as error:
            raise _ended() from error
        return self._parts()

    def _parts(self) -> Iterator[bytes]:
        while True:
            kind, size = _HEADER.unpack(self._exactly(_HEADER.size))
            # Data without bytes would count against no limit of those who asked.
            if size > STEP or kind not in (_DATA, _END, _ERROR) or (kind == _DATA and not size):
                raise HostError("the image worker does not keep to the protocol")
            data = self._exactly(size)
            if kind == _DATA:
                yield data
                continue
            self.idle = True
            if kind == _ERROR:
                _result(data).raise_error()
            return

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._connection.recv(size, socket.MSG_WAITALL) if size else b""
        except OSError as error:
            raise _ended() from error
        if len(data) < size:
            raise _ended()
        return data

    # the worker's side

    def next_order(self) -> tuple[Order, int] | None:
        """The next order and the file that came with it (or -1), which is the caller's to close; None at the end."""
        head, descriptors, _, _ = socket.recv_fds(self._connection, _LENGTH.size, 1)
        if not head:
            return None
        head += self._exactly(_LENGTH.size - len(head))
        order = codec.loads(Order, self._exactly(_LENGTH.unpack(head)[0]).decode())
        return order, descriptors[0] if descriptors else -1

    def answer(self, parts: Iterable[bytes]) -> None:
        """Send *parts* and the end, or the `CtrError` that making them raised. Raises OSError when nobody listens."""
        try:
            for part in parts:
                for start in range(0, len(part), STEP):
                    self._send(_DATA, memoryview(part)[start : start + STEP])
            self._send(_END, b"")
        except CtrError as error:
            self._send(_ERROR, codec.dumps(Result.of_error(error)).encode()[:STEP])

    def _send(self, kind: bytes, data: bytes | memoryview) -> None:
        self._connection.sendall(_HEADER.pack(kind, len(data)))
        if data:
            self._connection.sendall(data)

    # both

    def close(self) -> None:
        """Also wakes a thread that waits for the other end."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _result(data: bytes) -> Result:
    """The error in *data*; people's terminals are kept from what a stranger may have put into its words."""
    try:
        sent = codec.loads(Result, data.decode("utf-8", "replace"))
    except (UserError, RecursionError):
        sent = Result()
    message = "".join(character if character.isprintable() else " " for character in sent.message[:_MAX_MESSAGE])
    return Result(kind=sent.kind or HostError.__name__, message=message or "the image worker failed without a word")


def _ended() -> HostError:
    return HostError("the image worker ended too early; see journalctl -u 'ctr-image@*'")


def standard_input() -> Channel:
    """The channel of a program that systemd started for a connection (Accept= in systemd.socket(5))."""
    return Channel(socket.socket(fileno=os.dup(0)))
