"""Templates: which instances a file ``web@.container`` has. Pure.

A template deploys nothing itself. Its instances are files or links ``web@NAME.container``, and the one that
``DefaultInstance=`` in [Install] names, which needs no file (podman-systemd.unit(5)).
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterable

from supervisor.definitions import coverage, section_keys
from supervisor.definitions.dropins import placed
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import Assignment, UnitFile

#: systemd.unit(5): what a unit's name may be made of.
_INSTANCE = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}")


def is_template(path: str) -> bool:
    """Whether the definition file *path* is a template, and no instance of one."""
    return posixpath.splitext(posixpath.basename(path))[0].endswith("@")


def template_of(path: str) -> str:
    """The template that the definition file *path* would be an instance of; empty when its name is none's."""
    directory, name = posixpath.split(path)
    prefix, at, _ = name.partition("@")
    return posixpath.join(directory, f"{prefix}@{posixpath.splitext(name)[1]}") if at else ""


def is_instance(path: str, template: str) -> bool:
    """Whether *path*, in whichever directory, is named as an instance of *template*."""
    return not is_template(path) and posixpath.basename(template_of(path)) == posixpath.basename(template)


def how_to_instantiate(template: str) -> str:
    """The command that makes an instance."""
    name = posixpath.basename(template)
    return f"ln -s {name} {name.replace('@', '@NAME', 1)}"


def check_keys(template: UnitFile, findings: Findings) -> None:
    """Refuse keys of *template* that no instance of it could have: nobody compiles it without one."""
    for at in template.assignments:
        known = coverage.keys(at.section) or at.section in section_keys.KNOWN
        if not known or at.key.startswith("X-") or coverage.is_systemd(at.section, at.key):
            continue
        key = coverage.find(at.section, at.key)
        if key is None:
            findings.refuse(at, coverage.explain(at.section, at.key))
        elif key.state is coverage.State.REFUSED:
            findings.refuse(at, key.reason)


def default_instance(
    template: UnitFile, settings: Iterable[Assignment], paths: Iterable[str], findings: Findings
) -> UnitFile | None:
    """The instance that *template* asks for in *settings*, its [Install] with drop-ins, as if there were a file of it;
    None when there is one among *paths*, or nothing is asked for. Every line keeps the place where it was read."""
    name = ""
    for at in settings:
        if at.key != "DefaultInstance":
            continue
        name = at.value.strip('"')
        if name and not _INSTANCE.fullmatch(name):
            findings.refuse(at, "is not the name of an instance; use letters, digits and :_.-")
            return None
    if not name:
        if not any(is_instance(path, template.path) for path in paths):
            hint = f"make one with '{how_to_instantiate(template.path)}', or write DefaultInstance= in [Install]"
            findings.warn_file(f"is a template, and no instance of it is here; {hint}")
        return None
    directory, own = posixpath.split(template.path)
    path = posixpath.join(directory, own.replace("@", f"@{name}", 1))
    if any(posixpath.basename(other) == posixpath.basename(path) for other in paths):
        return None
    return dataclasses.replace(placed(template, template.path), path=path)
