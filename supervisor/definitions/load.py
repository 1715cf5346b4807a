"""A directory or a list of files in, everything they define out. Pure: the caller's *read* does the reading.

Definitions are compiled together, because one may name another. A file that has mistakes is left out; the caller
decides whether the rest may be used.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from supervisor.definitions import build_file, image_file, kinds, network_file, pod_file, ports, quadlet, volume_file
from supervisor.definitions.context import Context
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import UnitFile, parse
from supervisor.errors import Problem, UserError
from supervisor.spec.container import Container
from supervisor.spec.network import Network, PublishedPort
from supervisor.spec.pod import Pod
from supervisor.spec.ports import collide
from supervisor.spec.sourcing import Build, ImageSource
from supervisor.spec.volume import Volume

#: What is at an absolute path: a file's bytes, or the names in a directory. Raises OSError.
Read = Callable[[str], bytes | tuple[str, ...]]

_REFUSED = {f".{section.lower()}": reason for section, reason in FILE_KINDS.items()}
_SUFFIXES = f"{', '.join(kind.suffix for kind in kinds.KINDS[:-1])} or {kinds.KINDS[-1].suffix}"
_DROP_IN_SUFFIXES = tuple(f"{kind.what}.d" for kind in kinds.KINDS)
_DROP_IN = "drop-in directories are not supported yet; write the settings into the file itself"


class _Outcome(Protocol):
    """What compiling a file of any kind gives."""

    @property
    def problems(self) -> tuple[Problem, ...]: ...
    @property
    def warnings(self) -> tuple[Problem, ...]: ...


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


def load(paths: str | Iterable[str], read: Read, context: Context | None = None) -> Loaded:
    """Compile the definitions at *paths*: files, or directories whose definitions all count.

    Paths are absolute. In a directory, files of other kinds (a README, an environment file) are passed over; named as
    a path of their own they are a problem. *context* gives the host's facts; its *names* are extended by what is found.
    Never raises for bad input: what *read* cannot read is a problem.
    """
    problems: list[Problem] = []
    files: dict[str, UnitFile] = {}
    for path in (paths,) if isinstance(paths, str) else paths:
        _gather(path, read, files, problems, named=True)
    names, clashes = _names(files)
    problems += clashes
    base = context or Context()
    together = dataclasses.replace(base, names={**base.names, **names})
    images = [image_file.compile_unit(file, together) for file in _of(files, kinds.IMAGE)]
    builds = [build_file.compile_unit(file, together) for file in _of(files, kinds.BUILD)]
    pods = [pod_file.compile_unit(file, together) for file in _of(files, kinds.POD)]
    together = dataclasses.replace(
        together,
        references={**base.references, **_references(images, builds)},
        pods={**base.pods, **{posixpath.basename(one.pod.source): one.pod for one in pods if one.pod}},
    )
    containers = [quadlet.compile_unit(file, together) for file in _of(files, kinds.CONTAINER)]
    networks = [network_file.compile_unit(file) for file in _of(files, kinds.NETWORK)]
    volumes = [volume_file.compile_unit(file) for file in _of(files, kinds.VOLUME)]
    compiled: tuple[_Outcome, ...] = (*containers, *networks, *volumes, *pods, *images, *builds)
    refused = {problem.file for problem in clashes}
    return Loaded(
        tuple(one.container for one in containers if one.container and one.container.source not in refused),
        tuple(problems) + tuple(problem for one in compiled for problem in one.problems),
        tuple(warning for one in compiled for warning in one.warnings) + _port_clashes(containers),
        tuple(one.network for one in networks if one.network and one.network.source not in refused),
        tuple(one.volume for one in volumes if one.volume and one.volume.source not in refused),
        tuple(one.pod for one in pods if one.pod and one.pod.source not in refused),
        tuple(one.image for one in images if one.image and one.image.source not in refused),
        tuple(one.build for one in builds if one.build and one.build.source not in refused),
    )


def _references(images: Iterable[image_file.Compiled], builds: Iterable[build_file.Compiled]) -> dict[str, str]:
    """File name to the image that containers run."""
    found = {posixpath.basename(i.image.source): i.image.tag or i.image.reference for i in images if i.image}
    return found | {posixpath.basename(b.build.source): b.build.tags[0] for b in builds if b.build}


def _of(files: dict[str, UnitFile], kind: kinds.Kind) -> list[UnitFile]:
    return [file for path, file in files.items() if kinds.of(path) is kind]


def _gather(path: str, read: Read, files: dict[str, UnitFile], problems: list[Problem], *, named: bool) -> None:
    """Parse what is at *path* into *files*; *named* when the caller asked for this very path."""
    suffix = posixpath.splitext(path)[1]
    if suffix in _REFUSED:
        problems.append(Problem(path, 0, "", _REFUSED[suffix]))
        return
    kind = kinds.of(path)
    if path in files or not (named or kind):
        return
    try:
        content = read(path)
    except OSError as error:
        problems.append(Problem(path, 0, "", f"cannot be read: {error.strerror or error}"))
        return
    if isinstance(content, bytes):
        if kind:
            files[path] = parse(path, content)
        else:
            problems.append(Problem(path, 0, "", f"is not a definition; give a {_SUFFIXES} file or a directory"))
        return
    if not named and kind:
        problems.append(Problem(path, 0, "", f"is a directory; a {kind.suffix} file was expected"))
        return
    for name in sorted(content):
        if name.endswith(_DROP_IN_SUFFIXES):
            problems.append(Problem(posixpath.join(path, name), 0, "", _DROP_IN))
        elif not name.startswith("."):
            _gather(posixpath.join(path, name), read, files, problems, named=False)


def _names(files: dict[str, UnitFile]) -> tuple[dict[str, str], list[Problem]]:
    """What each file name stands for, and what to say of two files that define the same."""
    names: dict[str, str] = {}
    owner: dict[tuple[str, str], str] = {}
    problems: list[Problem] = []
    for path, file in files.items():
        kind = kinds.of(path)
        assert kind is not None  # _gather takes no other files
        try:
            name = kinds.defined_name(file, kind)
        except UserError:
            continue  # reported when the file is compiled
        first = owner.setdefault((kind.what, name), path)
        for one, other in ((path, first), (first, path)) if first != path else ():
            problems.append(Problem(one, 0, "", f"{other} defines the {kind.what} '{name}' too; rename one of them"))
        names.setdefault(posixpath.basename(path), name)
    return names, problems


def _port_clashes(compiled: list[quadlet.Compiled]) -> tuple[Problem, ...]:
    """Warnings for ports of the host that two definitions publish: both may be deployed, not both started.

    Twice in one file is a mistake, and such a file is not among *compiled* with a container.
    """
    wanted = [
        (port.host, port, line, one.container.source)
        for one in compiled
        for line, port in one.ports
        if one.container and port.host
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
