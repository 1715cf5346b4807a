"""Have ctr-apply.path watch the directories below the definitions too: systemd.path(5) reaches only one level.

Also says which those are, as far as definitions are read from them. The unit is the administrator's to enable; while it
is off it is left alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from supervisor.definitions.gathering import holds_drop_ins, is_passed_over
from supervisor.deploy.guards import host_errors
from supervisor.deploy.state import text_of
from supervisor.deploy.write import Changes, Disk
from supervisor.errors import HostError
from supervisor.paths import Layout
from supervisor.render.lines import specifiers_escaped
from supervisor.systemd.manager import Job, UnitStatus

UNIT = "ctr-apply.path"

#: systemd takes an inotify instance for each, and fs.inotify.max_user_instances=128 is for all of root's programs, also
#: those in containers.
MOST = 32

#: As many as definitions are read from (`supervisor.definitions.gathering`).
_READ = 10_000

_START_SECONDS = 30.0


class Systemd(Protocol):
    """What is asked of `supervisor.systemd.manager.Manager`."""

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]: ...
    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job: ...
    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]: ...
    def daemon_reload(self) -> None: ...


def directories(top: str) -> Iterator[str]:
    """Those below *top* that definitions and drop-ins are read from, the upper ones first; one that several links lead
    to comes once."""
    waiting = deque(((top, 0),))
    visited = {_identity(top)}
    while waiting:
        where, depth = waiting.popleft()
        for name in _listed(where):
            path = f"{where}/{name}"
            if is_passed_over(name, depth) or not os.path.isdir(path) or (identity := _identity(path)) in visited:
                continue
            visited.add(identity)
            yield path
            if not holds_drop_ins(name) and len(visited) < _READ:
                waiting.append((path, depth + 1))


def update(layout: Layout, manager: Systemd, disk: Disk | None = None) -> tuple[str, ...]:
    """Bring the unit's drop-in up to date; when this returns it is in force. Also one that failed is started with what
    changed: it may have failed for what it had to watch. The directories that are not watched. Raises `HostError`."""
    if not any(unit.name == UNIT and unit.active in ("active", "failed") for unit in manager.units(UNIT)):
        return ()
    path = f"{layout.units}/{UNIT}.d/50-directories.conf"
    found = directories(layout.definitions)
    # A unit file cannot hold every name.
    able = (name for name in found if name.isprintable() and not name.endswith(("\\", " ")))
    text = _text(islice(able, MOST))
    left = tuple(able)
    if text_of(path) == text:
        return left
    with host_errors():
        changes = Changes(disk or Disk())
        changes.make_directories(os.path.dirname(path))
        changes.replace_file(path, text, 0o644)
        manager.daemon_reload()
        result = manager.wait([manager.enqueue("restart", UNIT)], _START_SECONDS).get(UNIT, "timeout")
    if result != "done":
        raise HostError(f"{UNIT}: cannot be started ({result}), so changes are not seen; see 'systemctl status {UNIT}'")
    return left


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []  # told of by whoever reads definitions from it


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0  # gone meanwhile
    return status.st_dev, status.st_ino


def _text(paths: Iterable[str]) -> str:
    lines = [f"PathChanged={specifiers_escaped(path)}" for path in paths]
    return "\n".join(("# Written by 'ctrctl apply': the directories below /etc/ctr.", "[Path]", *lines)) + "\n"
