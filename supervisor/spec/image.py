"""What is known of one image: its configuration, its layers, and the two account files rendering needs.

From the OCI image specification (config.md, manifest.md). Digests are written ``sha256:<64 hex>``.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.spec.health import HealthCheck


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The ``config`` object of an OCI image configuration; absent members are empty."""

    user: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_dir: str = ""
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    health: HealthCheck | None = None
    """Docker's HEALTHCHECK, which OCI configurations do not have."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image in the store."""

    id: str
    """Digest of the configuration blob; what docker and podman call the image id."""
    digest: str
    """Digest of the manifest; empty for an image that was imported without one."""
    names: tuple[str, ...]
    """Full references, e.g. ``localhost/web:latest``, sorted."""
    architecture: str
    os: str
    created: str
    """RFC 3339, or empty."""
    size: int
    """Bytes of the uncompressed layers."""
    layers: tuple[str, ...]
    """Diff IDs (digest of the uncompressed tar), lowest first."""
    config: ImageConfig
    passwd: str = ""
    """Text of /etc/passwd as the topmost layer has it; empty when there is none."""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """Where one layer lies on this host, ready to be mounted read-only."""

    kind: str
    """'erofs': *path* is the index, *data* the uncompressed tar it points into. 'directory': *path* is an
    overlayfs lower directory (whiteouts as 0/0 character devices), *data* is empty."""
    path: str
    data: str = ""
