"""Where the control groups of containers and projects are: a walk over the slices of the cgroup tree.

Owns the map from names to directories. Cheap to import, as ``ctrctl ps`` does; asks nobody but the kernel, so it needs
no right and no D-Bus. Directories come and go meanwhile: whoever reads one must bear that it is gone.
"""

from __future__ import annotations

import os

from supervisor.paths import Layout


def scope_directories(layout: Layout) -> dict[str, str]:
    """Container name to the cgroup directory of its scope, for every scope of ours on the host."""
    return _walk(layout)[0]


def slice_directories(layout: Layout) -> dict[str, str]:
    """Unit name ('ctr.slice', 'ctr-shop.slice') to the cgroup directory of every slice of ours."""
    return _walk(layout)[1]


def thawed(layout: Layout) -> frozenset[str]:
    """Containers that are not frozen, be it with the slice around them, nor about to be (cgroup.events and
    cgroup.freeze, https://docs.kernel.org/admin-guide/cgroup-v2.html)."""
    return frozenset(name for name, path in scope_directories(layout).items() if _is_thawed(path))


def _is_thawed(path: str) -> bool:
    try:
        with open(f"{path}/cgroup.events", "rb", 0) as events, open(f"{path}/cgroup.freeze", "rb", 0) as freeze:
            return b"frozen 0" in events.read() and freeze.read() == b"0\n"
    except OSError:
        return False


def _walk(layout: Layout) -> tuple[dict[str, str], dict[str, str]]:
    scopes: dict[str, str] = {}
    slices: dict[str, str] = {}
    waiting = [f"{layout.root}/sys/fs/cgroup"]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    name = entry.name
                    if name.endswith(".slice"):
                        waiting.append(entry.path)
                        if name.startswith(("ctr-", "ctr.")):
                            slices[name] = entry.path
                    elif name.startswith("ctr-") and name.endswith(".scope"):
                        scopes[name[len("ctr-") : -len(".scope")]] = entry.path
        except OSError:
            continue
    return scopes, slices
