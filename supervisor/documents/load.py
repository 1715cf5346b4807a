"""Reads a document, JSON or YAML by the name of its file: one in a file, and no key twice."""

from __future__ import annotations

import json

from supervisor.documents.value import Node, Value
from supervisor.errors import HostError, UserError
from supervisor.packages import require

YAML = (".yaml", ".yml")


def load(path: str, text: str) -> Value:
    """The document in the file *path*. Raises `UserError`."""
    return Value(_yaml(path, text) if path.endswith(YAML) else _json(path, text), path)


def _json(path: str, text: str) -> Node:
    try:
        return _node(json.loads(text, object_pairs_hook=_members))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: cannot be read: {error.msg.lower()}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in found if names.count(name) > 1)}' is there twice")
    return found


def _node(value: object) -> Node:
    if isinstance(value, dict):
        return Node({name: _node(member) for name, member in value.items()})
    if isinstance(value, list):
        return Node(tuple(map(_node, value)))
    assert value is None or isinstance(value, str | int | float)  # json knows no others
    return Node(value)


def _yaml(path: str, text: str) -> Node:
    """Only who has such a file pays for the parser."""
    try:
        require("yaml", "python3-yaml")
    except HostError as error:
        raise UserError(f"{path}: is YAML, and {error}") from error
    from supervisor.documents import yaml_text

    try:
        return yaml_text.read(text)
    except yaml_text.UnreadableError as error:
        raise UserError(f"{path}:{error.line}: cannot be read: {error}") from error
