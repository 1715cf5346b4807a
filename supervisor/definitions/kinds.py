"""The kinds of definition files: which section and suffix each has, and the name that a file defines. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from supervisor.definitions import coverage, networks, specifiers
from supervisor.definitions.findings import Findings
from supervisor.definitions.own_section import SECTION
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.definitions.words import unquoted
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

#: What ``ServiceName=`` comes to.
_SERVICE_NAME = {
    CONTAINER.section: "the unit is ctr@{name}.service; definitions beside this one may go on calling it "
    "{value}.service, people and other units not",
    POD.section: "the unit is ctr@{name}.target; definitions beside this one may go on calling it {value}.service, "
    "people and other units not",
    **{
        kind.section: f"a {kind.what} is no unit here; definitions that name {{value}}.service find it there anyway"
        for kind in (NETWORK, VOLUME, IMAGE, BUILD)
    },
}

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
    if stem.endswith("@"):
        raise UserError(f"'{stem}' is a template; an instance of it has a name behind the '@'")
    written = [at.value for at in file.of(kind.section) if kind.name_key and at.key == kind.name_key]
    unit_name = unit_stem(file, kind)
    if not written or not unquoted(written[-1]):
        # podman's default is systemd-%N, and systemd-%p_%i for an instance.
        default = unit_name if kind is CONTAINER else stem
        return kind.check(_file_name(default.replace("@", "_", 1), kind))
    text = unquoted(written[-1])
    return kind.check(specifiers.expand(text, stem=unit_name, unit=f"{unit_name}.service", more=file.specifiers))


def _file_name(text: str, kind: Kind) -> str:
    try:
        return check_name(text, "the file's name")
    except UserError as error:
        if not kind.name_key:
            raise
        raise UserError(f"{error}; or write {kind.name_key}=") from error


def unit(kind: Kind, stem: str) -> str:
    """The unit that podman makes of the file *stem*."""
    return f"{stem}.service" if kind is CONTAINER else f"{stem}-{kind.what}.service"


def unit_stem(file: UnitFile, kind: Kind) -> str:
    """The name of the unit that podman makes of *file*, without ``.service``: what ``%N`` is."""
    named = [at.value for at in file.of(kind.section) if at.key == "ServiceName"]
    return (named and unquoted(named[-1])) or unit(kind, kind.stem(file.path)).removesuffix(".service")


def name_or_refuse(file: UnitFile, kind: Kind, findings: Findings) -> str:
    """As `defined_name`; a stand-in after a mistake, so that the rest of the file is checked too."""
    try:
        name = defined_name(file, kind)
    except UserError as error:
        refuse_name(file, kind, findings, error)
        return "invalid"
    for at in file.of(kind.section):
        if at.key == "ServiceName" and at.value:
            findings.warn(at, _SERVICE_NAME[kind.section].format(name=name, value=unit_stem(file, kind)[:80]))
    return name


def refuse_name(file: UnitFile, kind: Kind, findings: Findings, message: object) -> None:
    """Refuse the name of what *file* defines, where it is written, if it is."""
    keys = (kind.name_key, "ServiceName") if kind is CONTAINER else (kind.name_key,)
    written = [at for at in file.of(kind.section) if at.key in keys and at.value]
    if written and not kind.stem(file.path).endswith("@"):
        findings.refuse(written[-1], message)
    else:
        findings.refuse_section(file.begin(kind.section), message)


def check_sections(file: UnitFile, kind: Kind, findings: Findings, needs: str = "") -> None:
    """Refuse sections that do not belong into *file*; *needs* says what its own section cannot be without."""
    known = _UNIT_SECTIONS | {kind.section}
    for section in file.sections:
        if section.name in FILE_KINDS:
            findings.refuse_file(section.line, f"[{section.name}]: {FILE_KINDS[section.name]}", section.path)
        elif section.name.lower() == SECTION.lower() and kind is not CONTAINER:
            text = "has a meaning in .container files only: its keys are about one container; move it there"
            findings.refuse_file(section.line, f"[{SECTION}] {text}", section.path)
        elif section.name not in known and not section.name.startswith("X-"):
            names = ", ".join(f"[{name}]" for name in sorted(known))
            text = f"[{section.name}] is not a section of a {kind.suffix} file; use {names}"
            findings.refuse_file(section.line, text, section.path)
    if not any(section.name == kind.section for section in file.sections):
        findings.refuse_section(file.begin(kind.section), f"has no [{kind.section}] section; add one{needs}")


def check_no_unit(file: UnitFile, kind: Kind, findings: Findings) -> None:
    """[Unit], [Service] and [Install] of a definition that becomes no unit of its own: whatever says when, with what or
    how long podman's unit is started means nothing here; what it would run does, and is refused."""
    for at in without_unit(file, kind, findings):
        if at.section == "Service" and at.key.startswith("Exec"):
            findings.refuse(at, f"a {kind.what} is no unit, so it would not be run; write it in the .container file")
        else:
            findings.warn(at, f"has no effect: a {kind.what} is there before the first container that uses it starts")


def without_unit(file: UnitFile, kind: Kind, findings: Findings) -> Iterator[Assignment]:
    """The lines of [Unit], [Service] and [Install] that would matter to a unit, and *file* makes none. What describes
    it is passed over, what systemd does not know is refused."""
    for at in (*file.of("Unit"), *file.of("Service"), *file.of("Install")):
        if at.key.startswith("X-") or (at.section == "Unit" and at.key in ("Description", "Documentation")):
            continue
        if at.section == "Install" and at.key == "DefaultInstance":
            if "@" not in kind.stem(file.path):
                findings.warn(at, no_template(kind))
        elif coverage.is_systemd(at.section, at.key) or coverage.find(at.section, at.key):
            yield at
        else:
            findings.refuse(at, coverage.explain(at.section, at.key))


def no_template(kind: Kind) -> str:
    """What is to be said of DefaultInstance= in a file of another name."""
    return f"has no effect: this file is no template; one is called NAME@{kind.suffix}"
