"""Have ctr-apply.path watch the directories below the definitions too: systemd.path(5) reaches only one level.

The unit is the administrator's to enable; while it is not active it is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

from supervisor.deploy.guards import host_errors
from supervisor.deploy.state import text_of
from supervisor.deploy.write import Changes, Disk
from supervisor.paths import Layout
from supervisor.render.lines import specifiers_escaped
from supervisor.systemd.manager import Job, UnitStatus

UNIT = "ctr-apply.path"


class Systemd(Protocol):
    """What is asked of `supervisor.systemd.manager.Manager`."""

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]: ...
    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job: ...
    def daemon_reload(self) -> None: ...


def update(layout: Layout, manager: Systemd, disk: Disk | None = None) -> bool:
    """Bring the unit's drop-in up to date; whether it changed. Raises `HostError`."""
    if not any(unit.name == UNIT and unit.active == "active" for unit in manager.units(UNIT)):
        return False
    path = f"{layout.units}/{UNIT}.d/50-directories.conf"
    text = _text(_directories(layout.definitions))
    if text_of(path) == text:
        return False
    with host_errors():
        changes = Changes(disk or Disk())
        changes.make_directories(os.path.dirname(path))
        changes.replace_file(path, text, 0o644)
        manager.daemon_reload()
        manager.enqueue("restart", UNIT)
    return True


def _directories(top: str) -> Iterable[str]:
    """Below *top*; without those whose names a unit file cannot hold."""
    for where, names, _ in os.walk(top):
        names.sort()
        yield from (f"{where}/{name}" for name in names if name.isprintable() and not name.endswith(("\\", " ")))


def _text(directories: Iterable[str]) -> str:
    lines = [f"PathChanged={specifiers_escaped(directory)}" for directory in directories]
    return "\n".join(("# Written by 'ctrctl apply': the directories below /etc/ctr.", "[Path]", *lines)) + "\n"
