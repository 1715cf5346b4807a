"""A file of the Container Device Interface (cncf-tags/container-device-interface, SPEC.md 1.1.0), read. Pure.

Strict, as the interface's own reader is: a member that nobody knows is a mistake, for a device that is given in part
may be worse than none. Every error names the place in the document.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from supervisor.errors import UserError

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0", "1.1.1")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@dataclass(frozen=True, slots=True)
class NodeEdit:
    """A device node: *path* in the container, *host_path* here. What is None is as on the host."""

    path: str
    host_path: str
    type: str
    major: int | None
    minor: int | None
    mode: int | None
    uid: int | None
    gid: int | None
    access: str


@dataclass(frozen=True, slots=True)
class MountEdit:
    source: str
    target: str
    type: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HookEdit:
    """A program of the host that the runtime executes at *when* (runtime-spec, config.md, "POSIX-platform Hooks")."""

    when: str
    path: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    timeout: int | None


@dataclass(frozen=True, slots=True)
class Edits:
    """What becomes of a container that gets a device."""

    environment: tuple[tuple[str, str], ...] = ()
    nodes: tuple[NodeEdit, ...] = ()
    mounts: tuple[MountEdit, ...] = ()
    hooks: tuple[HookEdit, ...] = ()
    groups: tuple[int, ...] = ()

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.environment + other.environment,
            self.nodes + other.nodes,
            self.mounts + other.mounts,
            self.hooks + other.hooks,
            self.groups + other.groups,
        )


@dataclass(frozen=True, slots=True)
class Specification:
    """One file: *edits* come with whichever of its *devices*."""

    kind: str
    edits: Edits
    devices: tuple[tuple[str, Edits], ...]


class _At:
    """An object of the document and its place in it."""

    def __init__(self, value: object, place: str, known: str) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{place or 'the document'}: is not an object")
        self.members: dict[str, Any] = value
        self._place = place
        for name in value:
            if name not in known.split():
                raise UserError(f"{self.where(str(name))}: is not known to this version of ctr")

    def where(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def text(self, name: str, default: str | None = None) -> str:
        value = self.members.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or "\0" in value:
            raise UserError(f"{self.where(name)}: is not a text")
        return value

    def path(self, name: str, default: str | None = None) -> str:
        value = self.text(name, default)
        if not value.startswith("/"):
            raise UserError(f"{self.where(name)}: is not an absolute path")
        return value

    def number(self, name: str) -> int | None:
        value = self.members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise UserError(f"{self.where(name)}: is not a number from 0 to 4294967295")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.items(name)
        if not all(isinstance(item, str) and "\0" not in item for _, item in found):
            raise UserError(f"{self.where(name)}: is not a list of texts")
        return tuple(item for _, item in found)

    def items(self, name: str) -> tuple[tuple[str, Any], ...]:
        """The elements of a list with their places; a list that is missing is empty."""
        value = self.members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise UserError(f"{self.where(name)}: is not a list")
        return tuple((f"{self.where(name)}[{number}]", item) for number, item in enumerate(value))


def parse(path: str, text: str) -> Specification:
    """The specification in the file *path*, JSON or YAML by its name. Raises `UserError`."""
    try:
        document = _yaml(text) if path.endswith((".yaml", ".yml")) else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"cannot be read: {' '.join(str(error).split())}") from error
    top = _At(document, "", "cdiVersion kind annotations devices containerEdits")
    version = top.text("cdiVersion").removeprefix("v")
    if version not in VERSIONS:
        raise UserError(f"cdiVersion: '{version}' is not known to this version of ctr; it reads up to {VERSIONS[-1]}")
    devices = []
    for place, item in top.items("devices"):
        device = _At(item, place, "name annotations containerEdits")
        devices.append((device.text("name"), _edits(device.members.get("containerEdits"), f"{place}.containerEdits")))
    if not devices:
        raise UserError("devices: are missing")
    return Specification(top.text("kind"), _edits(top.members.get("containerEdits"), "containerEdits"), tuple(devices))


def _yaml(text: str) -> object:
    try:
        import yaml
    except ImportError as error:
        advice = "install the package 'python3-yaml', or have it as JSON (nvidia-ctk cdi generate --format=json)"
        raise UserError(f"is YAML, and this host has no parser for that; {advice}") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _edits(value: object, place: str) -> Edits:
    if value is None:
        return Edits()
    found = _At(value, place, "env deviceNodes netDevices mounts hooks additionalGids intelRdt")
    for name, reason in (
        ("netDevices", "network interfaces are not moved into containers"),
        ("intelRdt", "caches are not divided among containers"),
    ):
        if found.members.get(name):
            raise UserError(f"{found.where(name)}: {reason} by ctr; generate the file without it")
    return Edits(
        tuple(_variable(text, found.where("env")) for text in found.texts("env")),
        tuple(_node(item, where) for where, item in found.items("deviceNodes")),
        tuple(_mount(item, where) for where, item in found.items("mounts")),
        tuple(_hook(item, where) for where, item in found.items("hooks")),
        tuple(_group(item, where) for where, item in found.items("additionalGids")),
    )


def _variable(text: str, place: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"{place}: '{text}' is not NAME=VALUE")
    return name, value


def _node(value: object, place: str) -> NodeEdit:
    node = _At(value, place, "path hostPath type major minor fileMode permissions uid gid")
    kind, access = node.text("type", ""), node.text("permissions", "") or "rwm"
    if kind not in ("", "b", "c", "u", "p") or not set(access) <= set("rwm"):
        raise UserError(f"{place}: type '{kind}' and permissions '{access}' are not those of a device node")
    path = node.path("path")
    return NodeEdit(
        path,
        node.path("hostPath", "") if node.members.get("hostPath") else path,
        "c" if kind == "u" else kind,
        node.number("major"),
        node.number("minor"),
        node.number("fileMode"),
        node.number("uid"),
        node.number("gid"),
        access,
    )


def _mount(value: object, place: str) -> MountEdit:
    mount = _At(value, place, "hostPath containerPath options type")
    return MountEdit(
        mount.path("hostPath"), mount.path("containerPath"), mount.text("type", ""), mount.texts("options")
    )


def _hook(value: object, place: str) -> HookEdit:
    hook = _At(value, place, "hookName path args env timeout")
    when = hook.text("hookName")
    if when not in HOOKS:
        raise UserError(f"{place}.hookName: '{when}' is not one of {', '.join(HOOKS)}")
    return HookEdit(when, hook.path("path"), hook.texts("args"), hook.texts("env"), hook.number("timeout"))


def _group(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32 - 1:
        raise UserError(f"{place}: is not a group's number")
    return value
