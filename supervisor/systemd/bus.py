"""One asynchronous D-Bus connection, on dbus-next: calls that always end, and signals in the order they came.

Owns what dbus-next 0.2.3 (its last release, of 2021) leaves open: a full socket on writing and a blocking one on
connecting, a peer that closes in the middle of authentication (an endless loop), a connection that is lost with calls
under way, a peer that never answers, a flood of signals nobody wants, the descriptor of a dead connection. Knows no
interface but that of the bus itself.

Signals are only queued here: an error in what is done with one belongs to whoever takes it from the queue, and not
into dbus-next's log.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from struct import unpack_from
from typing import Any

import anyio
from dbus_next._private.address import get_bus_address
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType, MessageType
from dbus_next.errors import AuthError, DBusError
from dbus_next.message import Message

from supervisor.systemd.sdbus import BusError, BusLostError

#: So many calls are unanswered at most: a bus counts them, and keeps what a client does not read.
WINDOW = 32
TIMEOUT_SECONDS = 20.0
#: So many signals wait at most, of 4 to 8 kB in memory. Whoever falls so far behind has to ask for everything anew.
BACKLOG = 10_000
#: So many messages are read at a time, then others have their turn in the loop.
_TURN = 32
_DBUS, _DBUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_NO_REPLY = "org.freedesktop.DBus.Error.NoReply"

Filter = Callable[[bytearray], bool]


@asynccontextmanager
async def connected(
    address: str | None = None, wanted: Filter | None = None, timeout: float = TIMEOUT_SECONDS
) -> AsyncIterator[Connection]:
    """A connection to the bus at *address* (the system bus when None), closed at the end.

    *timeout*: seconds that a peer has for an answer, if a call says nothing else.
    *wanted* is asked with the raw bytes of every signal, before it is decoded (which costs 10 to 100 times as much).
    Raises `BusLostError` when there is none to be had now.
    """
    try:
        bus = _Bus(address, wanted)
    except OSError as error:
        raise BusLostError(f"D-Bus: connecting: {error.strerror}") from error
    try:
        try:
            with anyio.fail_after(timeout):
                await bus.connect()
        except TimeoutError as error:
            raise BusLostError(f"D-Bus: connecting: no answer in {timeout:g} s") from error
        except (OSError, EOFError, AuthError, DBusError) as error:
            raise BusLostError(f"D-Bus: connecting: {_words(error)}") from error
        yield Connection(bus, timeout)
    finally:
        bus.close()


class Connection:
    """A connection made by `connected`. *overrun*: signals had to be dropped; whoever has seen to it sets it back."""

    def __init__(self, bus: _Bus, timeout: float) -> None:
        self._bus = bus
        self._timeout = timeout
        self._window = anyio.Semaphore(WINDOW)
        self._backlog: deque[Message] = deque()
        self._bell = anyio.Event()
        self._reason = ""
        self.overrun = False
        bus.lost = self._lost
        bus.add_message_handler(self._queue)

    @property
    def bus(self) -> MessageBus:
        """dbus-next's own object, to export interfaces on and to send signals with."""
        return self._bus

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *arguments: object,
        timeout: float = 0.0,
    ) -> list[Any]:
        """Call a method; the values of its reply, those of variants still in `dbus_next.Variant`.

        Raises `BusLostError` when the connection is gone, and `BusError` for an error reply; when none has come for
        *timeout* seconds (0: the connection's own), that is org.freedesktop.DBus.Error.NoReply.
        """
        timeout = timeout or self._timeout
        message = Message(destination, path, interface, member, signature=signature, body=list(arguments))
        async with self._window:
            if not self._bus.connected:
                raise BusLostError(self._why())
            try:
                with anyio.fail_after(timeout):
                    reply = await self._bus.call(message)
            except TimeoutError as error:
                raise BusError(_NO_REPLY, f"{member}: no answer in {timeout:g} s") from error
            except (OSError, EOFError) as error:
                raise BusLostError(self._why()) from error
        if reply is None:
            raise BusLostError(self._why())
        if reply.message_type is MessageType.ERROR:
            raise BusError(reply.error_name, str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    async def get(self, destination: str, path: str, interface: str, name: str) -> Any:
        """The bare value of a property. Raises as `call`."""
        reply = await self.call(destination, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
        return reply[0].value

    async def match(self, rule: str) -> None:
        """Have the bus send the signals that fit *rule*. Raises as `call`."""
        await self.call(_DBUS, _DBUS_PATH, _DBUS, "AddMatch", "s", rule)

    async def owner(self, name: str) -> str:
        """The unique name behind *name*, empty when nobody has it. Raises as `call`."""
        try:
            return str((await self.call(_DBUS, _DBUS_PATH, _DBUS, "GetNameOwner", "s", name))[0])
        except BusError as error:
            if error.name.endswith(".NameHasNoOwner"):
                return ""
            raise

    def take(self) -> Message | None:
        """The next signal; None when none waits."""
        return self._backlog.popleft() if self._backlog else None

    async def wait(self) -> None:
        """Return when there is a signal to `take`, or after `wake`. Raises `BusLostError`."""
        if self._backlog:
            return
        if self._bus.connected:
            await self._bell.wait()
            self._bell = anyio.Event()
        if not self._backlog and not self._bus.connected:
            raise BusLostError(self._why())

    def wake(self) -> None:
        """Have `wait` return."""
        self._bell.set()

    def _why(self) -> str:
        return f"D-Bus: connection lost: {self._reason or 'closed'}"

    def _lost(self, error: BaseException | None) -> None:
        self._reason = self._reason or (_words(error) if error else "")
        self._bell.set()

    def _queue(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            if len(self._backlog) >= BACKLOG:
                self._backlog.clear()
                self.overrun = True
            self._backlog.append(message)
            self._bell.set()


class _Bus(MessageBus):
    """dbus-next's connection, mended."""

    def __init__(self, address: str | None, wanted: Filter | None) -> None:
        self._wanted = wanted
        self.lost: Callable[[BaseException | None], None] | None = None
        super().__init__(address or get_bus_address(BusType.SYSTEM))
        self._writer.sock = _Patient(self._sock)

    def close(self) -> None:
        """End it and give its descriptor back; calls under way end."""
        self._finalize(None)
        # Taking back what is exported wakes the writer once more.
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with suppress(OSError):
            self._stream.close()
        self._sock.close()

    def _setup_socket(self) -> None:
        """As dbus-next does for unix sockets, except that it never blocks (a full backlog is EAGAIN) nor leaks."""
        error: OSError = ConnectionRefusedError(0, "the address names no unix socket")
        for transport, options in self._bus_address:
            target = options.get("path") or "\0" + options.get("abstract", "")
            if transport != "unix" or target == "\0":
                continue
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                self._sock.connect(target)
            except OSError as failure:
                self._sock.close()
                error = failure
            else:
                self._stream = self._sock.makefile("rwb")
                self._fd = self._sock.fileno()
                return
        raise error

    async def _auth_readline(self) -> str:
        """As dbus-next does, except that it ends when the peer has closed."""
        line = b""
        while not line.endswith(b"\r\n"):
            part = await self._loop.sock_recv(self._sock, 2)
            if not part:
                raise EOFError
            line += part
        return line[:-2].decode()

    def _create_unmarshaller(self) -> _Sieve:
        return _Sieve(self._stream, self._wanted)

    def _message_reader(self) -> None:
        try:
            for _ in range(_TURN):
                if self._disconnected:
                    return
                sieve: _Sieve = self._unmarshaller
                if sieve.unmarshall():
                    self._on_message(sieve.message)
                elif not sieve.dropped:
                    return
                self._unmarshaller = self._create_unmarshaller()
        except Exception as error:  # the same net as dbus-next's: whatever it is, the stream cannot be read on
            self._finalize(error)
        else:
            self._loop.call_soon(self._message_reader)  # what is in its buffer already does not wake the loop

    def _finalize(self, err: BaseException | None = None) -> None:
        if not self._disconnected:
            super()._finalize(err)
            self._disconnect_future.exception()  # seen; `lost` tells
            if self.lost:
                self.lost(err)


class _Sieve(Unmarshaller):
    """Reads one message; a signal that nobody wants is taken off the stream but not decoded: *dropped*."""

    def __init__(self, stream: Any, wanted: Filter | None) -> None:
        super().__init__(stream)
        self._wanted = wanted
        self.dropped = False

    def _unmarshall(self) -> None:
        if self._wanted:
            self.offset = 0
            self.read(16, prefetch=True)
            order = "<" if self.buf[0] == ord("l") else ">"
            body, _, fields = unpack_from(f"{order}III", self.buf, 4)
            self.read(16 + fields + -fields % 8 + body, prefetch=True)
            if self.buf[1] == MessageType.SIGNAL.value and not self._wanted(self.buf):
                self.dropped = True
                return
        super()._unmarshall()


class _Patient:
    """A socket to which a write that would block is one of no bytes: dbus-next then waits until it can write."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "closed by the peer" if isinstance(error, EOFError) else str(error) or type(error).__name__
