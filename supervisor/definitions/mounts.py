"""What may be mounted into a container: the values of Volume=, Tmpfs= and Mount=, and of `ctrctl run -v`. Pure.

Follows podman-run(1) --volume, --tmpfs and --mount. Each function returns mounts and warnings, or raises `UserError`;
options that change what the container would see and cannot be honoured are refused, never dropped.
"""

from __future__ import annotations

import csv
import dataclasses
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.names import check_name
from supervisor.spec.container import Mount, MountType
from supervisor.spec.volumes import anonymous


@dataclass(frozen=True, slots=True)
class Place:
    """What the meaning of a mount depends on."""

    directory: str
    """Absolute directory that './x' is relative to: the definition's, or the working directory of the command."""
    container: str
    """The container's name; an anonymous volume is named after it."""
    selinux: bool = False
    """Whether the host enforces SELinux labels."""
    names: Mapping[str, str] | None = None
    """What ``data.volume`` stands for: the definitions' file names, and the names of what they define; None on a
    command line, which has none."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount and what its author should know about it."""

    mount: Mount
    warnings: tuple[str, ...] = ()


def _mode(text: str) -> str:
    if re.fullmatch("[0-7]{3,5}", text):
        return text
    raise UserError(f"{values.short(text)} is not a file mode; write octal digits, like 1777")


_PROPAGATION = values.words("slave private unbindable rslave rprivate runbindable")
_FLAGS = values.words("ro rw nosuid suid nodev dev noexec exec")
_RELABELLED = frozenset({"z", "Z"})
_BIND = _FLAGS | _PROPAGATION | _RELABELLED | {"bind", "rbind", "U"}
_VOLUME = _FLAGS | _RELABELLED | {"U", "copy", "nocopy"}
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
_TMPFS_FLAGS = _FLAGS | values.words("noatime atime nodiratime relatime strictatime sync tmpcopyup notmpcopyup")
_TMPFS_VALUES: dict[str, Callable[[str], str]] = {
    "size": lambda text: text if re.fullmatch(r"[0-9]{1,3}%", text) else str(values.size(text)),
    "mode": _mode,
    "uid": lambda text: str(values.integer(text, 0, 2**32 - 2)),
    "gid": lambda text: str(values.integer(text, 0, 2**32 - 2)),
    "nr_inodes": lambda text: str(values.size(text)),
    "nr_blocks": lambda text: str(values.size(text)),
}

#: Options of --mount that are booleans: what true and what false mean in the words of --volume.
_BOOLEAN_OPTIONS = {
    "ro": ("ro", "rw"),
    "readonly": ("ro", "rw"),
    "rw": ("rw", "ro"),
    "readwrite": ("rw", "ro"),
    "U": ("U", ""),
    "chown": ("U", ""),
    "bind-nonrecursive": ("bind", ""),
    "volume-nocopy": ("nocopy", ""),
}

#: Other names of the options of --mount that are no mount options.
_MEMBERS = {"src": "source", "destination": "target", "dst": "target", "volume-subpath": "subpath"}

_RELABEL = "relabelling is not supported yet; label the files on the host with chcon(1)"
_SHARED = "mounts made in the container cannot be seen outside, as its root has a namespace of its own; use rslave"
_REFUSED = {
    "shared": _SHARED,
    "rshared": _SHARED,
    "O": "a temporary overlay over the source is not supported yet; mount it read-only with 'ro'",
    "U": "nobody but the container has files there, and they belong to whom 'uid=' and 'gid=' say",
    "noswap": "keeping a tmpfs out of swap is not supported yet; write MemorySwapMax=0 in [Service]",
    "idmap": "ID-mapped mounts are not supported yet; make the files belong to the container's user",
    "copy": "only a new volume starts with the image's files; give a volume's name as source",
    "nocopy": "nothing is ever copied into what is no volume; remove it",
    "subpath": "only a named volume has one; write Mount=type=volume,source=NAME,subpath=PATH",
}


def volume(text: str, place: Place) -> Mounted:
    """``[SOURCE:]TARGET[:OPTIONS]``: '/x' and './x' are host paths, any other source is the name of a volume."""
    parts = text.split(":", 2)
    if len(parts) == 1:
        target = _target(parts[0])
        name = anonymous(place.container, target)
        kept = f"the unnamed volume for {target} is kept as '{name}'; write Volume={name}:{target} to say so"
        return Mounted(Mount(MountType.VOLUME, target, name), (kept,))
    options = parts[2].split(",") if len(parts) == 3 else []
    return _sourced(parts[0], parts[1], options, place)


def tmpfs(text: str) -> Mounted:
    """``PATH[:OPTIONS]``; options as in tmpfs(5)."""
    target, _, options = text.partition(":")
    words = _tmpfs_options(option for option in options.split(",") if option)
    return Mounted(Mount(MountType.TMPFS, _target(target), "", words))


def mount(text: str, place: Place) -> Mounted:
    """``type=bind|volume|tmpfs,source=...,target=...,OPTIONS``, comma-separated; without a type it is a volume."""
    try:
        # strict: an unbalanced quote is an error rather than part of the value.
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UserError(f"{values.short(text)} is not a list of comma-separated values: {error}") from error
    given = {"type": "volume", "source": "", "target": "", "subpath": ""}
    options: list[str] = []
    for field in rows[0] if rows else []:
        name, equals, value = field.partition("=")
        if (member := _MEMBERS.get(name, name)) in given:
            given[member] = value
        else:
            options += _mount_option(name, value if equals else None)
    if not given["target"]:
        raise UserError(f"{values.short(text)} says not where to mount; add target=/PATH")
    return _spelled_out(given["type"], given["source"], given["target"], given["subpath"], options, place)


def _spelled_out(kind: str, source: str, target: str, inside: str, options: list[str], place: Place) -> Mounted:
    if inside and (kind != "volume" or not source):
        raise UserError(f"option subpath: {_REFUSED['subpath']}")
    if kind == "tmpfs":
        if source:
            raise UserError("a tmpfs has no source; remove source=")
        return Mounted(Mount(MountType.TMPFS, _target(target), "", _tmpfs_options(options)))
    if kind not in ("bind", "volume"):
        raise UserError(f"mounts of type {values.short(kind)} are not supported; use bind, volume or tmpfs")
    if kind == "volume" and not source:
        return volume(target, place)
    if (kind == "bind") != source.startswith(("/", ".")):
        raise UserError(_mismatch(kind, source))
    found = _sourced(source, target, options, place)
    if not inside:
        return found
    return Mounted(dataclasses.replace(found.mount, options=(*found.mount.options, f"subpath={_subpath(inside)}")))


def _subpath(text: str) -> str:
    """A directory inside a volume: relative, and never out of it."""
    values.check_text(text, "the subpath")
    path = posixpath.normpath(text)
    if not text or text.startswith("/") or path == "." or ".." in text.split("/"):
        raise UserError(f"the subpath {values.short(text)} is no place in a volume; write a relative path without '..'")
    return path


def _mismatch(kind: str, source: str) -> str:
    if kind == "volume":
        return f"the source {values.short(source)} of a volume is a path; write type=bind, or the volume's name"
    if not source:
        return "a bind mount needs a source; add source=/PATH"
    return f"the source {values.short(source)} of a bind mount is not a path; begin it with '/' or './'"


def _mount_option(name: str, value: str | None) -> list[str]:
    """One option of --mount as the words --volume and --tmpfs use."""
    known = _BOOLEAN_OPTIONS.get(name)
    if known is not None:
        chosen = known[0] if value is None or values.boolean(value) else known[1]
        return [chosen] if chosen else []
    if name == "idmap" and value in ("false", "no", "0"):
        return []
    if name == "bind-propagation" and value:
        return [value]
    if name == "relabel" and value in ("shared", "private"):
        return ["z" if value == "shared" else "Z"]
    if name in ("tmpfs-size", "tmpfs-mode"):
        name = name.removeprefix("tmpfs-")
    return [name if value is None else f"{name}={value}"]


def _sourced(source: str, target: str, options: Iterable[str], place: Place) -> Mounted:
    """A bind mount or a named volume."""
    if source.startswith(("/", ".")):
        base = source if source.startswith("/") else posixpath.join(place.directory, source)
        words = _options(options, _BIND, place)
        return Mounted(Mount(MountType.BIND, _target(target), values.path(base, "source"), words))
    if source.endswith(".volume"):
        source = _defined(source, target, place)
    elif source.endswith(".image"):
        raise UserError(f"{values.short(source)}: mounting an image is not supported yet; write a volume's name")
    if not source:
        raise UserError("the source is empty; write a path, a volume's name, or TARGET alone")
    if "/" in source:
        raise UserError(
            f"the source {values.short(source)} is neither a path nor a name; begin a path with '/' or './'"
        )
    words = _options(options, _VOLUME, place)
    return Mounted(Mount(MountType.VOLUME, _target(target), check_name(source, "volume name"), words))


def _defined(file: str, target: str, place: Place) -> str:
    """The name of the volume that the definition *file* defines."""
    if place.names is None:
        stem = file.removesuffix(".volume")
        raise UserError(f"{values.short(file)} is a file's name; write the volume's, like {stem}:{target}")
    if file in place.names:
        return place.names[file]
    raise UserError(f"there is no valid {file} beside this definition; add it, or write the volume's name")


def _options(options: Iterable[str], allowed: frozenset[str], place: Place) -> tuple[str, ...]:
    words: list[str] = []
    for option in filter(None, options):
        if option not in allowed:
            raise UserError(_why_not(option, allowed))
        if option in _RELABELLED and place.selinux:
            raise UserError(f"option {option}: {_RELABEL}")
        words.append(option)
    _check_contradiction(words)
    return tuple(words)


def _why_not(option: str, allowed: frozenset[str]) -> str:
    name = option.partition("=")[0]
    if name in _REFUSED:
        return f"option {name}: {_REFUSED[name]}"
    if name in _PROPAGATION | {"bind", "rbind"}:
        return f"option {name} is for bind mounts only; remove it, or give a host path as source"
    return f"{values.short(option)} is no mount option; use {', '.join(sorted(allowed))}"


def _check_contradiction(words: list[str]) -> None:
    for one, other in _OPPOSITES:
        if one in words and other in words:
            raise UserError(f"options {one} and {other} contradict each other; keep one")
    if len(modes := sorted(_PROPAGATION.intersection(words))) > 1:
        raise UserError(f"options {' and '.join(modes)} contradict each other; keep one")


def _tmpfs_options(options: Iterable[str]) -> tuple[str, ...]:
    words: list[str] = []
    for option in options:
        name, equals, value = option.partition("=")
        if equals and name in _TMPFS_VALUES:
            words.append(f"{name}={_TMPFS_VALUES[name](value)}")
        elif option in _TMPFS_FLAGS:
            words.append(option)
        else:
            raise UserError(_why_not(option, _TMPFS_FLAGS | {f"{known}=" for known in _TMPFS_VALUES}))
    _check_contradiction(words)
    return tuple(words)


def _target(text: str) -> str:
    target = values.path(text, "target")
    if target == "/":
        raise UserError("the target '/' is the container's root; set the root with Image= or Rootfs=")
    if target == "/proc" or target.startswith("/proc/"):
        raise UserError(f"the target {target} lies in /proc, where nothing may be mounted; choose another path")
    return target
