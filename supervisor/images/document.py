"""The edge between JSON somebody else wrote and our types: every accessor names the path of what is wrong. Pure."""

from __future__ import annotations

import json
from typing import Any

from supervisor.errors import UserError


class Document:
    """A JSON object at a known place; members are read with the type they must have, absent or null is the default."""

    __slots__ = ("_members", "path")

    def __init__(self, members: Any, path: str) -> None:
        if not isinstance(members, dict):
            raise UserError(f"{path}: is not a JSON object")
        self._members: dict[str, Any] = members
        self.path = path

    @classmethod
    def parse(cls, data: bytes, path: str) -> Document:
        """Raises `UserError` when *data* is not a JSON object in UTF-8."""
        return cls(parse_json(data, path), path)

    def text(self, key: str) -> str:
        return str(self._typed(key, str, ""))

    def number(self, key: str) -> int:
        return int(self._typed(key, int, 0))

    def object(self, key: str) -> Document:
        return Document(self._typed(key, dict, {}), f"{self.path}.{key}")

    def objects(self, key: str) -> tuple[Document, ...]:
        return tuple(Document(item, f"{self.path}.{key}[{i}]") for i, item in enumerate(self._typed(key, list, [])))

    def texts(self, key: str) -> tuple[str, ...]:
        items = self._typed(key, list, [])
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise UserError(f"{self.path}.{key}[{i}]: is not a string")
        return tuple(items)

    def keys(self, key: str) -> tuple[str, ...]:
        """Sorted member names of the object *key* (OCI writes sets that way)."""
        return tuple(sorted(self._typed(key, dict, {})))

    def members(self, key: str) -> dict[str, Any]:
        """The object *key* as it is."""
        return dict(self._typed(key, dict, {}))

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """The object *key* of strings, sorted by name."""
        inner = self.object(key)
        return tuple((name, inner.text(name)) for name in sorted(inner._members))

    def __contains__(self, key: str) -> bool:
        return self._members.get(key) is not None

    def _typed(self, key: str, kind: type, default: Any) -> Any:
        value = self._members.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UserError(f"{self.path}.{key}: is not a JSON {_WORDS[kind]}")
        return value


_WORDS = {str: "string", int: "integer", dict: "object", list: "array"}


def parse_json(data: bytes, path: str) -> Any:
    """*data* as JSON. Raises `UserError` naming *path*."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON: {error}") from error
