"""What a name in a layer's tar means: a path to make, a whiteout, or something to refuse. Pure.

Names follow the OCI image specification (layer.md): ``.wh.NAME`` hides NAME of the layers below, ``.wh..wh..opq`` hides
everything its directory has below. Absolute names are taken relative, as docker and podman do; '..' is refused,
wherever it would lead. Both ways to make a layer ready (`layers`) ask here, so an image is refused on every host or
on none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from supervisor.errors import UserError

_WHITEOUT = ".wh."
_META = ".wh..wh."
_OPAQUE = ".wh..wh..opq"
_MAX_COMPONENT = 255


class Action(Enum):
    MAKE = "make"
    HIDE = "hide"
    """Whiteout: *path* of the layers below is gone."""
    OPAQUE = "opaque"
    """Everything the layers below have in directory *path* is gone."""
    SKIP = "skip"
    """aufs's own bookkeeping (.wh..wh.plnk and the like), never part of an image."""


@dataclass(frozen=True, slots=True)
class Step:
    """*path* is relative, without '.' and '..'; '' is the root of the layer."""

    action: Action
    path: str


def step(name: str) -> Step:
    """What the member *name* asks for. Raises `UserError` for a name that no honest tool writes."""
    parts = _parts(name)
    if not parts:
        return Step(Action.MAKE, "")
    if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
        if not _inside_meta(parts):
            _refuse(name, "has a whiteout as directory")
        return Step(Action.SKIP, "/".join(parts))
    last, parent = parts[-1], "/".join(parts[:-1])
    if last == _OPAQUE:
        return Step(Action.OPAQUE, parent)
    if last.startswith(_META):
        return Step(Action.SKIP, "/".join(parts))
    if last.startswith(_WHITEOUT):
        hidden = last[len(_WHITEOUT) :]
        if hidden in ("", ".", ".."):
            _refuse(name, "is a whiteout of its own directory or the one above")
        return Step(Action.HIDE, f"{parent}/{hidden}" if parent else hidden)
    return Step(Action.MAKE, "/".join(parts))


def link_target(name: str, target: str) -> str:
    """The path a hard link *name* points to. Raises `UserError`."""
    parts = _parts(target, f"member '{name}': hard link to ")
    if not parts:
        _refuse(name, "is a hard link to the root directory")
    return "/".join(parts)


def check_attributes(name: str, attributes: Iterable[str]) -> None:
    """Refuse extended attributes that would steer overlayfs. Raises `UserError`."""
    for attribute in attributes:
        if attribute.startswith("trusted."):
            _refuse(name, f"sets the extended attribute {attribute}, which is not allowed in a layer")


def _parts(name: str, what: str = "") -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for part in parts:
        if part == "..":
            raise UserError(f"{what or 'member '}'{name}': has '..' in its path; the image is refused")
        if len(part.encode("utf-8", "surrogateescape")) > _MAX_COMPONENT:
            raise UserError(f"{what or 'member '}'{name[:60]}…': has a name longer than {_MAX_COMPONENT} bytes")
        if "\0" in part:
            raise UserError(f"{what or 'member '}{name!r}: has a NUL character in its name")
    return parts


def _inside_meta(parts: list[str]) -> bool:
    return next(part for part in parts if part.startswith(_WHITEOUT)).startswith(_META)


def _refuse(name: str, why: str) -> NoReturn:
    raise UserError(f"member '{name}': {why}; the image is refused")
