"""Drop-ins: which directories hold more settings for a definition, and in which order they count. Pure.

As systemd.unit(5) and podman have it: files named ``*.conf`` in directories beside the definition, taken together in
the order of their names; of two with one name that in the more specific directory counts, so an empty file or a link
to /dev/null hides one. What they say comes after the definition itself.
"""

from __future__ import annotations

import dataclasses
import errno
import posixpath
from collections.abc import Callable, Iterable, Iterator

from supervisor.definitions.unitfile import UnitFile, parse
from supervisor.errors import Problem

#: What is at an absolute path: a file's bytes, or the names in a directory. Raises OSError. A path that ends in a slash
#: asks for a directory only.
Read = Callable[[str], bytes | tuple[str, ...]]

#: podman's own directories of system definitions, the one that wins first (podman-systemd.unit(5)).
PODMAN = ("/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd")

_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def directories(name: str) -> tuple[str, ...]:
    """The names of the drop-in directories of the definition file *name*, the most specific first."""
    stem, dot, kind = name.rpartition(".")
    suffix = f"{dot}{kind}.d"
    prefix, at, instance = stem.partition("@")
    found = [f"{kind}.d"]
    parts = prefix.split("-")
    for length in range(1, len(parts)):
        shorter = "-".join(parts[:length]) + "-"
        found += [shorter + suffix, *([f"{shorter}@{suffix}"] if at else [])]
    if instance:
        found.append(f"{prefix}@{suffix}")
    return tuple(reversed([*found, stem + suffix]))


def places(path: str, roots: Iterable[str]) -> tuple[str, ...]:
    """Where the drop-in directories of the file *path* may lie: beside it, and above it up to the one of *roots* that
    it is in; podman's directories add to each other."""
    own = posixpath.dirname(path)
    top = min((root for root in roots if _inside(own, root)), key=len, default=own)
    chain = [own]
    while chain[-1] != top:
        chain.append(posixpath.dirname(chain[-1]))
    if top not in PODMAN:
        return tuple(chain)
    return tuple(place for root in PODMAN for place in (chain if root == top else [root]))


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


class DropIns:
    """The drop-ins below the directories that are read; each is read once."""

    def __init__(self, read: Read, roots: Iterable[str]) -> None:
        self._read = read
        self._roots = tuple(roots)
        self._names: dict[str, tuple[str, ...]] = {}
        self._files: dict[str, UnitFile] = {}

    def merged(self, file: UnitFile) -> UnitFile:
        """*file* with what its drop-ins say after it; what cannot be read of them is a problem of *file*."""
        chosen: dict[str, str] = {}
        for directory in directories(posixpath.basename(file.path)):
            for place in places(file.path, self._roots):
                for name in self._list(posixpath.join(place, directory)):
                    chosen.setdefault(name, posixpath.join(place, directory, name))
        added = [self._parsed(path) for _, path in sorted(chosen.items())]
        return dataclasses.replace(
            file,
            sections=(*file.sections, *(section for one in added for section in one.sections)),
            assignments=(*file.assignments, *(at for one in added for at in one.assignments)),
            problems=(*file.problems, *(problem for one in added for problem in one.problems)),
        )

    def unused(self, seen: Iterable[str]) -> Iterator[str]:
        """Those of the drop-in directories *seen* that belong to no definition that was read."""
        return (path for path in seen if path not in self._names)

    def _list(self, directory: str) -> tuple[str, ...]:
        """The settings files in it; nothing where it is not there."""
        if directory not in self._names:
            try:
                content = self._read(f"{directory}/")
            except OSError as error:
                # The directory stands for what cannot be read in it.
                content = () if error.errno in _ABSENT else (".",)
            named = () if isinstance(content, bytes) else content
            self._names[directory] = tuple(n for n in named if n == "." or (n.endswith(".conf") and n[0] != "."))
        return self._names[directory]

    def _parsed(self, path: str) -> UnitFile:
        if path not in self._files:
            try:
                content = self._read(path)
                complaint = "" if isinstance(content, bytes) else "is a directory; a file was expected"
            except OSError as error:
                content, complaint = b"", f"cannot be read: {error.strerror or error}"
            found = parse(path, content if isinstance(content, bytes) else b"")
            if complaint:
                found = dataclasses.replace(found, problems=(Problem(path, 0, "", complaint),))
            self._files[path] = placed(found, path)
        return self._files[path]


def placed(file: UnitFile, path: str) -> UnitFile:
    """*file*, each line of which knows that it was read from *path*, unless it was read from elsewhere already."""
    return dataclasses.replace(
        file,
        sections=tuple(dataclasses.replace(one, path=one.path or path) for one in file.sections),
        assignments=tuple(dataclasses.replace(one, path=one.path or path) for one in file.assignments),
    )
