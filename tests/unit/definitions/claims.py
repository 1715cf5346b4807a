"""Claims that example definitions carry in comments: read, and evaluated against what was compiled.

The form of ``# expect:`` lines is explained in tests/examples/quadlet/README.md. This module knows no example by name.
"""

from __future__ import annotations

import ast
from enum import Enum
from pathlib import Path

from supervisor.spec.container import Entry, ScopeProperty


def claims(path: Path, word: str = "expect") -> list[str]:
    """What stands after ``# WORD:`` in the lines of the file *path*."""
    lines = path.read_text().splitlines()
    return [line.removeprefix(f"# {word}:").strip() for line in lines if line.startswith(f"# {word}:")]


def evaluate(node: ast.expr, subject: object) -> object:
    """The value of a path like ``unit.service["Restart"]`` below *subject*."""
    if isinstance(node, ast.Name):
        return plain(getattr(subject, node.id))
    if isinstance(node, ast.Attribute):
        return plain(getattr(evaluate(node.value, subject), node.attr))
    assert isinstance(node, ast.Subscript), f"{ast.unparse(node)} is no path"
    found, index = evaluate(node.value, subject), ast.literal_eval(node.slice)
    assert isinstance(found, tuple)
    return found[index] if isinstance(index, int) else named(found)[index]


def plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def named(items: tuple[object, ...]) -> dict[str, object]:
    """Pairs, entries and properties by name."""
    found: dict[str, object] = {}
    for item in items:
        if isinstance(item, Entry):
            found[item.key] = item.value
        elif isinstance(item, ScopeProperty):
            found[item.name] = item.value
        else:
            assert isinstance(item, tuple)
            found[item[0]] = item[1]
    return found
