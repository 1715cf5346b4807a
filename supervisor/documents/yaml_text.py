"""YAML, from the parser's events to nodes with lines. Owns which of YAML we read; a word that YAML 1.1 and 1.2 read
differently is for who asks for the value to judge (`supervisor.documents.value`).

PyYAML parses, in C where libyaml is there, and makes no objects: tags that would are refused here, as are keys that are
not texts or come twice. What aliases stand for is counted each time, so that no short text becomes a long document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import yaml
from yaml import events

from supervisor.documents.value import Node, kind
from supervisor.errors import UserError

#: A host with eight cards cut into seven parts each has 2,000.
VALUES_MAX = 100_000
DEPTH_MAX = 100

_TAG = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
#: YAML 1.1; to 1.2 only the first are more than words.
_TRUE = frozenset({"true", "True", "TRUE", "on", "On", "ON", "yes", "Yes", "YES", "y", "Y"})
_FALSE = frozenset({"false", "False", "FALSE", "off", "Off", "OFF", "no", "No", "NO", "n", "N"})
#: Numbers of more digits are texts; those with a colon or an underscore, and dates, are so in YAML 1.2.
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_OCTAL = re.compile(r"[-+]?0o?[0-7]{1,30}")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F]{1,30}")
_FLOAT = re.compile(r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")


class UnreadableError(UserError):
    """This is not YAML, or not of the kind that we read."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read(text: str) -> Node:
    """The only document in *text*; null when it is empty. Raises `UnreadableError`."""
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise UnreadableError(line, f"YAML does not allow the character {odd.group()!r}")
    try:
        return _Reader(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))).document()
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(*_told(error, len(text.splitlines()))) from error


def _told(error: yaml.MarkedYAMLError, lines: int) -> tuple[int, str]:
    """Where the parser noticed it, which may be behind the last of all *lines*, and what."""
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1, lines or 1) if mark else 1
    begun = error.context_mark.line + 1 if error.context_mark else line
    context = error.context if begun >= line else f"{error.context}, from line {begun} on"
    return line, ": ".join(filter(None, (context, error.problem))) or "is not YAML"


class _Reader:
    """Goes through the events once."""

    def __init__(self, stream: Iterator[events.Event]) -> None:
        self._stream = stream
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        """With how many values each holds; None while it is being read."""
        self._values = 0
        self._depth = 0

    def document(self) -> Node:
        next(self._stream)  # the beginning of the stream
        if isinstance(next(self._stream), events.StreamEndEvent):
            return Node(None, 1)
        found = self._value(next(self._stream))
        next(self._stream)  # the end of the document
        after = next(self._stream)
        if not isinstance(after, events.StreamEndEvent):
            raise UnreadableError(_line(after), "a second document begins here; put it into a file of its own")
        return found

    def _value(self, event: events.Event) -> Node:
        if isinstance(event, events.AliasEvent):
            return self._aliased(event)
        assert isinstance(event, events.NodeEvent)
        before = self._values
        self._count(1, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        found = self._anything(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = found, self._values - before
        return found

    def _anything(self, event: events.NodeEvent) -> Node:
        if isinstance(event, events.ScalarEvent):
            return _scalar(event)
        assert isinstance(event, events.CollectionStartEvent)
        _check_tag(event, event.tag, "map" if isinstance(event, events.MappingStartEvent) else "seq")
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise UnreadableError(_line(event), f"is nested deeper than {DEPTH_MAX} times")
        found = self._mapping(event) if isinstance(event, events.MappingStartEvent) else self._sequence(event)
        self._depth -= 1
        return found

    def _sequence(self, start: events.Event) -> Node:
        items = []
        while not isinstance(event := next(self._stream), events.SequenceEndEvent):
            items.append(self._value(event))
        return Node(tuple(items), _line(start))

    def _mapping(self, start: events.Event) -> Node:
        found: dict[str, Node] = {}
        merged: dict[str, Node] | None = None
        while not isinstance(event := next(self._stream), events.MappingEndEvent):
            line = _line(event)
            if _is_merge(event) and merged is None:
                merged = self._merged(self._value(next(self._stream)), line)
                continue
            key = _key(event)
            if key in found:
                raise UnreadableError(line, f"'{key}' is there twice, first in line {found[key].line}")
            found[key] = replace(self._value(next(self._stream)), line=line)
        return Node((merged or {}) | found, _line(start))

    def _merged(self, node: Node, line: int) -> dict[str, Node]:
        """What ``<<`` brings; of several mappings the first wins, and over all of them the mapping's own members
        (YAML's language-independent type "merge")."""
        found: dict[str, Node] = {}
        for one in node.value if isinstance(node.value, tuple) else (node,):
            if not isinstance(one.value, dict):
                raise UnreadableError(line, "'<<' takes a mapping, or a list of them; put it in quotes if it is a name")
            found = one.value | found
        return found

    def _aliased(self, event: events.AliasEvent) -> Node:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            reason = "is part of what it stands for" if event.anchor in self._anchors else "stands for nothing"
            raise UnreadableError(_line(event), f"*{event.anchor} {reason}")
        node, values = known
        self._count(values, event)
        return replace(node, line=_line(event))

    def _count(self, values: int, event: events.Event) -> None:
        self._values += values
        if self._values > VALUES_MAX:
            raise UnreadableError(_line(event), f"holds more than {VALUES_MAX} values, with what its aliases stand for")


def _scalar(event: events.ScalarEvent) -> Node:
    _check_tag(event, event.tag, "str")
    if event.tag is not None or not event.implicit[0]:
        return Node(event.value, _line(event))
    value = _plain(event.value)
    return Node(value, _line(event), "" if isinstance(value, str) else event.value)


def _plain(text: str) -> str | int | float | bool | None:
    """Of a word without quotes and tag."""
    found: str | int | float | bool | None = text
    if text in _NULL:
        found = None
    elif text in _TRUE or text in _FALSE:
        found = text in _TRUE
    elif _DECIMAL.fullmatch(text):
        found = int(text)
    elif _OCTAL.fullmatch(text):
        found = int(text.replace("o", ""), 8)
    elif _HEXADECIMAL.fullmatch(text):
        found = int(text, 16)
    elif _FLOAT.fullmatch(text):
        found = float(text)
    return found


def _is_merge(event: events.Event) -> bool:
    return isinstance(event, events.ScalarEvent) and event.value == "<<" and event.implicit[0] and event.tag is None


def _key(event: events.Event) -> str:
    if not isinstance(event, events.ScalarEvent):
        raise UnreadableError(_line(event), "a key is not a text; only those are read")
    node = _scalar(event)
    if not isinstance(node.value, str):
        raise UnreadableError(node.line, f"the key '{event.value}' is {kind(node.value)} in YAML; put it in quotes")
    return node.value


def _check_tag(event: events.Event, tag: str | None, name: str) -> None:
    if tag not in (None, "!", _TAG + name):
        advice = "leave it out, and put the value in quotes if it is a text"
        raise UnreadableError(_line(event), f"the tag {tag.replace(_TAG, '!!')} is not read; {advice}")


def _line(event: events.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
