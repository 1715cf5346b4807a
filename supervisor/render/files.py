"""What rendering yields: files and links to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """A file to be: *path* is its name inside the container's directory, or absolute for a unit's file."""

    path: str
    text: str
    mode: int = 0o644

    @property
    def unit(self) -> str:
        """The unit that systemd sees differently through it, given an absolute path: itself, or its drop-in's."""
        directory, _, name = self.path.rpartition("/")
        parent = directory.rpartition("/")[2]
        return parent.removesuffix(".d") if parent.endswith(".d") else name


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link below systemd's unit directory: *path* absolute, *target* as it is written into the link."""

    path: str
    target: str
