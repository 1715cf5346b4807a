"""Files that are no definitions here, and of which silence would mislead: what to say of each, by its name. Pure.

podman passes over every file whose suffix it does not know. So does ctr, but for those whose author expects something
to run: files of other tools that describe containers, and a suffix that is misspelt.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable

from supervisor.definitions.compose_keys import NO_COMPOSE
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import parse
from supervisor.errors import Problem

#: Sections whose files are units of podman, and of nobody here.
_UNITS = FILE_KINDS | {"Artifact": ".artifact files are not supported; 'ctrctl pull' fetches images only"}
_SECTIONS = {f".{section.lower()}": section for section in _UNITS}

#: The names that Compose looks for, and what people call the further files of ``-f``.
_COMPOSE = re.compile(r"(docker-|podman-)?compose(\.[^.]+)?\.ya?ml")


def is_known(path: str) -> bool:
    """Whether *path* is a file of another tool, which is refused."""
    name = posixpath.basename(path)
    return posixpath.splitext(name)[1] in _SECTIONS or _COMPOSE.fullmatch(name) is not None


def refusal(path: str, content: bytes) -> Problem:
    """Why the file *path*, which `is_known`, gives nothing: at its first key that would make podman run something."""
    section = _SECTIONS.get(posixpath.splitext(path)[1])
    if section is None:
        return Problem(path, 1, "", NO_COMPOSE)
    file = parse(path, content)
    for at in file.of(section):
        return Problem(path, at.line, at.key, _UNITS[section])
    return Problem(path, file.begin(section).line, "", _UNITS[section])


def meant(path: str, suffixes: Iterable[str]) -> str:
    """The one of *suffixes* that the author of the file *path* meant, as far as one can tell; empty: none of them.

    What an editor keeps (``web.container~``) has other characters behind the suffix, and is no mistake.
    """
    suffix = posixpath.splitext(path)[1]
    if not suffix[1:].isalpha():
        return ""
    return next(iter(difflib.get_close_matches(suffix.lower(), suffixes, n=1, cutoff=0.8)), "")
