"""Secrets: systemd credentials that one container may see. The value itself is never part of a spec."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """One credential of the host, by name (systemd.exec(5), LoadCredential=)."""

    name: str
    target: str
    """Absolute path of the file in the container; with *as_environment* the variable's name."""
    as_environment: bool = False
    uid: int = 0
    gid: int = 0
    mode: int = 0o444
    """Permission bits."""
