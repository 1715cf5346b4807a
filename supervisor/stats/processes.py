"""The processes of a control group: parsing proc_pid_stat(5) and proc_pid_status(5), and reading them.

What a process says of itself (its name, its command line) is kept as it is; whoever shows it has to make it harmless.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from supervisor.paths import Layout

#: A command line may be megabytes long.
_CHUNK = 65536
_GROUPS = 4096


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as the host sees it. Times in seconds, sizes in bytes."""

    pid: int
    parent: int
    name: str
    """Short name, at most 15 bytes (comm)."""
    state: str
    """One letter: R running, S sleeping, D waiting for a disk, Z zombie, T stopped …"""
    threads: int
    cpu: float
    """Processor time, user and system."""
    started: float
    """Since boot."""
    virtual: int
    resident: int
    uid: int = 0
    """Effective."""
    command: tuple[str, ...] = ()
    """Arguments, the program first; empty for a zombie."""


def parse(stat: bytes, status: bytes, command: bytes, *, ticks: int, page: int) -> Process | None:
    """A process of its three files; None when the kernel wrote something else. *ticks* per second and bytes of a
    *page*: sysconf(3). Pure."""
    # The name may hold blanks and parentheses, so the last parenthesis ends it.
    head, _, rest = stat.rpartition(b")")
    pid, _, name = head.partition(b"(")
    fields = rest.split()
    try:
        user, system = int(fields[11]), int(fields[12])
        return Process(
            int(pid),
            int(fields[1]),
            name.decode("utf-8", "replace"),
            fields[0].decode("ascii", "replace"),
            int(fields[17]),
            (user + system) / ticks,
            int(fields[19]) / ticks,
            int(fields[20]),
            int(fields[21]) * page,
            _uid(status),
            tuple(word.decode("utf-8", "replace") for word in command.rstrip(b"\0").split(b"\0")) if command else (),
        )
    except (IndexError, ValueError):
        return None


def _uid(status: bytes) -> int:
    words = status.partition(b"\nUid:")[2].partition(b"\n")[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def processes(directory: str, layout: Layout) -> tuple[Process, ...]:
    """The processes of the control group at *directory* and of those below it, by PID."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = []
    for pid in pids(directory):
        base = f"{layout.root}/proc/{pid}"
        texts = (_text(f"{base}/{file}") for file in ("stat", "status", "cmdline"))
        if process := parse(*texts, ticks=ticks, page=page):
            found.append(process)
    return tuple(found)


def pids(directory: str) -> tuple[int, ...]:
    """PIDs in the control group at *directory* and in those below it, sorted."""
    found: set[int] = set()
    waiting = [directory]
    for _ in range(_GROUPS):
        if not waiting:
            break
        here = waiting.pop()
        found.update(int(word) for word in _text(f"{here}/cgroup.procs").split() if word.isdigit())
        try:
            with os.scandir(here) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return tuple(sorted(found - {0}))


def uptime(layout: Layout) -> float:
    """Seconds since boot, as `Process.started` counts."""
    words = _text(f"{layout.root}/proc/uptime").split()
    return float(words[0]) if words else 0.0


def _text(path: str) -> bytes:
    """The file's content, the first 64 KiB of a command line; empty when the process is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = piece = os.read(file, _CHUNK)
        while piece and path.endswith("cgroup.procs"):
            data += (piece := os.read(file, _CHUNK))
    except OSError:  # ESRCH: it ended; EOPNOTSUPP: a group of threads
        return b""
    finally:
        os.close(file)
    return data
