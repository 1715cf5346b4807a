"""[Unit], [Service] and [Install] of a definition: what goes through to systemd, and what belongs on the scope. Pure.

The tables are in `section_keys` and `resources`; this module applies them. Text that goes through keeps
systemd's own specifiers; only names of other definitions (``After=db.container``) are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.definitions import coverage, resources, section_keys, values
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import UserError
from supervisor.names import service_unit
from supervisor.spec.container import Entry, ScopeProperty, UnitSections

_OTHER_KINDS = (".pod", ".image", ".build", ".kube")
_RESTART = values.words("no always on-success on-failure on-abnormal on-watchdog on-abort")
_SPECIFIER = re.compile(r"%(.)")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other definitions that are compiled together with this one."""

    names: Mapping[str, str]
    """File name (``db.container``, ``shop.network``) to the name of what it defines."""
    own: str
    """File name of this definition."""
    systemd: int
    """Version of the host's systemd, 0 when it is not known."""


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
    for assignment in file.of("Unit"):
        _unit(assignment, result, findings, neighbours)
    for assignment in file.of("Service"):
        _service(assignment, result, findings, neighbours)
    for assignment in file.of("Install"):
        _install(assignment, result, findings, neighbours)
    _check_oneshot(file, result, findings)
    return result


def _unit(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-"):
        return  # systemd.unit(5): "reserved for applications", never an error
    if reason := section_keys.UNIT_REFUSED.get(at.key):
        findings.refuse(at, reason)
    elif at.key not in section_keys.UNIT:
        _refuse_unknown(at, findings, [*section_keys.UNIT])
    elif at.key in section_keys.DEPENDENCIES:
        units = _units(at, findings, neighbours)
        # Nothing left is nothing to wait for; an empty assignment would mean something else.
        if units or not at.value:
            _pass_on(at, result.unit, units, findings, neighbours)
    else:
        _pass_on(at, result.unit, at.value, findings, neighbours)


def _service(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-") or section_keys.ALREADY_SO.get(at.key) == at.value:
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
        known = [*section_keys.SERVICE, *section_keys.SERVICE_REFUSED, *resources.KEYS, "Type", "RemainAfterExit"]
        _refuse_unknown(at, findings, known)
    elif at.key == "Restart" and at.value and at.value not in _RESTART:
        findings.refuse(at, _bad_restart(at.value))
    else:
        _pass_on(at, result.service, at.value, findings, neighbours)


def _install(at: Assignment, result: Sections, findings: Findings, neighbours: Neighbours) -> None:
    if at.key.startswith("X-"):
        return
    key = coverage.find("Install", at.key)
    if key is None:
        findings.refuse(at, coverage.explain("Install", at.key))
    elif key.state is coverage.State.REFUSED:
        findings.refuse(at, key.reason)
    else:
        _pass_on(at, result.install, _units(at, findings, neighbours), findings, neighbours)


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
    # Read from the left, two characters at a time: the second half of '%%' begins no specifier.
    for letter in sorted({"N", "p"}.intersection(_SPECIFIER.findall(at.value))):
        meaning = {"N": "ctr@NAME", "p": "ctr"}[letter]
        findings.warn(at, f"%{letter} is '{meaning}' in this section; write %i for the container's name")
    entries.append(Entry(at.key, value))


def _refuse_unknown(at: Assignment, findings: Findings, known: list[str]) -> None:
    findings.refuse(at, f"no such key in [{at.section}]; {coverage.nearest(at.key, known)}")


def _units(at: Assignment, findings: Findings, neighbours: Neighbours) -> str:
    return " ".join(filter(None, (_unit_name(name, at, findings, neighbours) for name in at.value.split())))


def _unit_name(name: str, at: Assignment, findings: Findings, neighbours: Neighbours) -> str:
    """The unit that *name* stands for: a definition's own unit, or *name* itself; '' for what is there anyway."""
    if name == neighbours.own:
        findings.refuse(at, f"{name} is this definition itself; remove it")
    elif name.endswith((".container", ".network", ".volume")):
        if name not in neighbours.names:
            instead = "write the unit's full name" if name.endswith(".container") else "remove the name"
            findings.refuse(at, f"there is no valid {name} beside this definition; add it, or {instead}")
        elif name.endswith(".container"):
            return service_unit(neighbours.names[name])
        else:
            findings.warn(at, f"{name} has no effect: it is there before this container starts; remove the name")
            return ""
    elif name.endswith(_OTHER_KINDS):
        findings.refuse(at, f"{name}: such files are not supported yet; remove it or name a unit of systemd")
    elif name.endswith(".service"):
        definition = f"{name.removesuffix('.service')}.container"
        if definition in neighbours.names:
            unit = service_unit(neighbours.names[definition])
            findings.warn(at, f"{name} is not a unit of ctr, {unit} is; write {definition}")
        # podman's names for the units of shop.network and data.volume: shop-network.service, data-volume.service.
        stem, _, kind = name.removesuffix(".service").rpartition("-")
        if kind in ("network", "volume") and f"{stem}.{kind}" in neighbours.names:
            findings.warn(at, f"{name} is not a unit of ctr, and {stem}.{kind} needs none; remove the name")
    return name


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
