"""Who has a port of the host: a container of ours, or a process and its unit. Imported only where there is a clash."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from supervisor.names import name_of_service, namespace_unit, service_unit
from supervisor.network import routes
from supervisor.network.record import Port, Record
from supervisor.spec.ports import overlap

_UNIT_TYPES = (".service", ".scope", ".socket", ".mount")

#: What StopWhenUnneeded= looks at: who of these units is up keeps the namespace.
_NEEDED_BY = ("RequiredBy", "RequisiteOf", "WantedBy", "BoundBy", "UpheldBy")


def find(port: Port, number: int, records: Iterable[Record], proc: str = "/proc") -> str:
    """Who has *number* of *port*'s protocol and address, in words; '' when nobody can be found."""
    for record in records:
        for other in record.ports:
            inside = other.first <= number < other.first + other.length
            if inside and other.protocol == port.protocol and overlap(port.address, other.address):
                return f"{'pod' if record.pod else 'container'} {record.name}"
    inodes = {
        inode
        for address, taken, inode in routes.listeners(port.protocol, proc)
        if taken == number and overlap(port.address, address)
    }
    return _owner(inodes, proc) if inodes else ""


def is_leaving(holder: str) -> bool:
    """Whether *holder*, in `find`'s words, is one of ours whose namespace nobody needs any more, so that it ends."""
    name = _container(holder) or _pod(holder)
    return bool(name) and not _users(name)


def described(holder: str) -> str:
    """*holder*, in `find`'s words, for messages: with who else keeps the network of a container that has ended."""
    name = _container(holder)
    return kept(name, _users(name)) if name else holder


def kept(name: str, units: tuple[str, ...]) -> str:
    """Who keeps the network of container *name*, in words, when *units* are up and need it."""
    if not units or service_unit(name) in units:
        return f"container {name}"
    others = [f"container {other}" if (other := name_of_service(unit)) else unit for unit in units]
    return f"the network of container {name}, which {' and '.join(others)} share{'s' if len(others) == 1 else ''}"


def _container(holder: str) -> str:
    kind, _, name = holder.partition(" ")
    return name if kind == "container" else ""


def _pod(holder: str) -> str:
    kind, _, name = holder.partition(" ")
    return name if kind == "pod" else ""


def _users(name: str) -> tuple[str, ...]:
    """The units that are up and need the namespace of container *name*, sorted."""
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        found = manager.properties(namespace_unit(name), "Unit", *_NEEDED_BY)
        units = sorted({unit for names in found.values() for unit in names})
        return tuple(
            unit
            for unit in units
            if manager.properties(unit, "Unit", "ActiveState")["ActiveState"] not in ("inactive", "failed")
        )


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
