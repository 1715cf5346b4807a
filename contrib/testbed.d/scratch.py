"""Owns what one run leaves on the machine while it lives: a directory, a lock that says who is alive, a control group.

The lock is held for as long as the process lives, however it ends; so the next run can tell a scratch directory that
is in use from one whose owner was killed, and removes the latter. Mounts need no removal: they live in a private
namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import needs
import roots

RUN_GIB = 1.0
END_SECONDS = 10.0


@dataclass(frozen=True)
class Scratch:
    """A disposable directory at `path`, and control groups (one per hierarchy) for the processes of this run."""

    name: str
    path: Path
    cgroups: tuple[Path, ...]


@contextlib.contextmanager
def scratch(cache: Path, suite: str) -> Iterator[Scratch]:
    """A scratch directory with a name no other run has; removed at the end, with every process in its control group."""
    runs = cache / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    name = f"ctr-{suite}-{os.getpid()}"
    with roots.locked(runs / "lock"):  # between making a directory and locking it, a sweep would take it for stale
        sweep(runs)
        needs.disk(runs, RUN_GIB)
        mine = Scratch(name, runs / name, tuple(parent / name for parent in _cgroup_parents()))
        mine.path.mkdir(mode=0o700)
        alive = (mine.path / "alive").open("w")
        fcntl.flock(alive, fcntl.LOCK_EX)
    try:
        for cgroup in mine.cgroups:
            cgroup.mkdir()
        yield mine
    finally:
        # Without the lock, a sweep that comes when `alive` has gone and the rest has not would make that file anew,
        # and remove the same directory at the same time.
        with roots.locked(runs / "lock"):
            _remove(mine)
        alive.close()


def sweep(runs: Path) -> None:
    """Remove what runs that were killed have left below `runs`."""
    for path in runs.glob("ctr-*"):
        with roots.locked(path / "alive", wait=False) as dead:
            if dead:
                cgroups = tuple(parent / path.name for parent in _cgroup_parents())
                _remove(Scratch(path.name, path, cgroups))


def end(cgroups: tuple[Path, ...]) -> None:
    """SIGKILL to every process in the control groups, and wait until they are gone.

    It writes cgroup.kill and reads cgroup.events (the kernel's document cgroup-v2); the older hierarchy has no such
    files, and the same processes.
    """
    for cgroup in cgroups:
        with contextlib.suppress(OSError):
            (cgroup / "cgroup.kill").write_text("1")
            _wait_empty(cgroup / "cgroup.events")


def _wait_empty(events: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    with events.open() as file:
        changed = select.poll()
        changed.register(file, select.POLLPRI)
        while "populated 1" in file.read() and (left := deadline - time.monotonic()) > 0:
            changed.poll(left * 1000)
            file.seek(0)


def _remove(gone: Scratch) -> None:
    end(gone.cgroups)
    for cgroup in gone.cgroups:
        _remove_cgroup(cgroup)
    # Only the mounts made by this process are visible here, and only below `root`.
    unmount = ["umount", "--quiet", "--recursive", "--lazy", str(gone.path / "root")]
    subprocess.run(unmount, check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", "--one-file-system", str(gone.path)], check=True)


def _remove_cgroup(cgroup: Path) -> None:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):  # a process that is still dying; the next sweep finds only its directory
            os.rmdir(directory)


def _cgroup_parents() -> tuple[Path, ...]:
    """Our own control group in the version 2 hierarchy, and in systemd's own one of version 1 where that exists.

    Without a group of its own every host would share one tree of slices with all others: systemd-nspawn puts its
    payload below the group it is started in.
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    parents = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind, _, options = after.split(" ", 2)
        mount = Path(before.split(" ")[4])
        if kind == "cgroup2" and "" in own:
            parents.append(mount / own[""].lstrip("/"))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            parents.append(mount / own.get("name=systemd", "/").lstrip("/"))
    return tuple(dict.fromkeys(parents))
