"""SELinux labels of a container, as podman gives them (opencontainers/selinux, go-selinux/label.InitLabels).

Pure: the policy's contexts come with the facts. podman picks a free pair of categories when a container is created;
here it follows from the name, so that a container keeps its label, and its private files, over every deployment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from supervisor.errors import UserError
from supervisor.render.facts import Selinux
from supervisor.spec.container import Container, Mount, MountType, NamespaceMode

#: The last two are for files of containers without separation (go-selinux, loadLabels).
_CATEGORIES = 1022
_ALL_CATEGORIES = "s0:c1022,c1023"


@dataclass(frozen=True, slots=True)
class Labels:
    """Of one container; empty where the host has no SELinux, or the container no separation."""

    process: str = ""
    files: str = ""
    """Of its root and of every file system that is made for it."""
    shared: str = ""
    """Of what several containers may use: *files* without categories."""


def labels(container: Container, selinux: Selinux | None) -> Labels:
    """A policy without contexts for containers gives them no labels, as with podman. Raises `UserError` for such a one
    when *container* asks for some."""
    wanted = container.security
    asked = wanted.label_type or wanted.label_file_type or wanted.label_level
    if selinux is None or not (asked or (selinux.process and selinux.file)):
        return Labels()
    process, files = _parts(selinux.process, "process"), _parts(selinux.file, "file")
    shares = NamespaceMode.HOST in (container.pid_namespace, container.ipc_namespace)
    if container.privileged or shares or not wanted.label:
        return Labels("", _joined(files[:3], _ALL_CATEGORIES), "")
    file_type = wanted.label_file_type or files[2]
    level = wanted.label_level or (_level(container.name) if process[3] else "")
    return Labels(
        _joined((*process[:2], wanted.label_type or process[2]), level),
        _joined((*files[:2], file_type), level),
        _joined((*files[:2], file_type), level.partition(":")[0]),
    )


def relabelled(mount: Mount, found: Labels) -> str:
    """What the source of *mount* is labelled, '' to leave it: 'Z' is for this container alone, 'z' and every named
    volume for all."""
    if mount.type not in (MountType.BIND, MountType.VOLUME) or not found.process:
        return ""
    if "Z" in mount.options:
        return found.files
    return found.shared if "z" in mount.options or mount.type is MountType.VOLUME else ""


def _level(name: str) -> str:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    first, second = divmod(number % (_CATEGORIES * (_CATEGORIES - 1)), _CATEGORIES - 1)
    second += second >= first  # two different ones
    return "s0:c{},c{}".format(*sorted((first, second)))


def _parts(context: str, what: str) -> tuple[str, str, str, str]:
    parts = context.split(":", 3)
    if len(parts) < 3:
        raise UserError(f"SELinux: the policy has no '{what}' context for containers; install 'container-selinux'")
    return parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else ""


def _joined(parts: tuple[str, ...], level: str) -> str:
    return ":".join((*parts, level)) if level else ":".join(parts)
