"""Who speaks on a stream: what the launcher says about a container, read once, kept in the spool's header. Pure."""

from __future__ import annotations

from supervisor.errors import UserError
from supervisor.names import is_name

#: A hand-over datagram is at most this long; with STREAM= it fits the spool's header.
LONGEST_DATAGRAM = 1536

_KEYS = frozenset(("NAME", "UNIT", "INVOCATION_ID", "IDENTIFIER", "PROJECT", "TTY", "STREAM"))
_HEX = frozenset("0123456789abcdef")


class Source:
    """One stream of one run of a container. Frozen by custom: a plain class, because `dataclasses` costs 10 ms."""

    __slots__ = ("identifier", "invocation", "name", "project", "stream", "terminal", "unit")

    def __init__(
        self, *, name: str, unit: str, invocation: str, identifier: str, project: str, terminal: bool, stream: str
    ) -> None:
        self.name = name
        self.unit = unit
        self.invocation = invocation  #: 32 hexadecimal digits; new at each start
        self.identifier = identifier  #: SYSLOG_IDENTIFIER
        self.project = project  #: empty outside Compose
        self.terminal = terminal  #: one pseudo terminal instead of two pipes
        self.stream = stream  #: 'stdout' or 'stderr'

    def __str__(self) -> str:
        return f"{self.name} {self.stream}"


def parse(datagram: bytes) -> Source:
    """The source a hand-over datagram describes, its stream 'stdout' unless it says STREAM=.

    Raises `UserError` that names the line which is wrong.
    """
    if len(datagram) > LONGEST_DATAGRAM:
        raise UserError(f"hand-over: {len(datagram)} bytes; at most {LONGEST_DATAGRAM} are taken")
    try:
        text = datagram.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"hand-over: not UTF-8 at byte {error.start}") from None
    values: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        key, equals, value = line.partition("=")
        if not equals or key not in _KEYS or key in values:
            raise UserError(f"hand-over: {line[:60]!r} is not one KEY=value line of {', '.join(sorted(_KEYS))}")
        values[key] = value
    return _checked(values)


def _checked(values: dict[str, str]) -> Source:
    for key in ("NAME", "UNIT", "INVOCATION_ID", "IDENTIFIER"):
        if not values.get(key):
            raise UserError(f"hand-over: {key}= is missing")
    if not is_name(values["NAME"]):
        raise UserError(f"hand-over: NAME={values['NAME'][:60]!r} is not a container name")
    if len(values["INVOCATION_ID"]) != 32 or not _HEX.issuperset(values["INVOCATION_ID"]):
        raise UserError(f"hand-over: INVOCATION_ID={values['INVOCATION_ID'][:60]!r} is not 32 hexadecimal digits")
    return Source(
        name=values["NAME"],
        unit=values["UNIT"],
        invocation=values["INVOCATION_ID"],
        identifier=values["IDENTIFIER"],
        project=values.get("PROJECT", ""),
        terminal=values.get("TTY") == "1",
        stream=values.get("STREAM", "stdout"),
    )


def with_stream(datagram: bytes, stream: str) -> bytes:
    """A valid hand-over datagram plus the stream it is kept for: what `parse` reads back after a restart."""
    return datagram.removesuffix(b"\n") + f"\nSTREAM={stream}\n".encode()
