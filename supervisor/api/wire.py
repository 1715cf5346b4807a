"""D-Bus messages as bytes: dbus-next's marshalling outwards, a frugal and unforgiving reader inwards. Pure.

Not dbus-next's own reader: any user of the bus may send us messages. It takes whatever length a header promises, builds
Python objects of every argument (32 MB of empty strings are 400 MB of them) and remembers every signature it has ever
seen; a header field or a flag that it does not know ends the connection. Here a long message is skipped as it comes in,
only arguments that a method wants are decoded, and what is not understood concerns its sender alone.
The format: dbus.freedesktop.org/doc/dbus-specification.html, "Message Protocol".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbus_next._private.marshaller import Marshaller
from dbus_next.signature import Variant

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
#: Message flags.
NO_REPLY, INTERACTIVE = 1, 4
#: Longer messages are not read: nothing that we answer needs a hundredth of this.
LONGEST = 64 << 10
#: What the specification allows; more is not D-Bus.
_IMPOSSIBLE = 128 << 20
_FIXED = 16
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)


class NotDBusError(Exception):
    """The stream is out of step; no further message can be found in it."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it was received. Header fields that it does not have are empty."""

    kind: int
    flags: int
    serial: int
    path: str = ""
    interface: str = ""
    member: str = ""
    error: str = ""
    reply_to: int = 0
    sender: str = ""
    signature: str = ""
    body: bytes = b""
    order: str = "<"
    """Of bytes, as `struct` writes it."""
    is_long: bool = False
    """Its body was too long to be read."""

    def strings(self) -> tuple[str, ...]:
        """The strings and object paths before the first argument of another type. Raises ValueError when they are not
        all there."""
        values, at = [], 0
        for kind in self.signature:
            if kind not in "so":
                break
            at = _aligned(at, 4)
            text, at = _text(self.body, at, self.order)
            values.append(text)
        return tuple(values)

    def number(self, at: int = 0) -> int:
        """The 32-bit number (or boolean) that lies *at* bytes into the body. Raises ValueError when it ends before."""
        try:
            return int(struct.unpack_from(f"{self.order}I", self.body, at)[0])
        except struct.error as error:
            raise ValueError("the message is too short") from error


class Framer:
    """Cuts a stream of bytes into messages. Holds at most one message of `LONGEST` bytes and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += memoryview(data)[skipped:]

    def next(self) -> Incoming | None:
        """The next message, or None when more bytes are needed. Raises `NotDBusError`."""
        while not self._skip and len(self._buffer) >= _FIXED:
            order = _order(self._buffer[0])
            body_length, fields_length = (struct.unpack_from(f"{order}I", self._buffer, at)[0] for at in (4, 12))
            head_length = _aligned(_FIXED + fields_length, 8)
            length = head_length + body_length
            if length > _IMPOSSIBLE:
                raise NotDBusError(f"a message of {length} bytes")
            kept = length if length <= LONGEST else head_length
            if kept > LONGEST:  # the header alone: nobody could be told, it names the sender
                self._drop(length)
                continue
            if len(self._buffer) < kept:
                return None
            head, body = bytes(self._buffer[:head_length]), bytes(self._buffer[head_length:kept])
            self._drop(length)
            if (message := _parse(head, fields_length, order, body, kept < length)) is not None:
                return message
        return None

    def _drop(self, length: int) -> None:
        self._skip = max(0, length - len(self._buffer))
        del self._buffer[:length]


def _order(first: int) -> str:
    if first == 0x6C:
        return "<"
    if first == 0x42:
        return ">"
    raise NotDBusError(f"a message that begins with {first:#x}")


def _parse(head: bytes, length: int, order: str, body: bytes, is_long: bool) -> Incoming | None:
    """The message, or None when its header makes no sense."""
    try:
        found = dict(_fields(head, _FIXED + length, order))
    except (IndexError, struct.error, ValueError):
        return None
    return Incoming(
        kind=head[1],
        flags=head[2],
        serial=struct.unpack_from(f"{order}I", head, 8)[0],
        path=found.get(_PATH, ""),
        interface=found.get(_INTERFACE, ""),
        member=found.get(_MEMBER, ""),
        error=found.get(_ERROR_NAME, ""),
        reply_to=found.get(_REPLY_SERIAL, 0),
        sender=found.get(_SENDER, ""),
        signature=found.get(_SIGNATURE, ""),
        body=body,
        order=order,
        is_long=is_long,
    )


def _fields(head: bytes, end: int, order: str) -> list[tuple[int, Any]]:
    fields: list[tuple[int, Any]] = []
    at = _FIXED
    while at < end:
        at = _aligned(at, 8)
        code, kind, at = head[at], head[at + 1 : at + 4], at + 4
        value: str | int
        if kind in (b"\1s\0", b"\1o\0"):
            value, at = _text(head, at, order)
        elif kind == b"\1g\0":
            value, at = head[at + 1 : at + 1 + head[at]].decode("ascii"), at + head[at] + 2
        elif kind == b"\1u\0":
            value, at = struct.unpack_from(f"{order}I", head, at)[0], at + 4
        else:
            raise ValueError(f"a header field of type {kind!r}")
        fields.append((code, value))
    return fields


def _text(data: bytes, at: int, order: str) -> tuple[str, int]:
    length = struct.unpack_from(f"{order}I", data, at)[0]
    end = at + 4 + length
    if end >= len(data):
        raise ValueError("a string that ends after its message")
    return data[at + 4 : end].decode(), end + 1


def _aligned(at: int, to: int) -> int:
    return (at + to - 1) & -to


def message(
    kind: int,
    serial: int,
    *,
    path: str = "",
    interface: str = "",
    member: str = "",
    error: str = "",
    reply_to: int = 0,
    destination: str = "",
    signature: str = "",
    body: bytes = b"",
    flags: int = 0,
) -> bytes:
    """A whole message around a marshalled *body*."""
    fields: list[tuple[int, str, str | int]] = [
        (_PATH, "o", path),
        (_INTERFACE, "s", interface),
        (_MEMBER, "s", member),
        (_ERROR_NAME, "s", error),
        (_REPLY_SERIAL, "u", reply_to),
        (_DESTINATION, "s", destination),
        (_SIGNATURE, "g", signature),
    ]
    present = [[code, Variant(kind_of, value)] for code, kind_of, value in fields if value]
    head = marshal("yyyyuua(yv)", 0x6C, kind, flags, 1, len(body), serial, present)
    return head + bytes(-len(head) % 8) + body


def marshal(signature: str, *values: Any) -> bytes:
    """The body of a message. Raises dbus-next's SignatureBodyMismatchError for values that do not fit *signature*."""
    return bytes(Marshaller(signature, list(values)).marshall())


class Body(bytearray):
    """A body put together of parts that were marshalled before.

    Elements of 'a{..}' begin at multiples of eight bytes wherever they stand, so that one that was made once fits into
    any message.
    """

    def text(self, value: str) -> Body:
        """Append an 's' or 'o'."""
        self.align(4)
        data = value.encode()
        self.extend(struct.pack("<I", len(data)) + data + b"\0")
        return self

    def array(self, elements: Iterable[bytes]) -> Body:
        """Append an 'a{..}' of marshalled *elements*. Padding between them counts, that behind the last does not."""
        self.align(4)
        at = len(self)
        self.extend(bytes(4))
        self.align(8)
        begin = len(self)
        for element in elements:
            self.align(8)
            self.extend(element)
        struct.pack_into("<I", self, at, len(self) - begin)
        return self

    def no_strings(self) -> Body:
        """Append an empty 'as'."""
        self.align(4)
        self.extend(bytes(4))
        return self

    def align(self, to: int) -> None:
        """Append zeros up to the next multiple of *to*."""
        self.extend(bytes(-len(self) % to))


def marshal_variant(signature: str, value: Any) -> bytes:
    """The body of a message that is one variant."""
    return marshal("v", Variant(signature, value))


def entry(name: str, signature: str, value: Any) -> bytes:
    """One element of an 'a{sv}'."""
    return marshal("a{sv}", {name: Variant(signature, value)})[8:]


def clean(text: str, longest: int = 4096) -> str:
    """*text* as a D-Bus string can hold it: without NUL and lone surrogates, for which the bus would hang up on us."""
    shown = text if len(text) <= longest else text[:longest] + "…"
    return shown.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
