"""[Unit], [Service] and [Install] of a definition: what goes through to systemd, and what belongs on the scope. Pure.

The tables are in `section_keys` and `resources`; this module applies them. Text that goes through keeps
systemd's own specifiers; what podman's unit is called (``%N``) and names of definitions (``After=db.container``) are
replaced.
"""

from __future__ import annotations

import dataclasses
import posixpath
from dataclasses import dataclass, field

from supervisor.definitions import coverage, kinds, resources, section_keys, specifiers, unit_names, values
from supervisor.definitions.findings import Findings
from supervisor.definitions.unit_names import Neighbours
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import UserError
from supervisor.names import check_alias, check_unit
from supervisor.spec.container import Entry, ScopeProperty, UnitSections

__all__ = ["Neighbours", "Sections", "compile_sections"]

#: systemd 254 is the first that reads .upholds directories.
_UPHELD_BY = 254

_RESTART = values.words("no always on-success on-failure on-abnormal on-watchdog on-abort")


@dataclass(slots=True)
class Sections:
    """The result. Mutable while `compile_sections` fills it."""

    unit: list[Entry] = field(default_factory=list)
    service: list[Entry] = field(default_factory=list)
    install: list[Entry] = field(default_factory=list)
    limits: dict[str, tuple[Assignment, ScopeProperty]] = field(default_factory=dict)
    """By property name, with the line that asked for it."""
    oneshot: bool = False

    def frozen(self) -> UnitSections:
        return UnitSections(tuple(self.unit), tuple(self.service), tuple(self.install))


def compile_sections(file: UnitFile, findings: Findings, neighbours: Neighbours) -> Sections:
    """Read the three sections of *file*; every mistake goes to *findings*."""
    result = Sections()
    file = _expanded(file, findings, neighbours)
    for assignment in file.of("Unit"):
        _unit(assignment, result, findings, neighbours)
    for assignment in file.of("Service"):
        _service(assignment, result, findings, neighbours)
    for assignment in file.of("Install"):
        _install(assignment, result, findings, neighbours)
    _check_oneshot(file, result, findings)
    return result


def _expanded(file: UnitFile, findings: Findings, neighbours: Neighbours) -> UnitFile:
    """*file* with the name that podman's unit would have in the place of ``%N`` and the like."""
    kind = kinds.of(file.path)
    stem = kinds.unit_stem(file, kind) if kind else file.path
    found = []
    for at in (*file.of("Unit"), *file.of("Service"), *file.of("Install")):
        try:
            found.append(dataclasses.replace(at, value=specifiers.in_unit(at.value, stem)))
        except UserError as error:
            findings.refuse(at, error)
        if "@" not in stem and (letter := specifiers.instance(at.value)):
            own = unit_names.own(neighbours)
            text = f"is '{neighbours.name}' here, after {own}, and nothing under podman; write %N, the name in both"
            findings.warn(at, f"%{letter} {text}")
    return dataclasses.replace(file, assignments=tuple(found))


def _unit(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-"):
        return  # systemd.unit(5): "reserved for applications", never an error
    if reason := section_keys.UNIT_REFUSED.get(at.key):
        findings.refuse(at, reason)
    elif at.key not in section_keys.UNIT:
        findings.refuse(at, coverage.explain(at.section, at.key))
    elif at.key in section_keys.DEPENDENCIES:
        units = unit_names.translated(at, findings, neighbours)
        # Nothing left is nothing to wait for; an empty assignment would mean something else.
        if units or not at.value:
            _pass_on(at, result.unit, units, findings, neighbours)
    elif at.key in section_keys.UNIT_NO_EFFECT and kinds.of(neighbours.own) is kinds.CONTAINER and _is_true(at.value):
        findings.warn(at, f"has no effect: {section_keys.UNIT_NO_EFFECT[at.key]}")
    else:
        _pass_on(at, result.unit, at.value, findings, neighbours)


def _is_true(text: str) -> bool:
    try:
        return values.boolean(text)
    except UserError:
        return False


def _service(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-") or section_keys.ALREADY_SO.get(at.key) == at.value:
        return
    if at.key in section_keys.ALREADY_TRUE and _is_true(at.value):
        return
    if text := section_keys.NEARLY_SO.get((at.key, at.value)):
        findings.warn(at, text)
        return
    if at.key in resources.KEYS:
        _limit(at, result, findings, neighbours)
    elif at.key == "Type" and at.value in ("notify", "oneshot"):
        result.oneshot = at.value == "oneshot"
    elif at.key == "RemainAfterExit":
        _remain_after_exit(at, result, findings)
    elif reason := section_keys.SERVICE_REFUSED.get(at.key):
        findings.refuse(at, reason)
    elif at.key not in section_keys.SERVICE:
        findings.refuse(at, coverage.explain(at.section, at.key))
    elif at.key == "Restart" and at.value and at.value not in _RESTART:
        findings.refuse(at, _bad_restart(at.value))
    else:
        program = posixpath.basename(at.value.lstrip("-@+!:|").partition(" ")[0])
        if at.key.startswith("Exec") and program in ("podman", "docker"):
            findings.warn(at, f"{program} knows nothing of the containers and volumes here; write ctrctl instead")
        _pass_on(at, result.service, at.value, findings, neighbours)


def _install(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-"):
        return
    key = coverage.find("Install", at.key)
    if key is None:
        findings.refuse(at, coverage.explain("Install", at.key))
    elif key.state is coverage.State.REFUSED:
        findings.refuse(at, key.reason)
    elif key.state is coverage.State.NO_EFFECT:
        findings.warn(at, f"has no effect: {key.reason}")
    elif at.key == "DefaultInstance":
        kind = kinds.of(neighbours.own)
        if kind and "@" not in neighbours.own:
            findings.warn(at, kinds.no_template(kind))
    elif at.key == "UpheldBy" and at.value and 0 < neighbours.systemd < _UPHELD_BY:
        instead = "write Upholds= in the other unit"
        findings.refuse(at, f"needs systemd {_UPHELD_BY}, and this host has {neighbours.systemd}; {instead}")
    else:
        units = at.value if at.key == "Alias" else unit_names.translated(at, findings, neighbours)
        if _are_units(at, units, findings, unit_names.own(neighbours)):
            _pass_on(at, result.install, units, findings, neighbours)


def _are_units(at: Assignment, units: str, findings: Findings, own: str) -> bool:
    """Whether links can be made for *units*; what cannot is refused. A line whose names were all dropped has none."""
    try:
        for unit in units.split():
            if at.key != "Alias":
                check_unit(unit)
            elif own:
                check_alias(unit, own)
    except UserError as error:
        findings.refuse(at, error)
        return False
    return bool(units) or not at.value


def _pass_on(at: Assignment, entries: list[Entry], value: str, findings: Findings, neighbours: Neighbours) -> None:
    if not at.value:
        # Resolved here: in our drop-in, an empty assignment would also reset what ctr@.service itself sets.
        entries[:] = [entry for entry in entries if entry.key != at.key]
        return
    if at.key in section_keys.SPANS and at.value != "infinity" and "%" not in at.value:
        try:
            values.microseconds(at.value)
        except UserError as error:
            findings.refuse(at, error)
    if (since := section_keys.SINCE.get(at.key, 0)) > neighbours.systemd:
        findings.warn(at, f"needs systemd {since}; an older one, like Debian 12's 252, ignores it")
    entries.append(Entry(at.key, value))


def _limit(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    name = resources.KEYS[at.key].property
    # A percentage is a property of its own; the later line wins over either.
    either = (name, f"{name}Scale")
    if not at.value:
        for one in either:
            result.limits.pop(one, None)
        return
    try:
        limit = resources.scope_property(at.key, at.value)
    except UserError as error:
        findings.refuse(at, error)
        return
    if 0 < neighbours.systemd < (since := resources.KEYS[at.key].since):
        # Not a warning, as for a line that passes through: systemd would refuse to make the scope.
        findings.refuse(at, f"needs systemd {since}, and this host has {neighbours.systemd}; remove the line")
    before = result.limits.get(limit.name)
    for one in either:
        if one != limit.name:
            result.limits.pop(one, None)
    result.limits[limit.name] = (at, resources.added(before[1] if before else None, limit))


def _bad_restart(value: str) -> str:
    word = value.partition(":")[0]
    instead = {"unless-stopped": "always, with WantedBy=multi-user.target in [Install]"}.get(word)
    if word == "on-failure":
        instead = "on-failure, with StartLimitBurst= in [Unit] for the number of tries"
    return f"{values.short(value)} is not a restart policy; write {instead or ', '.join(sorted(_RESTART))}"


def _remain_after_exit(at: Assignment, result: Sections, findings: Findings) -> None:
    try:
        wanted = values.boolean(at.value) if at.value else False
    except UserError as error:
        findings.refuse(at, error)
        return
    result.service[:] = [entry for entry in result.service if entry.key != at.key]
    result.service.append(Entry(at.key, "yes" if wanted else "no"))


def _check_oneshot(file: UnitFile, result: Sections, findings: Findings) -> None:
    """What systemd.service(5) allows only with Type=oneshot, and what it forbids there."""
    for at in file.of("Service"):
        if result.oneshot and at.key == "Restart" and at.value in ("always", "on-success"):
            findings.refuse(at, f"{at.value} is not allowed with Type=oneshot; write Restart=on-failure")
        elif not result.oneshot and at.key == "RemainAfterExit":
            findings.refuse(at, "works only with Type=oneshot here; add that, or remove the line")
    # systemd's default is no, and timers depend on it: a job that stays active is never started again.
    if result.oneshot and not any(entry.key == "RemainAfterExit" for entry in result.service):
        result.service.append(Entry("RemainAfterExit", "no"))
