"""One connection to a message bus that hostile clients cannot fill, stall or break.

Owns the socket, the order and the limits of what is sent, and the replies that are waited for; knows nothing of what
the messages say. dbus-next's own connection reads on for as long as there is something to read, keeps every message it
cannot send, and breaks when the socket is full, so it is not used here (contrib/decisions has the numbers).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import ByteStream
from dbus_next._private.address import get_system_bus_address, parse_address

from supervisor.api import wire
from supervisor.systemd.sdbus import BusError, BusLostError

BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
#: Bytes that wait to be sent: above the first mark no more is read, above the second we hang up.
_ROOM, _FULL = 4 << 20, 32 << 20
_CHUNK = 256 << 10
#: Seconds that the bus may take for a chunk. dbus-daemon stops reading from a sender whose messages others leave
#: unread; a new connection starts with a clean slate.
_STALLED = 5.0
#: Seconds of processor time for messages before everything else in the event loop gets its turn.
TURN = 0.004


class Connection:
    """Make it with `open`, then keep `run` running."""

    def __init__(self, stream: ByteStream, handle: Callable[[wire.Incoming], None]) -> None:
        self._stream = stream
        self._handle = handle
        self._framer = wire.Framer()
        self._serial = 0
        self._waiting: dict[int, tuple[anyio.Event, list[wire.Incoming]]] = {}
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._more, self._less = anyio.Event(), anyio.Event()
        self._scope = anyio.CancelScope()
        self._reason = ""
        self.unique_name = ""

    @classmethod
    async def open(cls, address: str | None, uid: int, handle: Callable[[wire.Incoming], None]) -> Connection:
        """Connect to the bus at *address* (None: the system bus) as user *uid* and authenticate.

        *handle* gets calls and signals. Raises `BusLostError`.
        """
        stream = await _connect(address or get_system_bus_address())
        try:
            await _authenticate(stream, uid)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return cls(stream, handle)

    async def run(self) -> str:
        """Send and receive until the connection is lost; say why it was."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read)
                    tasks.start_soon(self._write)
        finally:
            self.lose("closed")
            for event, _ in self._waiting.values():
                event.set()
            self._less.set()
            await anyio.aclose_forcefully(self._stream)
        return self._reason

    def lose(self, reason: str) -> None:
        """Hang up; `run` returns *reason*, unless there was another one before."""
        self._reason = self._reason or reason
        self._scope.cancel()

    @property
    def has_room(self) -> bool:
        """Whether more may be sent; if not, `wait_for_room`."""
        return self._queued < _ROOM

    async def wait_for_room(self) -> None:
        """Return when there is room, or no connection any more."""
        while not self.has_room and not self._reason:
            if self._less.is_set():  # One event for all who wait.
                self._less = anyio.Event()
            await self._less.wait()

    def send(self, kind: int, **fields: Any) -> int:
        """Queue a message; the arguments are those of `wire.message`. Returns its size in bytes."""
        self._serial = self._serial % 0xFFFFFFFF + 1
        data = wire.message(kind, self._serial, **fields)
        self._queue.append(data)
        self._queued += len(data)
        self._more.set()
        if self._queued > _FULL:
            self.lose(f"{self._queued} bytes wait to be sent")
        return len(data)

    async def hello(self) -> None:
        """Get our unique name from the bus: the first call of all."""
        (self.unique_name,) = (await self.call(BUS, BUS_PATH, BUS, "Hello")).strings()

    def tell(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *values: Any,
        flags: int = wire.NO_REPLY,
    ) -> int:
        """Call a method and do not wait for the reply. Returns the serial."""
        self.send(
            wire.CALL,
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=wire.marshal(signature, *values),
            flags=flags,
        )
        return self._serial

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *values: Any,
        timeout: float = 20.0,
    ) -> wire.Incoming:
        """Call a method. Raises `BusError` with the error it was answered with, `BusLostError`, or TimeoutError after
        *timeout* seconds."""
        if self._reason:
            raise BusLostError(f"message bus: {self._reason}")
        serial = self.tell(destination, path, interface, member, signature, *values, flags=0)
        event, replies = anyio.Event(), list[wire.Incoming]()
        self._waiting[serial] = event, replies
        try:
            with anyio.fail_after(timeout):
                await event.wait()
        finally:
            del self._waiting[serial]
        if not replies:
            raise BusLostError(f"message bus: {self._reason}")
        (reply,) = replies
        if reply.kind == wire.ERROR:
            raise BusError(reply.error, _words(reply))
        return reply

    async def _read(self) -> None:
        begin = time.thread_time()
        try:
            while True:
                self._framer.feed(await self._stream.receive(_CHUNK))
                while (message := self._framer.next()) is not None:
                    self._dispatch(message)
                    if not self.has_room:  # Whoever asks so much that the bus cannot take the answers has to wait.
                        await self.wait_for_room()
                    if time.thread_time() - begin > TURN:
                        await anyio.sleep(0)
                        begin = time.thread_time()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            self.lose("the bus hung up")
        except wire.NotDBusError as error:
            self.lose(f"not D-Bus: {error}")

    def _dispatch(self, message: wire.Incoming) -> None:
        if message.kind not in (wire.RETURN, wire.ERROR):
            self._handle(message)
        elif (waiting := self._waiting.get(message.reply_to)) and not waiting[1]:
            waiting[1].append(message)
            waiting[0].set()

    async def _write(self) -> None:
        try:
            while True:
                while not self._queue:
                    self._more = anyio.Event()
                    await self._more.wait()
                await self._send_all(self._take())
                if self.has_room:
                    self._less.set()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            self.lose("the bus hung up")

    def _take(self) -> bytes:
        """Some queued messages as one chunk: a system call each would cost more than making them."""
        taken, size = [], 0
        while self._queue and size < _CHUNK:
            taken.append(self._queue.popleft())
            size += len(taken[-1])
        self._queued -= size
        return b"".join(taken)

    async def _send_all(self, data: bytes) -> None:
        for at in range(0, len(data), _CHUNK):
            with anyio.move_on_after(_STALLED) as slow:
                await self._stream.send(data[at : at + _CHUNK])
            if slow.cancel_called:
                self.lose(f"the bus has taken nothing for {_STALLED:.0f} s")


async def _connect(addresses: str) -> ByteStream:
    last: Exception | None = None
    for transport, options in parse_address(addresses):
        path = options.get("path") or "\0" + options.get("abstract", "")
        if transport != "unix" or path == "\0":
            continue
        try:
            return await anyio.connect_unix(path)
        except OSError as error:
            last = error
    raise BusLostError(f"message bus: {addresses}: {last or 'not a unix socket'}")


async def _authenticate(stream: ByteStream, uid: int) -> None:
    """SASL EXTERNAL: who we are is what the kernel says of the socket."""
    try:
        with anyio.fail_after(20):
            await stream.send(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n") and len(answer) < 4096:
                answer += await stream.receive(4096)
            if not answer.startswith(b"OK "):
                raise BusLostError(f"message bus: authentication: {answer.decode(errors='replace').strip()}")
            await stream.send(b"BEGIN\r\n")
    except (TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError, OSError) as error:
        raise BusLostError(f"message bus: authentication: {error or 'no answer'}") from error


def _words(reply: wire.Incoming) -> str:
    try:
        return reply.strings()[0]
    except (ValueError, IndexError):
        return reply.error
