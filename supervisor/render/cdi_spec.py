"""A file of the Container Device Interface (cncf-tags/container-device-interface, SPEC.md 1.1.0), read. Pure.

Strict, as the interface's own reader is: a member that nobody knows is a mistake, for a device that is given in part
may be worse than none. Every error names the place in the document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from supervisor.documents.load import load
from supervisor.documents.value import Value

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0", "1.1.1")
#: cdi, parser.go.
_KIND = re.compile(r"[A-Za-z]([\w.-]*[A-Za-z0-9])?/[A-Za-z]([\w.-]*[A-Za-z0-9])?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?", re.ASCII)
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


def parse(path: str, text: str) -> Specification:
    """The specification in the file *path*, JSON or YAML by its name. Raises `UserError` with file, line and place."""
    top = load(path, text).members("cdiVersion kind annotations devices containerEdits")
    version = top["cdiVersion"].text().removeprefix("v")
    if version not in VERSIONS:
        raise top["cdiVersion"].error(f"'{version}' is not known to this version of ctr; it reads up to {VERSIONS[-1]}")
    kind = top["kind"].text()
    if not _KIND.fullmatch(kind):
        raise top["kind"].error(f"'{kind}' is not VENDOR/CLASS of letters, digits, '.', '-' and '_'")
    devices: dict[str, Edits] = {}
    for item in top["devices"].items():
        device = item.members("name annotations containerEdits")
        name = device["name"].text()
        if not _NAME.fullmatch(name):
            raise device["name"].error(f"'{name}' is not a name of letters, digits, '.', '-', '_' and ':'")
        if name in devices:
            raise device["name"].error(f"'{name}' is there twice")
        devices[name] = _edits(device.get("containerEdits"))
    if not devices:
        raise top["devices"].error("is empty")
    return Specification(kind, _edits(top.get("containerEdits")), tuple(devices.items()))


def _edits(value: Value | None) -> Edits:
    if value is None:
        return Edits()
    found = value.members("env deviceNodes netDevices mounts hooks additionalGids intelRdt")
    for name, reason in (
        ("netDevices", "network interfaces are not moved into containers"),
        ("intelRdt", "caches are not divided among containers"),
    ):
        unable = found.get(name)
        if unable and unable.node.value:
            raise unable.error(f"{reason} by ctr; generate the file without it")
    groups = (_group(item) for item in found.items("additionalGids"))
    return Edits(
        tuple(_variable(item) for item in found.items("env")),
        tuple(_node(item) for item in found.items("deviceNodes")),
        tuple(_mount(item) for item in found.items("mounts")),
        tuple(_hook(item) for item in found.items("hooks")),
        tuple(group for group in groups if group),  # "values of 0 are ignored"
    )


def _variable(item: Value) -> tuple[str, str]:
    text = item.text()
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise item.error(f"'{text}' is not NAME=VALUE")
    return name, value


def _path(value: Value) -> str:
    path = value.text()
    if not path.startswith("/"):
        raise value.error("is not an absolute path")
    return path


def _node(item: Value) -> NodeEdit:
    node = item.members("path hostPath type major minor fileMode permissions uid gid")
    kind, access = node.text("type", ""), node.text("permissions", "") or "rwm"
    if kind not in ("", "b", "c", "u", "p") or not set(access) <= set("rwm"):
        raise item.error(f"type '{kind}' and permissions '{access}' are not those of a device node")
    path = _path(node["path"])
    return NodeEdit(
        path,
        _path(node["hostPath"]) if node.text("hostPath", "") else path,
        "c" if kind == "u" else kind,
        node.number("major"),
        node.number("minor"),
        node.number("fileMode", octal=True),
        node.number("uid"),
        node.number("gid"),
        access,
    )


def _mount(item: Value) -> MountEdit:
    mount = item.members("hostPath containerPath options type")
    return MountEdit(
        _path(mount["hostPath"]), _path(mount["containerPath"]), mount.text("type", ""), mount.texts("options")
    )


def _hook(item: Value) -> HookEdit:
    hook = item.members("hookName path args env timeout")
    when = hook["hookName"].text()
    if when not in HOOKS:
        raise hook["hookName"].error(f"'{when}' is not one of {', '.join(HOOKS)}")
    return HookEdit(when, _path(hook["path"]), hook.texts("args"), hook.texts("env"), hook.number("timeout"))


def _group(item: Value) -> int:
    group = item.number()
    if group == 2**32 - 1:
        raise item.error("is not a group's number")
    return group
