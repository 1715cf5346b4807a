"""A directory or a list of files in, every container they define out. Pure: the caller's *read* does the reading.

Definitions are compiled together, because one may name another. A file that has mistakes is left out; the caller
decides whether the rest may be used.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from supervisor.definitions import quadlet
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import UnitFile, parse
from supervisor.errors import Problem, UserError
from supervisor.spec.container import Container

#: What is at an absolute path: a file's bytes, or the names in a directory. Raises OSError.
Read = Callable[[str], bytes | tuple[str, ...]]

_REFUSED = {f".{section.lower()}": reason for section, reason in FILE_KINDS.items()}
_DROP_IN = "drop-in directories are not supported yet; write the settings into the file itself"


@dataclass(frozen=True, slots=True)
class Loaded:
    """*containers* in the order of their files' names; *problems* and *warnings* in the order of files and lines."""

    containers: tuple[Container, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load(paths: str | Iterable[str], read: Read, context: quadlet.Context | None = None) -> Loaded:
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
    base = context or quadlet.Context()
    together = dataclasses.replace(base, names={**base.names, **names})
    compiled = [quadlet.compile_unit(file, together) for file in files.values()]
    refused = {problem.file for problem in clashes}
    return Loaded(
        tuple(one.container for one in compiled if one.container is not None and one.container.source not in refused),
        tuple(problems) + tuple(problem for one in compiled for problem in one.problems),
        tuple(warning for one in compiled for warning in one.warnings),
    )


def _gather(path: str, read: Read, files: dict[str, UnitFile], problems: list[Problem], *, named: bool) -> None:
    """Parse what is at *path* into *files*; *named* when the caller asked for this very path."""
    suffix = posixpath.splitext(path)[1]
    if suffix in _REFUSED:
        problems.append(Problem(path, 0, "", _REFUSED[suffix]))
        return
    if path in files or not (named or suffix == quadlet.SUFFIX):
        return
    try:
        content = read(path)
    except OSError as error:
        problems.append(Problem(path, 0, "", f"cannot be read: {error.strerror or error}"))
        return
    if isinstance(content, bytes):
        if suffix == quadlet.SUFFIX:
            files[path] = parse(path, content)
        else:
            problems.append(Problem(path, 0, "", f"is not a definition; give a {quadlet.SUFFIX} file or a directory"))
        return
    if not named:
        problems.append(Problem(path, 0, "", f"is a directory; a {quadlet.SUFFIX} file was expected"))
        return
    for name in sorted(content):
        if name.endswith((f"{quadlet.SUFFIX}.d", "container.d")):
            problems.append(Problem(posixpath.join(path, name), 0, "", _DROP_IN))
        elif not name.startswith("."):
            _gather(posixpath.join(path, name), read, files, problems, named=False)


def _names(files: dict[str, UnitFile]) -> tuple[dict[str, str], list[Problem]]:
    """Which container each file name stands for, and what to say of two files that define the same one."""
    names: dict[str, str] = {}
    owner: dict[str, str] = {}
    problems: list[Problem] = []
    for path, file in files.items():
        try:
            name = quadlet.container_name(file)
        except UserError:
            continue  # reported when the file is compiled
        if name in owner:
            problems.append(
                Problem(path, 0, "", f"{owner[name]} defines the container '{name}' too; rename one of them")
            )
            problems.append(
                Problem(owner[name], 0, "", f"{path} defines the container '{name}' too; rename one of them")
            )
        owner.setdefault(name, path)
        names.setdefault(posixpath.basename(path), name)
    return names, problems
