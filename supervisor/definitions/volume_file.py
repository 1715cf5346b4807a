"""A ``.volume`` file in, a `Volume` out. Pure. Whether a device exists is for the host to know."""

from __future__ import annotations

import re

from supervisor.definitions import fetching, kinds, podman_args, values
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import VOLUME
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import UserError
from supervisor.spec.volume import Volume

_HIGHEST_ID = 2**32 - 2
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def compile_unit(file: UnitFile, context: Context | None = None) -> Compiled[Volume]:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file = podman_args.expand_section(file, VOLUME.section, findings)
    name = kinds.name_or_refuse(file, VOLUME, findings)
    kinds.check_sections(file, VOLUME, findings)
    kinds.check_no_unit(file, VOLUME, findings)
    stem = kinds.unit_stem(file, VOLUME)
    Lines(file, "Quadlet", findings, stem=stem, unit=f"{stem}.service")
    lines = Lines(file, "Volume", findings, stem=stem, unit=f"{stem}.service")
    volume = _volume(file.path, name, lines, context or Context(), findings)
    return compiled(volume, findings)


def _volume(path: str, name: str, lines: Lines, context: Context, findings: Findings) -> Volume:
    kind, device, options = _source(lines, findings)
    image = _image(lines, context, findings)
    return Volume(
        name=name,
        source=path,
        type=kind,
        device=device,
        options=options,
        image=image,
        uid=_owner(lines, "User", "UID", findings),
        gid=_owner(lines, "Group", "GID", findings),
        copy=lines.get("Copy", values.boolean, True),
        labels=labels(lines, "Label", findings),
    )


def driver(text: str) -> str:
    """``local``, or ``image`` for a copy of one."""
    if text not in ("local", "image"):
        raise UserError(f"{values.short(text)} is not a volume driver; write local, with Type= and Device= for a mount")
    return text


def _image(lines: Lines, context: Context, findings: Findings) -> str:
    """What Image= says; it and Driver=image need each other, and a volume that is mounted is no copy."""
    is_wanted = lines.get("Driver", driver, "local") == "image"
    found = lines.one("Image", lambda text: fetching.reference(text, context.references, context.names))
    if is_wanted and not lines.of("Image"):
        findings.refuse(lines.of("Driver")[0], "says not which image; add Image=")
    for at in lines.of("Image") if not is_wanted else ():
        findings.refuse(at, "has no effect without Driver=image; add that")
    mounted = [at for key in ("Type", "Device", "Options") for at in lines.of(key)]
    if is_wanted and mounted:
        findings.refuse(mounted[0], "is for volumes that are mounted, and this one is a copy of an image; remove it")
    return found[0] if found and is_wanted else ""


def device(text: str) -> str:
    """What is mounted: a path, 'server:/path', or the name of a file system without device."""
    values.check_text(text, "the device")
    if text.startswith("."):
        raise UserError(f"{values.short(text)} is relative, and a mount has no directory of its own; begin it with '/'")
    return values.path(text, "device") if text.startswith("/") else text


def file_system(text: str) -> str:
    """mount(8) ``-t``."""
    if _TYPE.fullmatch(text):
        return text
    raise UserError(f"{values.short(text)} is not a type of file system; write one like nfs, tmpfs or ext4")


def mount_options(text: str) -> str:
    """mount(8) ``-o``: words joined by commas."""
    values.check_text(text, "the options")
    if re.search(r"\s", text) or "" in text.split(","):
        raise UserError(f"{values.short(text)} is not a list of mount options; write words joined by commas alone")
    return text


def source(kind: str, what: str, options: str) -> tuple[str, str, str]:
    """Type, device and options as mount(8) wants them. Raises `UserError` when there is nothing to mount."""
    if not what and kind == "tmpfs":
        what = "tmpfs"
    if not what and (kind or options):
        raise UserError("there is no device to mount; write one, or tmpfs as type")
    if kind == "bind":  # podman's way to say what mount(8) calls an option
        words = options.split(",") if options else []
        return "none", what, ",".join(words if {"bind", "rbind"}.intersection(words) else ["bind", *words])
    return kind, what, options


def _source(lines: Lines, findings: Findings) -> tuple[str, str, str]:
    kind = lines.get("Type", file_system, "")
    what = lines.get("Device", device, "")
    options = lines.get("Options", mount_options, "")
    if lines.of("Device") and not what:
        return kind, what, options
    try:
        return source(kind, what, options)
    except UserError as error:
        findings.refuse((*lines.of("Type"), *lines.of("Options"))[0], error)
        return kind, what, options


def _owner(lines: Lines, name: str, number: str, findings: Findings) -> int | None:
    """User= and UID= (Group= and GID=) are one thing; both take a number."""
    for at in lines.of(number) if lines.of(name) else ():
        findings.refuse(at, f"{name}= in {lines.of(name)[0].where} says the same; keep one of the two")
    return lines.one(number if lines.of(number) else name, _id)


def _id(text: str) -> int:
    try:
        return values.integer(text, 0, _HIGHEST_ID)
    except UserError as error:
        raise UserError(f"{values.short(text)} is not the number of an account; names differ between hosts") from error
