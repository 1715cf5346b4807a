"""What of the host's security modules applies to a container, and what of the kernel it sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Security:
    """Unset is the host's default, as with podman (podman-run(1) ``--security-opt``)."""

    seccomp: str = ""
    """Absolute path of a profile, or 'unconfined'."""
    apparmor: str = ""
    """Name of a loaded profile, or 'unconfined'."""
    label: bool = True
    """False: no SELinux separation (``SecurityLabelDisable=``)."""
    label_type: str = ""
    label_level: str = ""
    label_file_type: str = ""
    label_nested: bool = False
    mask: tuple[str, ...] = ()
    """Absolute paths that are hidden beside the usual ones."""
    unmask: tuple[str, ...] = ()
    """Usual ones that are not: absolute paths, patterns of them (``/proc/*``), or 'ALL'."""
