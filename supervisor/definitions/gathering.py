"""Which files are meant by some paths: definitions, their drop-ins and instances, put together for the compilers. Pure.

Owns what counts as a definition and where one is looked for; what a file means is the compilers'. Directories are read
with all that is below them, as podman does.
"""

from __future__ import annotations

import dataclasses
import errno
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from supervisor.definitions import dropins, foreign, kinds, templates
from supervisor.definitions.dropins import DropIns, Read
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import UnitFile, parse
from supervisor.errors import Problem

#: Where definitions are kept; a drop-in directory in one of them serves the definitions further down too.
HOMES = (*dropins.PODMAN, "/etc/ctr")

#: A link that leads back to a directory above it would otherwise never end.
_DEPTH = 32
_DIRECTORIES = 10_000

_SUFFIXES = tuple(kind.suffix for kind in kinds.KINDS)
_DROP_IN_NAMES = tuple(f"{kind.what}.d" for kind in kinds.KINDS)
_DROP_IN_SUFFIXES = tuple(f"{kind.suffix}.d" for kind in kinds.KINDS)


@dataclass(slots=True)
class Gathered:
    """The result. Mutable while `gather` fills it."""

    files: dict[str, UnitFile] = field(default_factory=dict)
    """By path. That of a template's own instance is where its file would be."""
    templates: dict[str, str] = field(default_factory=dict)
    """Of those instances: path to the path of the template."""
    withheld: list[str] = field(default_factory=list)
    """What gives nothing, though what was deployed from there is not meant to go: templates with mistakes, links that
    lead nowhere, definitions for other users."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def is_passed_over(name: str, depth: int) -> bool:
    """Whether what is called *name* in a directory counts for nothing; *depth* is 0 in a directory that was named."""
    return name.startswith(".") or (name == "users" and depth == 0)


def holds_drop_ins(name: str) -> bool:
    """Whether a directory called *name* has settings for definitions, and no definitions."""
    return name in _DROP_IN_NAMES or name.endswith(_DROP_IN_SUFFIXES)


def gather(paths: Iterable[str], read: Read, host: Mapping[str, str]) -> Gathered:
    """Read what is at *paths*. *host* is what `specifiers.HOST` letters stand for. Never raises for bad input."""
    found = Gathered()
    walk = _Walk(read, found)
    roots = [path for path in paths if walk.named(path)]
    _mask(found)
    merging = DropIns(read, (*roots, *HOMES))
    for path, file in list(found.files.items()):
        merged = merging.merged(file)
        if not templates.is_template(path):
            found.files[path] = merged
            continue
        del found.files[path]
        findings = Findings(path)
        if instance := templates.default_instance(file, merged.of("Install"), walk.files, findings):
            found.templates[instance.path] = path
            found.files[instance.path] = merging.merged(instance)
        else:
            _check_template(path, merged, walk.files, findings)
        if findings.problems:
            found.withheld.append(path)
        found.problems += findings.problems
        found.warnings += findings.warnings
    for path in merging.unused(walk.drop_ins):
        found.warnings.append(Problem(path, 0, "", "belongs to no definition here; add that, or remove the directory"))
    found.files = {path: dataclasses.replace(found.files[path], specifiers=host) for path in sorted(found.files)}
    return found


def _check_template(path: str, merged: UnitFile, files: Iterable[str], findings: Findings) -> None:
    """What is wrong with a template that has no default instance: a mistake may be why. Those that are files show most
    mistakes themselves."""
    findings.add(merged.problems)
    kind = kinds.of(path)
    assert kind is not None  # gather takes no other files
    if not any(templates.is_instance(other, path) for other in files):
        kinds.check_sections(merged, kind, findings)
        templates.check_keys(merged, findings)


def _mask(found: Gathered) -> None:
    """podman-systemd.unit(5): of two files with one name, that in /run counts, then that in /etc, then that in /usr."""
    first: dict[str, str] = {}
    for root in dropins.PODMAN:
        inside = [path for path in found.files if path.startswith(f"{root}/")]
        for path in inside:
            other = first.setdefault(posixpath.basename(path), path)
            if not other.startswith(f"{root}/"):
                del found.files[path]
                found.warnings.append(Problem(path, 0, "", f"is masked by {other}, as by podman; nothing of it counts"))


class _Walk:
    """Goes through directories and parses the definitions in them."""

    def __init__(self, read: Read, found: Gathered) -> None:
        self._read = read
        self._found = found
        self._directories = 0
        self._root = ""
        self.drop_ins: list[str] = []
        """The drop-in directories that were seen."""

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self._found.files)

    def named(self, path: str) -> bool:
        """Take what is at *path*, which the caller asked for; whether that is a directory."""
        try:
            content = self._read(path)
        except OSError as error:
            self._refuse(path, self._missing(path, error))
            return False
        if isinstance(content, bytes):
            self._file(path, content)
            if templates.is_template(path):
                self._instances(path)
            return False
        self._root = path
        self._directory(path, content, 0)
        return True

    def _missing(self, path: str, error: OSError) -> str:
        template = templates.template_of(path)
        if error.errno == errno.ENOENT and kinds.of(path) and template and self._is_file(template):
            link = f"ln -s {posixpath.basename(template)} {path}"
            return f"is not there, but its template is; make the instance with '{link}'"
        return f"cannot be read: {error.strerror or error}"

    def _instances(self, template: str) -> None:
        """Naming a template means the instances beside it."""
        directory = posixpath.dirname(template)
        try:
            names = self._read(f"{directory}/")
        except OSError as error:
            self._refuse(directory, f"cannot be read: {error.strerror or error}")
            return
        for name in sorted(names) if not isinstance(names, bytes) else ():
            if templates.is_instance(name, template):
                self._entry(posixpath.join(directory, name), 0)

    def _is_file(self, path: str) -> bool:
        try:
            return isinstance(self._read(path), bytes)
        except OSError:
            return False

    def _file(self, path: str, content: bytes) -> None:
        if foreign.is_known(path):
            self._found.problems.append(foreign.refusal(path, content))
        elif not kinds.of(path):
            wanted = f"{', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
            self._refuse(path, f"is not a definition; give a {wanted} file or a directory")
        else:
            self._found.files.setdefault(path, parse(path, content))

    def _directory(self, path: str, names: Iterable[str], depth: int) -> None:
        self._directories += 1
        if depth > _DEPTH or self._directories > _DIRECTORIES:
            text = "lies too deep, or a link leads back to where it is; remove the link"
            self._refuse(path, text)
            if self._directories > _DIRECTORIES and path != self._root:
                # Others are not read either.
                self._refuse(self._root, f"has too many directories: {path} {text}")
            return
        for name in sorted(names):
            below = posixpath.join(path, name)
            if is_passed_over(name, depth):
                if not name.startswith("."):
                    self._rootless(below)
            elif holds_drop_ins(name):
                self.drop_ins.append(below)
            elif self._directories <= _DIRECTORIES:
                self._entry(below, depth)

    def _rootless(self, path: str) -> None:
        """podman-systemd.unit(5): these are for the users' own managers, never for the system's."""
        names = self._names(path)
        if names:  # podman's package makes an empty one
            text = "holds definitions for rootless podman, which are passed over; name it to deploy them here"
            self._found.warnings.append(Problem(path, 0, "", text))
        if names is not None:
            self._found.withheld.append(path)

    def _entry(self, path: str, depth: int) -> None:
        """What is in a directory: a definition, a directory, or something else, which is left alone unread."""
        kind = kinds.of(path)
        names = self._names(path)
        if names is not None and kind:
            self._refuse(path, f"is a directory; a {kind.suffix} file was expected")
        elif names is not None:
            self._directory(path, names, depth + 1)
        elif kind or foreign.is_known(path):
            self._take(path)
        elif suffix := foreign.meant(path, _SUFFIXES):
            self._found.warnings.append(Problem(path, 0, "", f"is no definition, and passed over; was {suffix} meant?"))

    def _take(self, path: str) -> None:
        try:
            content = self._read(path)
        except OSError as error:
            self._refuse(path, f"cannot be read: {error.strerror or error}")
            return
        if isinstance(content, bytes):
            self._file(path, content)

    def _names(self, path: str) -> tuple[str, ...] | None:
        """What is in the directory *path*; None when it is none."""
        try:
            content = self._read(f"{path}/")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                self._refuse(path, f"cannot be read: {error.strerror or error}")
            elif error.errno == errno.ENOENT and not kinds.of(path):
                # It may have led to a directory that is about to come back.
                text = "leads nowhere; what was deployed from below it stays until it is mended or removed"
                self._found.warnings.append(Problem(path, 0, "", text))
                self._found.withheld.append(path)
            return None
        return None if isinstance(content, bytes) else content

    def _refuse(self, path: str, message: str) -> None:
        self._found.problems.append(Problem(path, 0, "", message))
