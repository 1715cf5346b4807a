"""A directory or a list of files in, everything they define out. Pure: the caller's *read* does the reading.

Definitions are compiled together, because one may name another. A file that has mistakes is left out; the caller
decides whether the rest may be used.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from supervisor.definitions import build_file, image_file, kinds, network_file, pod_file, ports, quadlet, volume_file
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.context import Context
from supervisor.definitions.dropins import Read
from supervisor.definitions.findings import Findings
from supervisor.definitions.gathering import gather
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import Problem, UserError
from supervisor.spec.container import Container
from supervisor.spec.network import Network, PublishedPort
from supervisor.spec.pod import Pod
from supervisor.spec.ports import collide
from supervisor.spec.sourcing import Build, ImageSource
from supervisor.spec.volume import Volume

__all__ = ["Loaded", "Read", "load"]

D = TypeVar("D", Container, Network, Volume, Pod, ImageSource, Build)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is defined in the order of the files' names; *problems* and *warnings* in the order of files and lines."""

    containers: tuple[Container, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    pods: tuple[Pod, ...] = ()
    images: tuple[ImageSource, ...] = ()
    builds: tuple[Build, ...] = ()
    files: Mapping[str, UnitFile] = field(default_factory=dict)
    """What was read, with its drop-ins, also where there are mistakes; by the file that is the source of what it
    defines."""
    sources: tuple[str, ...] = ()
    """Every definition that was read, and what else may stand for something that is deployed: those that have mistakes,
    or cannot be read, are the source of nothing above."""

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """Every line that was read."""
        return tuple(at for file in self.files.values() for at in file.assignments)


def load(paths: str | Iterable[str], read: Read, context: Context | None = None) -> Loaded:
    """Compile the definitions at *paths*: files, or directories whose definitions all count.

    Paths are absolute. In a directory, files of other kinds (a README, an environment file) are passed over; named as
    a path of their own they are a problem. *context* gives the host's facts; its *names* are extended by what is found.
    Never raises for bad input: what *read* cannot read is a problem.
    """
    base = context or Context()
    gathered = gather((paths,) if isinstance(paths, str) else tuple(paths), read, base.host)
    files = gathered.files
    names, clashes = _names(files)
    together = dataclasses.replace(base, names={**base.names, **names}, units={**base.units, **_units(files)})
    images = [image_file.compile_unit(file) for file in _of(files, kinds.IMAGE)]
    builds = [build_file.compile_unit(file) for file in _of(files, kinds.BUILD)]
    pods = [pod_file.compile_unit(file, together) for file in _of(files, kinds.POD)]
    together = dataclasses.replace(
        together,
        references={**base.references, **_references(images, builds)},
        pods={**base.pods, **{posixpath.basename(one.defined.source): one.defined for one in pods if one.defined}},
    )
    containers = [quadlet.compile_unit(file, together) for file in _of(files, kinds.CONTAINER)]
    networks = [network_file.compile_unit(file) for file in _of(files, kinds.NETWORK)]
    volumes = [volume_file.compile_unit(file, together) for file in _of(files, kinds.VOLUME)]
    compiled: tuple[Compiled[Any], ...] = (*containers, *networks, *volumes, *pods, *images, *builds)
    moved = gathered.templates
    refused = {findings.path for findings in clashes}
    problems = [*gathered.problems, *(problem for findings in clashes for problem in findings.problems)]
    problems += [problem for one in compiled for problem in one.problems]
    warnings = [*gathered.warnings, *(warning for one in compiled for warning in one.warnings)]
    return Loaded(
        _valid((one.defined for one in containers), refused, moved),
        _placed(problems, moved),
        _placed([*warnings, *_port_clashes([*containers, *pods])], moved),
        _valid((one.defined for one in networks), refused, moved),
        _valid((one.defined for one in volumes), refused, moved),
        _valid((one.defined for one in pods), refused, moved),
        _valid((one.defined for one in images), refused, moved),
        _valid((one.defined for one in builds), refused, moved),
        {moved.get(path, path): file for path, file in files.items()},
        (*(moved.get(path, path) for path in files), *gathered.withheld),
    )


def _valid(found: Iterable[D | None], refused: set[str], moved: Mapping[str, str]) -> tuple[D, ...]:
    """Those without mistakes. One that has no file of its own comes from its template."""
    good = (one for one in found if one and one.source not in refused)
    return tuple(dataclasses.replace(one, source=moved[one.source]) if one.source in moved else one for one in good)


def _placed(problems: Iterable[Problem], moved: Mapping[str, str]) -> tuple[Problem, ...]:
    """Each once (a drop-in may serve many definitions), at a file that is there."""
    return tuple(dict.fromkeys(Problem(moved.get(p.file, p.file), p.line, p.key, p.message) for p in problems))


def _units(files: Mapping[str, UnitFile]) -> dict[str, str]:
    """The unit that podman would make of each file: its name to the file's."""
    found = {}
    for path, file in files.items():
        kind = _kind(path)
        found[f"{kinds.unit_stem(file, kind)}.service"] = posixpath.basename(path)
    return found


def _references(images: Iterable[Compiled[ImageSource]], builds: Iterable[Compiled[Build]]) -> dict[str, str]:
    """File name to the image that containers run."""
    found = {posixpath.basename(i.defined.source): i.defined.tag or i.defined.reference for i in images if i.defined}
    return found | {posixpath.basename(b.defined.source): b.defined.tags[0] for b in builds if b.defined}


def _of(files: Mapping[str, UnitFile], kind: kinds.Kind) -> list[UnitFile]:
    return [file for path, file in files.items() if kinds.of(path) is kind]


def _names(files: Mapping[str, UnitFile]) -> tuple[dict[str, str], list[Findings]]:
    """What each file name stands for, and what to say of two files that define the same."""
    names: dict[str, str] = {}
    owner: dict[tuple[str, str], str] = {}
    namesakes: dict[str, str] = {}
    clashes: list[Findings] = []
    for path, file in files.items():
        kind = _kind(path)
        try:
            name = kinds.defined_name(file, kind)
        except UserError:
            continue  # reported when the file is compiled
        # A pod and a container cannot have one name: their networks, addresses and directories have it.
        first = owner.setdefault((kinds.CONTAINER.what if kind is kinds.POD else kind.what, name), path)
        for one, other in ((path, first), (first, path)) if first != path else ():
            what = f"{posixpath.splitext(other)[1][1:]} '{name}'"
            clashes.append(Findings(one))
            text = f"{other} defines the {what} too; rename one of them"
            kinds.refuse_name(files[one], _kind(one), clashes[-1], text)
        # Others refer to a file's name, and podman reads only one file of each.
        namesake = namesakes.setdefault(posixpath.basename(path), path)
        for one, other in ((path, namesake), (namesake, path)) if namesake not in (path, first) else ():
            text = f"{other} has the same name, by which others refer to it; rename one of them"
            clashes.append(Findings(one))
            clashes[-1].refuse_section(files[one].begin(_kind(one).section), text)
        names.setdefault(posixpath.basename(path), name)
    return names, clashes


def _kind(path: str) -> kinds.Kind:
    kind = kinds.of(path)
    assert kind is not None  # gather takes no other files
    return kind


def _port_clashes(compiled: Iterable[Compiled[Container] | Compiled[Pod]]) -> tuple[Problem, ...]:
    """Warnings for ports of the host that two definitions publish: both may be deployed, not both started.

    Twice in one file is a mistake, and such a file is not among *compiled* with a container or pod.
    """
    valid = [(one.defined, one.ports) for one in compiled]
    wanted = [
        (port.host, port, at.line, at.path or one.source)
        for one, published in valid
        for at, port in published
        if one and port.host
    ]
    wanted.sort(key=lambda item: item[0])
    found: list[Problem] = []
    for index, (host, port, line, path) in enumerate(wanted):
        for start, other, other_line, other_path in wanted[index + 1 :]:
            if start >= host + port.length:
                break
            if collide(port, other):
                found.append(_port_clash(path, line, port, f"{other_path}:{other_line}"))
                found.append(_port_clash(other_path, other_line, other, f"{path}:{line}"))
    return tuple(sorted(found, key=lambda problem: (problem.file, problem.line)))


def _port_clash(path: str, line: int, port: PublishedPort, other: str) -> Problem:
    text = f"{ports.shown(port)} is published by {other} too, and only one of them can be running; change one"
    return Problem(path, line, "PublishPort", text)
