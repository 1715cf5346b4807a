"""A value of a document and typed access to it. Owns how a mistake is told: file, line, place in the document, reason.
What the members mean is the reader's business.

Types are asked for, not guessed: YAML's plain words are what the reader of that member wants, where that can be told
without doubt, and otherwise a mistake. So a device may be named ``0`` or ``1:30``, as with podman, and not ``on``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.errors import UserError

_NUMBERS = 2**32


@dataclass(frozen=True, slots=True)
class Node:
    """A value as it was read."""

    value: Mapping[str, Node] | tuple[Node, ...] | str | int | float | bool | None
    line: int = 0
    """Of its key where it has one; counted from 1, 0 where it is not known (JSON)."""
    written: str = ""
    """How YAML has it, where *value* is neither a text nor a collection."""


def kind(value: object) -> str:
    """In words, of a plain one that is no text."""
    return "a truth value" if isinstance(value, bool) else "nothing" if value is None else "a number"


@dataclass(frozen=True, slots=True)
class Value:
    """A node, the file it is from and its place there."""

    node: Node
    file: str
    place: str = ""
    """``devices[0].name``; empty for the whole document."""

    def error(self, reason: str) -> UserError:
        """``/etc/cdi/x.yaml:4: devices[0].name: is not a text``, to be raised."""
        where = f"{self.file}:{self.node.line}" if self.node.line else self.file
        return UserError(f"{where}: {self.place or 'the document'}: {reason}")

    def members(self, known: str) -> Members:
        """Of an object, whose members can only be those of *known*, words with spaces between. Raises `UserError`."""
        if not isinstance(self.node.value, Mapping):
            raise self.error("is not an object")
        found = {name: Value(node, self.file, self._below(name)) for name, node in self.node.value.items()}
        for name, value in found.items():
            if name not in known.split():
                raise value.error("is not known to this version of ctr")
        return Members(self, {name: value for name, value in found.items() if value.node.value is not None})

    def items(self) -> tuple[Value, ...]:
        """Of a list. Raises `UserError`."""
        if not isinstance(self.node.value, tuple):
            raise self.error("is not a list")
        return tuple(Value(n, self.file, f"{self.place}[{number}]") for number, n in enumerate(self.node.value))

    def text(self) -> str:
        """A text, or a number as it is written where nobody would write it otherwise. Raises `UserError`."""
        value, written = self.node.value, self.node.written
        if isinstance(value, int) and written == str(value):
            return written
        if not isinstance(value, str):
            why = f": {written} is {kind(value)} in YAML; put it in quotes" if written else ""
            raise self.error(f"is not a text{why}")
        if "\0" in value:
            raise self.error("holds the character 0")
        return value

    def number(self, *, octal: bool = False) -> int:
        """From 0 to 4294967295; *octal* where a leading 0 is how people write it. Raises `UserError`."""
        value, written = self.node.value, self.node.written
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBERS:
            raise self.error(f"is not a number from 0 to {_NUMBERS - 1}")
        if written.startswith("0") and written.isdigit() and value > 7 and not octal:
            raise self.error(f"is octal in YAML: {written} is {value}; write {value}, or {written.lstrip('0')}")
        return value

    def _below(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


@dataclass(frozen=True, slots=True)
class Members:
    """Of an object. One that is null is as one that is missing."""

    whole: Value
    found: Mapping[str, Value]

    def __getitem__(self, name: str) -> Value:
        """Raises `UserError` when it is missing."""
        if name not in self.found:
            node = Node(None, self.whole.node.line)
            raise Value(node, self.whole.file, self.whole._below(name)).error("is missing")
        return self.found[name]

    def get(self, name: str) -> Value | None:
        return self.found.get(name)

    def text(self, name: str, default: str) -> str:
        return self.found[name].text() if name in self.found else default

    def number(self, name: str, *, octal: bool = False) -> int | None:
        return self.found[name].number(octal=octal) if name in self.found else None

    def items(self, name: str) -> tuple[Value, ...]:
        """A list that is missing is empty."""
        return self.found[name].items() if name in self.found else ()

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items(name))
