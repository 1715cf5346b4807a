"""Named volumes: directories below `Layout.volumes` that are kept until they are removed by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume. With *type* or *device* it is a file system that systemd mounts (a mount unit); otherwise a
    directory."""

    name: str
    source: str
    """Where it came from: the definition's path, or the command line (``ctrctl volume create``)."""
    type: str = ""
    """mount(8) ``-t``: 'nfs', 'tmpfs', 'ext4', 'none' (with options 'bind') …"""
    device: str = ""
    """What is mounted: a device node, 'server:/path', a file for a loop mount, a directory."""
    options: str = ""
    """mount(8) ``-o``."""
    uid: int | None = None
    """Owner of the volume's root directory when it is made; None: the image's directory decides, else root."""
    gid: int | None = None
    image: str = ""
    """Reference of the image that a new volume starts as a copy of (``Driver=image``)."""
    copy: bool = True
    """Whether a new volume starts with what the image has at the place it is mounted on."""
    labels: tuple[tuple[str, str], ...] = ()
