"""Synchronous D-Bus through libsystemd's sd-bus, by ctypes: connect, call, receive signals.

Owns marshalling between D-Bus signatures and Python values, and nothing about systemd's interfaces. ctypes rather
than pystemd because this lies in the path of ``systemctl start`` and of ``ctrctl ps``: importing it costs about 4 ms,
pystemd about 26 (``contrib/decisions`` has the numbers).

Values: 'b' bool; 'y n q i u x t h' int; 'd' float; 's o g' str; 'ay' bytes; other arrays list; structs tuple;
'a{..}' dict; 'v' the bare value when read, a (signature, value) pair when written. See sd-bus(3).
"""

from __future__ import annotations

import ctypes
import errno
import os

from supervisor.errors import HostError, RetryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PRIVATE_SOCKET = "/run/systemd/private"
_INFINITE = 2**64 - 1
_SIGNAL = 4
_LOST = (errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.ESHUTDOWN)

_BASIC: dict[str, type[Any]] = {
    "y": ctypes.c_uint8,
    "b": ctypes.c_int,
    "n": ctypes.c_int16,
    "q": ctypes.c_uint16,
    "i": ctypes.c_int32,
    "u": ctypes.c_uint32,
    "x": ctypes.c_int64,
    "t": ctypes.c_uint64,
    "d": ctypes.c_double,
    "h": ctypes.c_int32,
    "s": ctypes.c_char_p,
    "o": ctypes.c_char_p,
    "g": ctypes.c_char_p,
}
_TEXT = "sog"


class BusError(HostError):
    """A method call was answered with an error; *name* is the D-Bus error name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message or name)
        self.name = name


class BusLostError(RetryError):
    """The connection broke, as it does when systemd executes itself anew (daemon-reexec)."""


class Message:
    """A received signal: object path, interface, member and the decoded arguments."""

    __slots__ = ("args", "interface", "member", "path")

    def __init__(self, path: str, interface: str, member: str, args: tuple[Any, ...]) -> None:
        self.path = path
        self.interface = interface
        self.member = member
        self.args = args


class _Error(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("need_free", ctypes.c_int))


def _load() -> ctypes.CDLL:
    lib = ctypes.CDLL("libsystemd.so.0")
    for name in ("get_path", "get_interface", "get_member"):
        getattr(lib, f"sd_bus_message_{name}").restype = ctypes.c_char_p
    return lib


class Bus:
    """One connection. Not thread-safe; use it as a context manager or call `close`."""

    def __init__(
        self, address: str | None, destination: str = "org.freedesktop.systemd1", *, autostart: bool = True
    ) -> None:
        """Connect to *address* as a peer (no message bus in between), or to the system bus when it is None.

        On the bus, calls go to the name *destination*; *autostart*: and may start who owns it. Raises `BusLostError`
        when nobody listens.
        """
        self._lib = _load()
        self._bus = ctypes.c_void_p()
        self._destination = None if address else destination.encode()
        self._autostart = autostart
        if address is None:
            self._check(self._lib.sd_bus_open_system(ctypes.byref(self._bus)), "connecting to the system bus")
            return
        self._check(self._lib.sd_bus_new(ctypes.byref(self._bus)), "sd_bus_new")
        self._lib.sd_bus_set_address(self._bus, address.encode())
        self._check(self._lib.sd_bus_start(self._bus), f"connecting to {address}")

    def close(self) -> None:
        """Drop the connection; further calls are a defect."""
        self._lib.sd_bus_flush_close_unref(self._bus)
        self._bus = ctypes.c_void_p()

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_peer(self) -> bool:
        """Whether this is a direct connection, on which signals arrive without a match rule."""
        return self._destination is None

    def call(
        self, path: str, interface: str, member: str, signature: str = "", *args: object, timeout: float = 90.0
    ) -> tuple[Any, ...]:
        """Call a method and return the decoded reply. Raises `BusError` or `BusLostError`. *timeout* in seconds."""
        message = ctypes.c_void_p()
        self._check(
            self._lib.sd_bus_message_new_method_call(
                self._bus, ctypes.byref(message), self._destination, path.encode(), interface.encode(), member.encode()
            ),
            f"calling {member}",
        )
        if not self._autostart:
            self._lib.sd_bus_message_set_auto_start(message, 0)
        try:
            for kind, value in zip(_split(signature), args, strict=True):
                self._append(message, kind, value)
            return self._send(message, member, timeout)
        finally:
            self._lib.sd_bus_message_unref(message)

    def match(self, rule: str) -> None:
        """Ask the bus for the signals that fit *rule*; needed (and done) only on a message bus."""
        if not self.is_peer:
            self._check(self._lib.sd_bus_add_match(self._bus, None, rule.encode(), None, None), "adding a match rule")

    def receive(self, timeout: float, members: frozenset[str]) -> Message | None:
        """The next signal named in *members*, or None after *timeout* seconds of silence. Raises `BusLostError`.

        Others are dropped undecoded: a direct connection carries every signal of every unit.
        """
        while True:
            message = ctypes.c_void_p()
            handled = self._check(self._lib.sd_bus_process(self._bus, ctypes.byref(message)), "receiving")
            if message:
                try:
                    if signal := self._signal(message, members):
                        return signal
                finally:
                    self._lib.sd_bus_message_unref(message)
            elif not handled and not self._check(
                self._lib.sd_bus_wait(self._bus, ctypes.c_uint64(int(timeout * 1e6))), "waiting"
            ):
                return None

    def _signal(self, message: ctypes.c_void_p, members: frozenset[str]) -> Message | None:
        kind = ctypes.c_uint8()
        self._lib.sd_bus_message_get_type(message, ctypes.byref(kind))
        if kind.value != _SIGNAL:
            return None
        lib = self._lib
        path, interface, member = (
            (get(message) or b"").decode()
            for get in (lib.sd_bus_message_get_path, lib.sd_bus_message_get_interface, lib.sd_bus_message_get_member)
        )
        return Message(path, interface, member, self._read_all(message)) if member in members else None

    def _send(self, message: ctypes.c_void_p, member: str, timeout: float) -> tuple[Any, ...]:
        error, reply = _Error(), ctypes.c_void_p()
        code = self._lib.sd_bus_call(
            self._bus, message, ctypes.c_uint64(int(timeout * 1e6)), ctypes.byref(error), ctypes.byref(reply)
        )
        try:
            if code < 0 and -code not in _LOST and error.name:
                raise BusError(error.name.decode(), (error.message or b"").decode(errors="replace"))
            self._check(code, member)
            return self._read_all(reply)
        finally:
            self._lib.sd_bus_error_free(ctypes.byref(error))
            self._lib.sd_bus_message_unref(reply)

    def _append(self, message: ctypes.c_void_p, kind: str, value: Any) -> None:
        lib, code = self._lib, kind[0]
        if code in _BASIC:
            holder = value.encode() if code in _TEXT else ctypes.byref(_BASIC[code](value))
            self._check(lib.sd_bus_message_append_basic(message, ctypes.c_char(code.encode()), holder), kind)
            return
        if kind == "ay":
            self._check(
                lib.sd_bus_message_append_array(message, ctypes.c_char(b"y"), value, ctypes.c_size_t(len(value))), kind
            )
            return
        if code == "v":
            inner, items = value[0], [(value[0], value[1])]
        elif code == "a" and kind[1] == "{":
            inner, items = kind[1:], [(kind[1:], pair) for pair in value.items()]
        elif code == "a":
            inner, items = kind[1:], [(kind[1:], item) for item in value]
        else:
            inner = kind[1:-1]
            items = list(zip(_split(inner), value, strict=True))
        opened = {"(": b"r", "{": b"e"}.get(code, code.encode())
        self._check(lib.sd_bus_message_open_container(message, ctypes.c_char(opened), inner.encode()), kind)
        for item_kind, item in items:
            self._append(message, item_kind, item)
        self._check(lib.sd_bus_message_close_container(message), kind)

    def _read_all(self, message: ctypes.c_void_p) -> tuple[Any, ...]:
        return tuple(self._items(message))

    def _items(self, message: ctypes.c_void_p) -> Iterator[Any]:
        code, contents = ctypes.c_char(), ctypes.c_char_p()
        while self._check(
            self._lib.sd_bus_message_peek_type(message, ctypes.byref(code), ctypes.byref(contents)), "reading"
        ):
            yield self._read(message, code.value.decode(), (contents.value or b"").decode())

    def _read(self, message: ctypes.c_void_p, code: str, contents: str) -> Any:
        lib = self._lib
        if code in _BASIC:
            holder = _BASIC[code]()
            self._check(
                lib.sd_bus_message_read_basic(message, ctypes.c_char(code.encode()), ctypes.byref(holder)), code
            )
            if code in _TEXT:
                return holder.value.decode(errors="surrogateescape")
            return bool(holder.value) if code == "b" else holder.value
        if code == "a" and contents == "y":
            start, size = ctypes.c_void_p(), ctypes.c_size_t()
            self._check(
                lib.sd_bus_message_read_array(message, ctypes.c_char(b"y"), ctypes.byref(start), ctypes.byref(size)),
                "ay",
            )
            return ctypes.string_at(start.value or 0, size.value) if size.value else b""
        self._check(lib.sd_bus_message_enter_container(message, ctypes.c_char(code.encode()), contents.encode()), code)
        items = list(self._items(message))
        self._check(lib.sd_bus_message_exit_container(message), code)
        if code == "v":
            return items[0]
        if code == "a":
            return dict(items) if contents.startswith("{") else items
        return tuple(items)

    def _check(self, code: int, doing: str) -> int:
        if code >= 0:
            return code
        if -code in _LOST or -code in (errno.ECONNREFUSED, errno.ENOENT):
            raise BusLostError(f"systemd's D-Bus connection: {doing}: {os.strerror(-code)}")
        raise HostError(f"systemd's D-Bus connection: {doing}: {os.strerror(-code)}")


def _split(signature: str) -> Iterator[str]:
    """The complete types of *signature*, one by one ('sa(ss)v' -> 's', 'a(ss)', 'v')."""
    at = 0
    while at < len(signature):
        end = _end(signature, at)
        yield signature[at:end]
        at = end


def _end(signature: str, at: int) -> int:
    code = signature[at]
    if code == "a":
        return _end(signature, at + 1)
    if code in "({":
        at += 1
        while signature[at] not in ")}":
            at = _end(signature, at)
    return at + 1
