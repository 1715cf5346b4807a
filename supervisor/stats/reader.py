"""Reads what control groups use. Owns the system calls; what they say is `supervisor.stats.parse`'s.

Any user may: cgroup files are world-readable, and so is the network of another process (proc_pid_net(5) asks for no
ptrace right). One directory descriptor for each group and plain os.read: 1,000 containers take 0.2 s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from itertools import islice

from supervisor.paths import Layout
from supervisor.stats import parse
from supervisor.stats.scopes import scope_directories, slice_directories
from supervisor.stats.usage import Interface, Io, Memory, Pids, Pressure, Usage

#: Larger than any of these files but net/dev of a host with many interfaces; memory.stat is about 1.5 kB.
_CHUNK = 16384
#: How many groups of a container are searched for a process of it.
_GROUPS = 64


def containers(layout: Layout, names: Iterable[str] | None = None) -> dict[str, Usage]:
    """Usage by container, for all that have a scope or those of *names* that do."""
    found = scope_directories(layout)
    wanted = found if names is None else {name: found[name] for name in names if name in found}
    host = host_network(layout)
    usages = ((name, read(path, layout, host=host)) for name, path in wanted.items())
    return {name: usage for name, usage in usages if usage}


def slices(layout: Layout) -> dict[str, Usage]:
    """Usage by slice unit ('ctr.slice', 'ctr-shop.slice'); of interfaces, nothing is known."""
    usages = ((unit, read(path, layout, network=False)) for unit, path in slice_directories(layout).items())
    return {unit: usage for unit, usage in usages if usage}


def read(directory: str, layout: Layout, *, host: int = 0, network: bool = True) -> Usage | None:
    """Usage of the control group at *directory*; None when it is gone. *host*: see `host_network`."""
    try:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = _read(group, "cpu.stat")
        pids = parse.number(_read(group, "pids.current"))
        usage = Usage(
            time.monotonic(),
            os.fstat(group).st_ino,
            parse.cpu(stat, _read(group, "cpu.max")),
            _memory(group),
            _io(group),
            None if pids is None else Pids(pids, parse.number(_read(group, "pids.max"))),
            _pressure(group, "cpu.pressure"),
            _pressure(group, "memory.pressure"),
            _pressure(group, "io.pressure"),
            interfaces(first_process(group), layout, host) if network else None,
        )
    finally:
        os.close(group)
    # A directory that was removed while it was open still opens nothing.
    return usage if stat else None


def first_process(group: int) -> int:
    """A process of the group that is open as *group*, or of one below it; 0 when there is none.

    The kernel lists them oldest first: a container's init. A container that makes groups of its own (an init system)
    keeps its processes in those; it could make any number of empty ones, so the search gives up soon.
    """
    waiting, left = ["."], _GROUPS
    while waiting and left:
        here, left = waiting.pop(0), left - 1
        if words := _read(group, f"{here}/cgroup.procs").split(maxsplit=1):
            return int(words[0])
        waiting += [f"{here}/{name}" for name in _below(group, here)]
    return 0


def _below(group: int, path: str) -> list[str]:
    try:
        here = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=group)
    except OSError:
        return []
    try:
        with os.scandir(here) as entries:
            names = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            return list(islice(names, _GROUPS))
    except OSError:
        return []
    finally:
        os.close(here)


def interfaces(pid: int, layout: Layout, host: int) -> tuple[Interface, ...] | None:
    """The interfaces that process *pid* sees; None when it is gone, or sees the host's own.

    The file's inode is another one in every network namespace, and unlike /proc/PID/ns/net anyone may look at it.
    """
    if not pid:
        return None
    try:
        file = os.open(f"{layout.root}/proc/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if os.fstat(file).st_ino == host else parse.interfaces(_all(file))
    except OSError:
        return None
    finally:
        os.close(file)


def host_network(layout: Layout) -> int:
    """What tells the host's own network from a container's: an inode number, for `interfaces`; 0 if nothing does.

    PID 1's, as the caller may have a network of its own (PrivateNetwork=); the caller's, where PID 1 is hidden from it.
    """
    for process in ("1", "self"):
        try:
            return os.stat(f"{layout.root}/proc/{process}/net/dev").st_ino
        except OSError:
            continue
    return 0


def _memory(group: int) -> Memory | None:
    current = parse.number(_read(group, "memory.current"))
    if current is None:
        return None
    stat = parse.flat(_read(group, "memory.stat"))
    events = parse.flat(_read(group, "memory.events"))
    return Memory(
        current,
        parse.number(_read(group, "memory.peak")),
        parse.number(_read(group, "memory.max")),
        parse.number(_read(group, "memory.swap.current")),
        stat.get(b"anon", 0),
        stat.get(b"file", 0),
        stat.get(b"inactive_file", 0),
        events.get(b"oom_kill"),
        events.get(b"max"),
    )


def _io(group: int) -> Io | None:
    # Without the controller the file is not there; with it, and nothing read or written yet, it is empty.
    try:
        return parse.io(_open_and_read(group, "io.stat"))
    except OSError:
        return None


def _pressure(group: int, name: str) -> Pressure | None:
    return parse.pressure(_read(group, name))


def _read(group: int, name: str) -> bytes:
    """The file's content; empty when it is not there, or cannot be read (EOPNOTSUPP: pressure is switched off)."""
    try:
        return _open_and_read(group, name)
    except OSError:
        return b""


def _open_and_read(group: int, name: str) -> bytes:
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=group)
    try:
        return os.read(file, _CHUNK)
    finally:
        os.close(file)


def _all(file: int) -> bytes:
    pieces = []
    while piece := os.read(file, _CHUNK):
        pieces.append(piece)
    return b"".join(pieces)
