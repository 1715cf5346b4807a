"""The kinds of definition files: which section and suffix each has, and the name that a file defines. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.definitions import coverage, networks, specifiers
from supervisor.definitions.findings import Findings
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import UserError
from supervisor.names import check_name


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file. Its name is *name_key*'s value, or the file's without suffix."""

    section: str
    name_key: str
    """Empty: the file's name is all there is."""
    check: Callable[[str], str]
    """Returns a name that is valid, else raises `UserError`."""

    @property
    def what(self) -> str:
        return self.section.lower()

    @property
    def suffix(self) -> str:
        return f".{self.what}"

    def stem(self, path: str) -> str:
        """The file's name without suffix."""
        return posixpath.basename(path).removesuffix(self.suffix)


CONTAINER = Kind("Container", "ContainerName", check_name)
NETWORK = Kind("Network", "NetworkName", networks.network_name)
VOLUME = Kind("Volume", "VolumeName", lambda text: check_name(text, "volume name"))
POD = Kind("Pod", "PodName", lambda text: check_name(text, "pod name"))
IMAGE = Kind("Image", "", lambda text: check_name(text, "the file's name"))
BUILD = Kind("Build", "", lambda text: check_name(text, "the file's name"))

KINDS = (CONTAINER, NETWORK, VOLUME, POD, IMAGE, BUILD)

_UNIT_SECTIONS = frozenset({"Quadlet", "Unit", "Service", "Install"})


def of(path: str) -> Kind | None:
    """The kind of the file *path*, by its suffix."""
    suffix = posixpath.splitext(path)[1]
    return next((kind for kind in KINDS if kind.suffix == suffix), None)


def defined_name(file: UnitFile, kind: Kind) -> str:
    """The name of what *file* defines. Raises `UserError` when that is no valid name.

    podman puts 'systemd-' before the file's name, so that its own commands do not collide; here nothing is put there.
    """
    stem = kind.stem(file.path)
    if "@" in stem:
        raise UserError(
            f"'{stem}' is a template, and templates are not supported yet; write one file for each instance"
        )
    written = [at.value for at in file.of(kind.section) if kind.name_key and at.key == kind.name_key]
    if not written or not written[-1]:
        check_name(stem, "the file's name")
        return kind.check(stem)
    text = written[-1][1:-1] if written[-1][0] == written[-1][-1] == '"' else written[-1]
    return kind.check(specifiers.expand(text, stem=stem, unit=unit(kind, stem)))


def unit(kind: Kind, stem: str) -> str:
    """What ``%n`` is in a file that has no name yet: the unit that podman makes of it."""
    return f"{stem}.service" if kind is CONTAINER else f"{stem}-{kind.what}.service"


def name_or_refuse(file: UnitFile, kind: Kind, findings: Findings) -> str:
    """As `defined_name`; a stand-in after a mistake, so that the rest of the file is checked too."""
    try:
        return defined_name(file, kind)
    except UserError as error:
        at = [at for at in file.of(kind.section) if at.key == kind.name_key and at.value]
        if at and "@" not in kind.stem(file.path):
            findings.refuse(at[-1], error)
        else:
            findings.refuse_file(0, str(error))
        return "invalid"


def check_sections(file: UnitFile, kind: Kind, findings: Findings, needs: str = "") -> None:
    """Refuse sections that do not belong into *file*; *needs* says what its own section cannot be without."""
    known = _UNIT_SECTIONS | {kind.section}
    for section in file.sections:
        if section.name in FILE_KINDS:
            findings.refuse_file(section.line, f"[{section.name}]: {FILE_KINDS[section.name]}")
        elif section.name not in known and not section.name.startswith("X-"):
            names = ", ".join(f"[{name}]" for name in sorted(known))
            findings.refuse_file(
                section.line, f"[{section.name}] is not a section of a {kind.suffix} file; use {names}"
            )
    if not any(section.name == kind.section for section in file.sections):
        findings.refuse_file(0, f"has no [{kind.section}] section; add one{needs}")


def check_no_unit(file: UnitFile, kind: Kind, findings: Findings) -> None:
    """[Unit], [Service] and [Install] of a definition that becomes no unit of its own."""
    for at in (*file.of("Unit"), *file.of("Service")):
        if at.key.startswith("X-") or (at.section == "Unit" and at.key in ("Description", "Documentation")):
            continue
        findings.refuse(at, f"a {kind.what} is no unit, so it would do nothing; write it in the .container file")
    for at in file.of("Install"):
        key = coverage.find("Install", at.key)
        if at.key.startswith("X-"):
            continue
        if key is None:
            findings.refuse(at, coverage.explain("Install", at.key))
        else:
            findings.warn(at, f"has no effect: a {kind.what} is there before the first container that uses it starts")
