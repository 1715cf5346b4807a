"""Frozen dataclasses to JSON and back, driven by their annotations.

Knows exactly the types `supervisor.spec` uses: str, int, float, bool, None, enums, homogeneous and
fixed-length tuples, nested dataclasses and unions with None. Values at their default are left out, so a
stored spec stays readable and survives new fields; an unknown or mistyped member is an error that names its path.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from enum import Enum
from typing import Any, TypeVar

from supervisor.errors import UserError

T = TypeVar("T")


def dumps(value: object) -> str:
    """*value* (a dataclass instance) as indented JSON text with a final newline."""
    return json.dumps(_encode(value), indent=1, ensure_ascii=False) + "\n"


def line(value: object) -> str:
    """*value* as JSON on one line, without a final newline."""
    return json.dumps(_encode(value), separators=(",", ":"), ensure_ascii=False)


def loads(kind: type[T], text: str) -> T:
    """Inverse of `dumps`. Raises `UserError` naming the member that does not fit *kind*."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise UserError(f"{kind.__name__}: not JSON: {error}") from error
    return typing.cast(T, _decode(kind, raw, kind.__name__))


def _encode(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _encode(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if getattr(value, f.name) != _default(f)
        }
    return value


def _default(f: dataclasses.Field[Any]) -> object:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def _decode(kind: Any, raw: Any, path: str) -> object:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return None if raw is None else _decode(typing.get_args(kind)[0], raw, path)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), raw, path)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(kind, raw, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(raw)
        except ValueError as error:
            raise UserError(f"{path}: {raw!r} is not one of {', '.join(str(m.value) for m in kind)}") from error
    if kind is float and type(raw) is int:
        return float(raw)
    if type(raw) is not kind:
        raise UserError(f"{path}: {raw!r} is not a {kind.__name__}")
    return raw


def _decode_tuple(items: tuple[Any, ...], raw: Any, path: str) -> tuple[object, ...]:
    if not isinstance(raw, list):
        raise UserError(f"{path}: {raw!r} is not a list")
    if items[-1] is Ellipsis:
        return tuple(_decode(items[0], item, f"{path}[{i}]") for i, item in enumerate(raw))
    if len(raw) != len(items):
        raise UserError(f"{path}: has {len(raw)} members; {len(items)} are needed")
    return tuple(_decode(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(items, raw, strict=True)))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode_dataclass(kind: type, raw: Any, path: str) -> object:
    if not isinstance(raw, dict):
        raise UserError(f"{path}: {raw!r} is not an object")
    hints = _hints(kind)
    if unknown := sorted(set(raw) - set(hints)):
        raise UserError(f"{path}: unknown member {unknown[0]!r}")
    try:
        return kind(**{name: _decode(hints[name], item, f"{path}.{name}") for name, item in raw.items()})
    except TypeError as error:
        raise UserError(f"{path}: {error}") from error
