"""What may be mounted into a container: the values of Volume=, Tmpfs= and Mount=, and of `ctrctl run -v`. Pure.

Follows podman-run(1) --volume, --tmpfs and --mount. Each function returns mounts and warnings, or raises `UserError`;
options that change what the container would see and cannot be honoured are refused, never dropped.
"""

from __future__ import annotations

import csv
import dataclasses
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from supervisor.definitions import mount_options, values
from supervisor.errors import UserError
from supervisor.names import check_name
from supervisor.render import masking
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
    """Whether the host knows SELinux labels, enforced or not."""
    names: Mapping[str, str] | None = None
    """What ``data.volume`` stands for: the definitions' file names, and the names of what they define; None on a
    command line, which has none."""
    apparmor: bool = False
    """Whether the host's kernel has AppArmor."""
    references: Mapping[str, str] = field(default_factory=dict)
    """What ``web.image`` and ``web.build`` beside this definition stand for: the images that containers run."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount and what its author should know about it."""

    mount: Mount
    warnings: tuple[str, ...] = ()


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
    words = mount_options.tmpfs(option for option in options.split(",") if option)
    return Mounted(Mount(MountType.TMPFS, _target(target), "", words))


def mount(text: str, place: Place) -> Mounted:
    """``type=KIND,source=...,target=...,OPTIONS``, comma-separated; without a type it is a volume."""
    try:
        # strict: an unbalanced quote is an error rather than part of the value.
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UserError(f"{values.short(text)} is not a list of comma-separated values: {error}") from error
    given = {"type": "volume", "source": "", "target": "", "subpath": ""}
    options: list[str] = []
    for word in rows[0] if rows else []:
        name, equals, value = word.partition("=")
        if (member := _MEMBERS.get(name, name)) in given:
            given[member] = value
        elif name != "consistency":  # of Docker Desktop; podman passes over it
            options += _mount_option(name, value if equals else None)
    if not given["target"] and given["type"] != "glob":
        raise UserError(f"{values.short(text)} says not where to mount; add target=/PATH")
    asked = _Asked(**given, options=tuple(options))
    if asked.type not in _KINDS:
        raise UserError(f"mounts of type {values.short(asked.type)} are not supported; use {', '.join(sorted(_KINDS))}")
    if asked.subpath and asked.type not in ("volume", "image"):
        raise UserError("option subpath: only a named volume or an image has one; remove it")
    return _KINDS[asked.type](asked, place)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The value of a Mount=, taken apart; texts are empty where nothing was written."""

    type: str
    source: str
    target: str
    subpath: str
    options: tuple[str, ...]

    def no_source(self) -> None:
        if self.source:
            raise UserError(f"a {self.type} has no source; remove source=")


def _bind(asked: _Asked, place: Place) -> Mounted:
    source = asked.source or asked.target
    if not source.startswith(("/", ".")):
        raise UserError(
            f"the source {values.short(source)} of a bind mount is not a path; begin it with '/' or './'"
        )
    return _sourced(source, asked.target, asked.options, place, mount_options.BIND - {"O"})


def _named(asked: _Asked, place: Place) -> Mounted:
    if not asked.source:
        if asked.subpath:
            raise UserError("a volume that nobody named has no subpath; give it a name with source=NAME")
        found = volume(asked.target, place)
        words = mount_options.checked(asked.options, mount_options.VOLUME - {"O"})
        return Mounted(dataclasses.replace(found.mount, options=words), found.warnings)
    if asked.source.startswith(("/", ".")):
        raise UserError(
            f"the source {values.short(asked.source)} of a volume is a path; write type=bind, or the volume's name"
        )
    found = _sourced(asked.source, asked.target, asked.options, place, mount_options.VOLUME - {"O"})
    if not asked.subpath:
        return found
    options = (*found.mount.options, f"subpath={_subpath(asked.subpath)}")
    return Mounted(dataclasses.replace(found.mount, options=options), found.warnings)


def _image(asked: _Asked, place: Place) -> Mounted:
    """Read-only, unless ``rw`` is written; what is written then is thrown away with the container."""
    if not asked.source:
        raise UserError("an image mount needs a source; add source=IMAGE")
    options = tuple(option for option in asked.options if option != "idmap")  # always with the container's users
    words = mount_options.checked(options, mount_options.IMAGE)
    if asked.subpath:  # podman wants it absolute here, docker relative
        words += (f"subpath={_subpath(asked.subpath.lstrip('/'))}",)
    return Mounted(Mount(MountType.IMAGE, _target(asked.target), _reference(asked.source, place), words))


def _glob(asked: _Asked, place: Place) -> Mounted:
    """Each path that matches when the container is deployed, in the directory *target*, or where it is on the host."""
    if not asked.source.startswith(("/", ".")):
        raise UserError(f"the source {values.short(asked.source)} is not a pattern of paths; begin it with '/' or './'")
    pattern = values.path(posixpath.join(place.directory, asked.source), "source")
    masking.matches(pattern, "/")
    if not set(pattern) & set("*?[\\"):
        raise UserError(f"the source {values.short(pattern)} is no pattern of paths; use type=bind, or add a '*'")
    target = _target(asked.target) if asked.target else ""
    words = mount_options.checked(asked.options, mount_options.BIND - {"O"})
    return Mounted(Mount(MountType.GLOB, target, pattern, words))


def _tmpfs(asked: _Asked, _: Place) -> Mounted:
    asked.no_source()
    return Mounted(Mount(MountType.TMPFS, _target(asked.target), "", mount_options.tmpfs(asked.options)))


def _ramfs(asked: _Asked, _: Place) -> Mounted:
    asked.no_source()
    return Mounted(Mount(MountType.RAMFS, _target(asked.target), "", mount_options.ramfs(asked.options)))


def _devpts(asked: _Asked, _: Place) -> Mounted:
    asked.no_source()
    return Mounted(Mount(MountType.DEVPTS, _target(asked.target), "", mount_options.devpts(asked.options)))


_KINDS: dict[str, Callable[[_Asked, Place], Mounted]] = {
    "bind": _bind,
    "devpts": _devpts,
    "glob": _glob,
    "image": _image,
    "ramfs": _ramfs,
    "tmpfs": _tmpfs,
    "volume": _named,
}


def _subpath(text: str) -> str:
    """A directory inside a volume: relative, and never out of it."""
    values.check_text(text, "the subpath")
    path = posixpath.normpath(text)
    if not text or text.startswith("/") or path == "." or ".." in text.split("/"):
        raise UserError(f"the subpath {values.short(text)} is no place in a volume; write a relative path without '..'")
    return path


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


def _sourced(
    source: str, target: str, options: Iterable[str], place: Place, allowed: frozenset[str] | None = None
) -> Mounted:
    """A bind mount or a named volume; *allowed*: instead of all options that it may have."""
    given = tuple(options)
    said = mount_options.meaningless(given)
    if source.startswith(("/", ".")):
        base = source if source.startswith("/") else posixpath.join(place.directory, source)
        words = mount_options.checked(given, allowed or mount_options.BIND)
        return Mounted(Mount(MountType.BIND, _target(target), values.path(base, "source"), words), said)
    if source.endswith(".volume"):
        source = _defined(source, target, place)
    elif source.endswith(".image"):
        raise UserError(
            f"{values.short(source)} is no volume; write Mount=type=image,source={source},destination={target}"
        )
    if not source:
        raise UserError("the source is empty; write a path, a volume's name, or TARGET alone")
    if "/" in source:
        raise UserError(
            f"the source {values.short(source)} is neither a path nor a name; begin a path with '/' or './'"
        )
    words = mount_options.checked(given, allowed or mount_options.VOLUME)
    return Mounted(Mount(MountType.VOLUME, _target(target), check_name(source, "volume name"), words), said)


def _reference(text: str, place: Place) -> str:
    """The image that *text* names, or that the definition of that name beside this one gives."""
    if text.endswith((".image", ".build")):
        if text not in place.references:
            raise UserError(f"there is no valid {text} beside this definition; add it, or write the image's name")
        return place.references[text]
    return values.image(text)


def _defined(file: str, target: str, place: Place) -> str:
    """The name of the volume that the definition *file* defines."""
    if place.names is None:
        stem = file.removesuffix(".volume")
        raise UserError(f"{values.short(file)} is a file's name; write the volume's, like {stem}:{target}")
    if file in place.names:
        return place.names[file]
    raise UserError(f"there is no valid {file} beside this definition; add it, or write the volume's name")


def rootfs(text: str) -> tuple[str | None, bool]:
    """``DIRECTORY[:OPTIONS]`` of a root file system (podman-run(1) --rootfs), and whether what the container changes in
    it is thrown away. ``idmap`` adds nothing: with users of its own a container's root is always mapped."""
    path, _, given = text.partition(":")
    options = given.split(",") if given else []
    if unknown := next((option for option in options if option not in ("O", "idmap")), ""):
        raise UserError(f"{values.short(unknown)} is no option of a root file system; write O or idmap")
    directory = values.path(path, "directory")
    if directory == "/":
        raise UserError("'/' is the host's own root; write the directory of another one")
    return directory, "O" in options


def _target(text: str) -> str:
    target = values.path(text, "target")
    if target == "/":
        raise UserError("the target '/' is the container's root; set the root with Image= or Rootfs=")
    if target == "/proc" or target.startswith("/proc/"):
        raise UserError(f"the target {target} lies in /proc, where nothing may be mounted; choose another path")
    return target
