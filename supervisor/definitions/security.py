"""The keys of [Container] about seccomp, AppArmor, SELinux and what is hidden below /proc and /sys. Pure.

Each is an option of podman-run(1) ``--security-opt`` too; `option` reads that one.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.mounts import Place
from supervisor.errors import UserError
from supervisor.render import masking
from supervisor.spec.security import Security

_UNCONFINED = "unconfined"
_NO_APPARMOR = "has no effect on this host: its kernel has no AppArmor, or does not use it"
_NO_SELINUX = "has no effect on this host: it has no SELinux"
_LABEL_KEYS = ("SecurityLabelType", "SecurityLabelLevel", "SecurityLabelFileType", "SecurityLabelNested")
_NOT_LABELS = {
    "user": "the user of a label follows from the policy; give its type or level",
    "role": "the role of a label follows from the policy; give its type or level",
}


def security(lines: Lines, place: Place, findings: Findings) -> Security:
    """What *lines* ask for, with a warning for each that this host cannot do."""
    for key, missing, reason in (
        ("AppArmor", not place.apparmor, _NO_APPARMOR),
        *((key, not place.selinux, _NO_SELINUX) for key in _LABEL_KEYS),
    ):
        for at in lines.of(key) if missing else ():
            findings.warn(at, reason)
    for at, pattern in (unmasked := lines.words("Unmask", _patterns, unescape=True)):
        if not any(masking.shows_something(one) for one in pattern):
            findings.warn(at, f"has no effect: nothing that is hidden by default is {':'.join(pattern)}")
    return Security(
        seccomp=lines.get("SeccompProfile", lambda text: _seccomp(text, place.directory), ""),
        apparmor=lines.get("AppArmor", _profile, ""),
        label=not lines.get("SecurityLabelDisable", values.boolean, False),
        label_type=lines.get("SecurityLabelType", _label, ""),
        label_level=lines.get("SecurityLabelLevel", _level, ""),
        label_file_type=lines.get("SecurityLabelFileType", _label, ""),
        label_nested=lines.get("SecurityLabelNested", values.boolean, False),
        mask=tuple(path for _, paths in lines.words("Mask", _paths, unescape=True) for path in paths),
        unmask=tuple(one for _, patterns in unmasked for one in patterns),
    )


def option(text: str, before: Security, place: Place) -> tuple[Security, str]:
    """*before* with one ``--security-opt`` more, NAME=VALUE or NAME:VALUE, and a warning ('' for none)."""
    name, _, value = text.partition("=" if "=" in text else ":")
    if name == "label":
        warning = "" if place.selinux or value == "disable" else f"--security-opt label: {_NO_SELINUX}"
        return _label_option(value, before), warning
    if name == "apparmor":
        warning = "" if place.apparmor or value == _UNCONFINED else f"--security-opt apparmor: {_NO_APPARMOR}"
        return dataclasses.replace(before, apparmor=_profile(value)), warning
    if name == "seccomp":
        return dataclasses.replace(before, seccomp=_seccomp(value, place.directory)), ""
    if name == "mask":
        return dataclasses.replace(before, mask=before.mask + _paths(value)), ""
    if name == "unmask" or (name, value) == ("systempaths", "unconfined"):  # docker-run(1) has the latter
        return dataclasses.replace(before, unmask=before.unmask + _patterns(value if name == "unmask" else "ALL")), ""
    known = "apparmor=, label=, mask=, no-new-privileges, seccomp= or unmask="
    raise UserError(f"{values.short(text)} is not known; use {known}")


def _label_option(text: str, before: Security) -> Security:
    if text == "disable":
        return dataclasses.replace(before, label=False)
    if text == "nested":
        return dataclasses.replace(before, label_nested=True)
    name, _, value = text.partition(":")
    if name in _NOT_LABELS:
        raise UserError(f"label={values.short(name)}: {_NOT_LABELS[name]}")
    if name == "level":
        return dataclasses.replace(before, label_level=_level(value))
    if name == "type":
        return dataclasses.replace(before, label_type=_label(value))
    if name == "filetype":
        return dataclasses.replace(before, label_file_type=_label(value))
    raise UserError(f"label={values.short(text)} is not known; use disable, nested, type:T, level:L or filetype:T")


def _seccomp(text: str, directory: str) -> str:
    return text if text == _UNCONFINED else values.path(posixpath.join(directory, text), "profile")


def _profile(text: str) -> str:
    values.check_text(text, "the profile")
    if not text or re.search(r"\s", text):
        raise UserError(f"{values.short(text)} is not the name of a profile; write one that 'aa-status' lists")
    return text


def _label(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.]+", text):
        return text
    raise UserError(f"{values.short(text)} is not an SELinux type; write one like container_runtime_t")


def _level(text: str) -> str:
    if re.fullmatch(r"s[0-9]+(-s[0-9]+)?(:c[0-9]+([.,]c[0-9]+)*)?(-s[0-9]+(:c[0-9]+([.,]c[0-9]+)*)?)?", text):
        return text
    raise UserError(f"{values.short(text)} is not an SELinux level; write one like s0:c100,c200")


def _paths(text: str) -> tuple[str, ...]:
    """Separated by colons."""
    return tuple(values.path(path, "path") for path in text.split(":"))


def _patterns(text: str) -> tuple[str, ...]:
    """Paths and patterns, separated by colons; ALL is all of them."""
    found = text.split(":")
    for pattern in found:
        values.check_text(pattern, "the pattern")
        if not pattern:
            raise UserError("names no path; write one like /proc/acpi, a pattern like /proc/*, or ALL")
        if pattern.upper() != "ALL" and not pattern.startswith(("/", "*", "?", "[")):
            raise UserError(f"{values.short(pattern)} is not an absolute path; write one like /proc/acpi, or ALL")
        masking.matches(pattern, "/")
    return tuple(found)
