"""Names of units in [Unit] and [Install]: which of them mean definitions, and what their units are called here. Pure.

A definition is called by its file (``db.container``) or by the unit that podman would make of it (``db.service``,
``shop-pod.service``, or what its ``ServiceName=`` says). Every other name is a unit of somebody else and stays as it
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.definitions import kinds, templates
from supervisor.definitions.findings import Findings
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import Assignment
from supervisor.names import project_target, service_unit


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other definitions that are compiled together with this one."""

    names: Mapping[str, str]
    """File name (``db.container``, ``shop.network``) to the name of what it defines."""
    own: str
    """File name of this definition."""
    systemd: int
    """Version of the host's systemd, 0 when it is not known."""
    units: Mapping[str, str] = field(default_factory=dict)
    """podman's units: name to file name."""
    name: str = ""
    """What this definition defines."""


def translated(at: Assignment, findings: Findings, neighbours: Neighbours) -> str:
    """The value of *at*, a list of units, with the names that they have here."""
    found = (_unit(name, at, findings, neighbours) for name in at.value.split())
    return " ".join(dict.fromkeys(filter(None, found)))


def own(neighbours: Neighbours) -> str:
    """The unit of this definition; empty where its name is not known."""
    if not neighbours.name:
        return ""
    pod = kinds.of(neighbours.own) is kinds.POD
    return project_target(neighbours.name) if pod else service_unit(neighbours.name)


def _unit(name: str, at: Assignment, findings: Findings, neighbours: Neighbours) -> str:
    """The unit that *name* stands for; '' for what is no unit here, or after a mistake."""
    if name.endswith(".kube"):
        findings.refuse(at, f"{_shown(name)}: {FILE_KINDS['Kube']}")
        return ""
    if kinds.of(name):
        if name == neighbours.own:
            findings.refuse(at, f"{name} is this definition itself; remove it")
        elif name not in neighbours.names:
            findings.refuse(at, _missing(name))
        else:
            return _of_file(name, name, at, findings, neighbours)
        return ""
    file = _file_of(name, neighbours)
    if not file:
        return name
    if file == neighbours.own:
        findings.warn(at, f"{name} is this definition itself; remove it")
        return ""
    return _of_file(file, name, at, findings, neighbours)


def _of_file(file: str, written: str, at: Assignment, findings: Findings, neighbours: Neighbours) -> str:
    """The unit of the definition *file*, which was called *written*."""
    kind, name = kinds.of(file), neighbours.names[file]
    if kind not in (kinds.CONTAINER, kinds.POD):
        if written == file:
            text = f"{file} has no effect: it is there before this container starts; remove the name"
        else:
            text = f"{written} has no effect: {file} needs no unit, it is there before this container starts"
        findings.warn(at, text)
        return ""
    unit = service_unit(name) if kind is kinds.CONTAINER else project_target(name)
    if written != file:
        findings.warn(at, f"{written} is not a unit of ctr; {unit} is meant, the unit of {file}: better write {file}")
    return unit


def _file_of(unit: str, neighbours: Neighbours) -> str:
    """The definition of which podman would make *unit*; '' for none."""
    if unit in neighbours.units:
        return neighbours.units[unit]
    stem = unit.removesuffix(".service")
    head, _, kind = stem.rpartition("-")
    for file in (f"{stem}.container", f"{head}.{kind}") if stem != unit else ():
        found = kinds.of(file)
        # A definition whose ServiceName= says something else is not meant.
        if file in neighbours.names and found and file not in neighbours.units.values():
            return file if kinds.unit(found, found.stem(file)) == unit else ""
    return ""


def _missing(name: str) -> str:
    shown = _shown(name)
    if templates.is_template(name):
        return f"{shown} is a template; name an instance of it, with a name behind the '@'"
    instead = "write the unit's full name" if name.endswith((".container", ".pod")) else "remove the name"
    return f"there is no valid {shown} beside this definition; add it, or {instead}"


def _shown(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:79]}…"
