"""Volumes that nobody named. Pure."""

from __future__ import annotations

import hashlib

from supervisor.spec.container import Container, MountType


def anonymous(container: str, target: str) -> str:
    """The name of the volume that *container* gets at *target* when its author names none: always the same, so that it
    survives a new deployment."""
    digest = hashlib.sha256(f"{container}\0{target}".encode()).hexdigest()[:12]
    return f"{container[:100]}-{digest}"


def anonymous_volumes(container: Container) -> frozenset[str]:
    """Those of *container*'s volumes that go with it on ``rm --volumes``, as docker's and podman's do."""
    mounts = (m for m in container.mounts if m.type is MountType.VOLUME)
    return frozenset(m.source for m in mounts if m.source == anonymous(container.name, m.target))
