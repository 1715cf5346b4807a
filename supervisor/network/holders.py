"""Who has a port of the host: a container of ours, or a process and its unit. Imported only where there is a clash."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from supervisor.network import routes
from supervisor.network.record import Port, Record

_UNIT_TYPES = (".service", ".scope", ".socket", ".mount")


def find(port: Port, number: int, records: Iterable[Record], proc: str = "/proc") -> str:
    """Who has *number* of *port*'s protocol and address, in words; '' when nobody can be found."""
    for record in records:
        for other in record.ports:
            inside = other.first <= number < other.first + other.length
            if inside and other.protocol == port.protocol and _meet(port.address, other.address):
                return f"container {record.name}"
    inodes = {
        inode
        for address, taken, inode in routes.listeners(port.protocol, proc)
        if taken == number and _meet(port.address, address)
    }
    return _owner(inodes, proc) if inodes else ""


def is_leaving(holder: str) -> bool:
    """Whether *holder*, in `find`'s words, is a container that has ended, and whose namespace is about to."""
    kind, _, name = holder.partition(" ")
    if kind != "container":
        return False
    from supervisor.names import service_unit
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        return manager.properties(service_unit(name), "Unit", "ActiveState")["ActiveState"] in ("inactive", "failed")


def _meet(one: str, other: str) -> bool:
    """Whether a socket on the one address is in the way of one on the other; '' is all addresses."""
    every = ("", "::", "0.0.0.0")
    return one == other or one in every or other in every


def _owner(inodes: set[int], proc: str) -> str:
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(entry) for entry in os.listdir(proc) if entry.isdigit()):
        if any(link in links for link in _descriptors(f"{proc}/{pid}/fd")):
            name = _read(f"{proc}/{pid}/comm").strip()
            unit = _unit(_read(f"{proc}/{pid}/cgroup"))
            if pid == 1:
                return "systemd, for a socket unit ('systemctl list-sockets' shows which)"
            return f"{unit} ({name}, pid {pid})" if unit else f"{name} (pid {pid})"
    return "a process in another namespace"


def _descriptors(directory: str) -> Iterator[str]:
    try:
        for entry in os.listdir(directory):
            yield os.readlink(f"{directory}/{entry}")
    except OSError:  # it ended meanwhile, or closed this one
        return


def _unit(cgroup: str) -> str:
    """The unit in the unified hierarchy's line of /proc/PID/cgroup; a container's scope stands for the container."""
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), "")
    return next((part for part in reversed(path.split("/")) if part.endswith(_UNIT_TYPES)), "")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
