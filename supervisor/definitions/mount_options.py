"""The options of mounts: which there are for each kind, which contradict each other, and why others are refused. Pure.

Follows podman-run(1) and containers/common pkg/parse (ValidateVolumeOpts). An option that changes what the container
would see and cannot be honoured is refused, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from supervisor.definitions import values
from supervisor.errors import UserError

PROPAGATION = values.words("slave private unbindable rslave rprivate runbindable")
_FLAGS = values.words("ro rw nosuid suid nodev dev noexec exec")
_RELABELLED = frozenset({"z", "Z"})
BIND = _FLAGS | PROPAGATION | _RELABELLED | {"bind", "rbind", "U", "O", "idmap"}
VOLUME = _FLAGS | _RELABELLED | {"U", "copy", "nocopy", "O", "idmap"}
IMAGE = frozenset({"ro", "rw"})
_OPPOSITES = (
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("bind", "rbind"),
    ("tmpcopyup", "notmpcopyup"),
    ("copy", "nocopy"),
    ("z", "Z"),
)
#: What a temporary overlay cannot be beside: these change the source, and it is there to leave that as it is.
_NOT_OVERLAID = ("U", "copy", "idmap", "bind", "rbind")
_OVERLAY_VALUES = ("upperdir", "workdir")
_TMPFS_FLAGS = _FLAGS | values.words(
    "noatime atime nodiratime relatime strictatime sync tmpcopyup notmpcopyup noswap"
)
#: Of Docker Desktop, where a directory is shared with a virtual machine; Docker and podman pass over them on Linux.
_MEANINGLESS = frozenset({"consistent", "cached", "delegated"})


def _mode(text: str) -> str:
    if re.fullmatch("[0-7]{3,5}", text):
        return text
    raise UserError(f"{values.short(text)} is not a file mode; write octal digits, like 1777")


def _id(text: str) -> str:
    return str(values.integer(text, 0, 2**32 - 2))


_TMPFS_VALUES: dict[str, Callable[[str], str]] = {
    "size": lambda text: text if re.fullmatch(r"[0-9]{1,3}%", text) else str(values.size(text)),
    "mode": _mode,
    "uid": _id,
    "gid": _id,
    "nr_inodes": lambda text: str(values.size(text)),
    "nr_blocks": lambda text: str(values.size(text)),
}
_DEVPTS_VALUES: dict[str, Callable[[str], str]] = {
    "uid": _id,
    "gid": _id,
    "mode": _mode,
    "ptmxmode": _mode,
    "max": lambda text: str(values.integer(text, 1, 2**20)),
}

_SHARED = "mounts made in the container cannot be seen outside, as its root has a namespace of its own; use rslave"
_REFUSED = {
    "shared": _SHARED,
    "rshared": _SHARED,
    "O": "only --volume and Volume= have it, for a host path or a volume; write Volume=SOURCE:TARGET:O",
    "upperdir": "belongs to a temporary overlay; write O as well",
    "workdir": "belongs to a temporary overlay; write O as well",
    "U": "nobody but the container has files there, and they belong to whom 'uid=' and 'gid=' say",
    "idmap": "a mapping of its own cannot be given; write idmap alone, for the container's",
    "copy": "only a new volume starts with the image's files; give a volume's name as source",
    "nocopy": "nothing is ever copied into what is no volume; remove it",
    "subpath": "only a named volume or an image has one; write Mount=type=volume,source=NAME,subpath=PATH",
    "no-dereference": "a link itself cannot be mounted, only what it leads to; write the path of that",
    "volume-label": "podman has no such label either; write Label= in a .volume file",
    "volume-opt": "belongs to the volume; write Options= in a .volume file",
    "noswap": "only a tmpfs can be kept out of swap",
}


def checked(options: Iterable[str], allowed: frozenset[str]) -> tuple[str, ...]:
    """*options* of a mount that takes *allowed*. Raises `UserError`."""
    words: list[str] = []
    for option in filter(None, options):
        name, equals, value = option.partition("=")
        if equals and name in _OVERLAY_VALUES and "O" in allowed:
            words.append(f"{name}={values.path(value, name)}")
        elif option in allowed:
            words.append(option)
        elif option not in _MEANINGLESS:
            raise UserError(_why_not(option, allowed))
    _check_contradiction(words)
    _check_overlay(words)
    return tuple(words)


def meaningless(options: Iterable[str]) -> tuple[str, ...]:
    """What to say of options that do nothing."""
    found = (option for option in options if option in _MEANINGLESS)
    return tuple(f"option {option} has no effect: files are not shared with a virtual machine here" for option in found)


def tmpfs(options: Iterable[str]) -> tuple[str, ...]:
    """As tmpfs(5) and podman have them."""
    return _valued(options, _TMPFS_FLAGS, _TMPFS_VALUES)


def ramfs(options: Iterable[str]) -> tuple[str, ...]:
    """A ramfs has no limits, and nothing is copied into it."""
    return _valued(options, _FLAGS, {"mode": _mode})


def devpts(options: Iterable[str]) -> tuple[str, ...]:
    """podman-run(1) --mount type=devpts."""
    return _valued(options, frozenset({"newinstance"}), _DEVPTS_VALUES)


def _valued(
    options: Iterable[str], flags: frozenset[str], known: dict[str, Callable[[str], str]]
) -> tuple[str, ...]:
    words: list[str] = []
    for option in options:
        name, equals, value = option.partition("=")
        if equals and name in known:
            words.append(f"{name}={known[name](value)}")
        elif option in flags:
            words.append(option)
        elif option not in _MEANINGLESS:
            raise UserError(_why_not(option, flags | {f"{name}=" for name in known}))
    _check_contradiction(words)
    return tuple(words)


def _why_not(option: str, allowed: frozenset[str]) -> str:
    name = option.partition("=")[0]
    if name in _REFUSED:
        return f"option {name}: {_REFUSED[name]}"
    if name in PROPAGATION | {"bind", "rbind"}:
        return f"option {name} is for bind mounts only; remove it, or give a host path as source"
    return f"{values.short(option)} is no mount option; use {', '.join(sorted(allowed))}"


def _check_contradiction(words: list[str]) -> None:
    for one, other in _OPPOSITES:
        if one in words and other in words:
            raise UserError(f"options {one} and {other} contradict each other; keep one")
    if len(modes := sorted(PROPAGATION.intersection(words))) > 1:
        raise UserError(f"options {' and '.join(modes)} contradict each other; keep one")


def _check_overlay(words: list[str]) -> None:
    given = [name for name in _OVERLAY_VALUES if any(word.startswith(f"{name}=") for word in words)]
    if "O" not in words:
        if given:
            raise UserError(f"option {given[0]}: {_REFUSED[given[0]]}")
        return
    if len(given) == 1:
        raise UserError("an overlay that is kept needs both upperdir= and workdir=, on one file system; write both")
    if wrong := next((word for word in _NOT_OVERLAID if word in words), ""):
        raise UserError(f"options O and {wrong} contradict each other: an overlay leaves its source as it is; keep one")
