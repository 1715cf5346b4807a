"""The keys of [Container] about seccomp, AppArmor, SELinux and what is hidden below /proc and /sys. Pure."""

from __future__ import annotations

from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.spec.security import Security


def security(lines: Lines, directory: str, findings: Findings) -> Security:
    """What *lines* ask for. *directory*: where relative paths begin."""
    return Security()
