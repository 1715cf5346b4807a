"""Compile one ``.container`` file (podman-systemd.unit(5)) into `supervisor.spec.container.Container`. Pure.

What each key may be is in the coverage table, how values read in `values` and `mounts`, and the systemd sections in
`sections`; here they are put together and checked against each other. A file with any mistake gives no container.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.definitions import mounts, resources, specifiers, values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.sections import Neighbours, Sections, compile_sections
from supervisor.definitions.unitfile import Assignment, UnitFile, parse
from supervisor.errors import Problem, UserError
from supervisor.names import check_name, service_unit
from supervisor.spec.container import Container, LogDriver, Mount, NetworkMode, PullPolicy, ScopeProperty

SUFFIX = ".container"

_SECTIONS = frozenset({"Container", "Quadlet", "Unit", "Service", "Install"})

_NO_NETWORK = "no Network=: the container gets only loopback; write Network=host to share the host's network"


@dataclass(frozen=True, slots=True)
class Context:
    """What a definition's meaning depends on beside its text."""

    names: Mapping[str, str] = field(default_factory=dict)
    """The definitions compiled together: file name (``db.container``) to container name."""
    selinux: bool = False
    """Whether the host enforces SELinux labels."""
    systemd: int = 0
    """Version of the host's systemd; 0 when it is not known, and then every newer key is warned of."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """*container* is None exactly when there are *problems*."""

    container: Container | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def compile_file(path: str, text: str | bytes, context: Context | None = None) -> Compiled:
    """Compile the content *text* of the file *path*, which is absolute ('./x' is relative to its directory).

    Never raises for bad input.
    """
    return compile_unit(parse(path, text), context or Context())


def container_name(file: UnitFile) -> str:
    """The name of the container that *file* defines: ContainerName=, or the file's name without suffix.

    Raises `UserError` when that is no valid name.
    """
    stem = _stem(file.path)
    if "@" in stem:
        raise UserError(
            f"'{stem}' is a template, and templates are not supported yet; write one file for each instance"
        )
    written = [at.value for at in file.of("Container") if at.key == "ContainerName"]
    if not written or not written[-1]:
        return check_name(stem, "the file's name")
    text = written[-1][1:-1] if written[-1][0] == written[-1][-1] == '"' else written[-1]
    return check_name(specifiers.expand(text, stem=stem, unit=f"{stem}.service"))


def compile_unit(file: UnitFile, context: Context) -> Compiled:
    """As `compile_file`, for a file that has been parsed."""
    findings = Findings(file.path)
    findings.add(file.problems)
    name = _name(file, findings)
    _check_sections(file, findings)
    sections = compile_sections(
        file, findings, Neighbours(context.names, posixpath.basename(file.path), context.systemd)
    )
    stem = _stem(file.path)
    Lines(file, "Quadlet", findings, stem=stem, unit=service_unit(name))
    lines = Lines(file, "Container", findings, stem=stem, unit=service_unit(name))
    place = mounts.Place(posixpath.dirname(file.path), name, context.selinux)
    container = _container(file.path, name, lines, sections, place, findings)
    return Compiled(None if findings.problems else container, findings.problems, findings.warnings)


def _stem(path: str) -> str:
    return posixpath.basename(path).removesuffix(SUFFIX)


def _name(file: UnitFile, findings: Findings) -> str:
    try:
        return container_name(file)
    except UserError as error:
        at = [at for at in file.of("Container") if at.key == "ContainerName" and at.value]
        if at and "@" not in _stem(file.path):
            findings.refuse(at[-1], error)
        else:
            findings.refuse_file(0, str(error))
        return "invalid"  # stands in, so that the rest of the file is checked too


def _check_sections(file: UnitFile, findings: Findings) -> None:
    for section in file.sections:
        if section.name in FILE_KINDS:
            findings.refuse_file(section.line, f"[{section.name}]: {FILE_KINDS[section.name]}")
        elif section.name not in _SECTIONS and not section.name.startswith("X-"):
            known = ", ".join(f"[{name}]" for name in sorted(_SECTIONS))
            findings.refuse_file(section.line, f"[{section.name}] is not a section of a {SUFFIX} file; use {known}")
    if not any(section.name == "Container" for section in file.sections):
        findings.refuse_file(0, "has no [Container] section; add one with Image= or Rootfs=")


def _container(
    path: str, name: str, lines: Lines, sections: Sections, place: mounts.Place, findings: Findings
) -> Container:
    image, rootfs = _root(lines, findings)
    network = _network(lines, findings)
    default = Container(name=name, source=path)
    return Container(
        name=name,
        source=path,
        image=image,
        rootfs=rootfs,
        pull=lines.get("Pull", _pull, default.pull),
        entrypoint=lines.one("Entrypoint", _entrypoint),
        command=tuple(word for _, word in lines.words("Exec", _argument, unescape=True)) or None,
        environment=_pairs(lines.words("Environment", values.environment, unescape=True)),
        environment_files=_env_files(lines, place),
        working_dir=lines.one("WorkingDir", values.path),
        user=_user(lines, findings),
        supplementary_groups=tuple(value for _, value in lines.each("GroupAdd", values.group)),
        hostname=lines.one("HostName", values.hostname),
        timezone=lines.one("Timezone", values.timezone),
        labels=_labels(lines, "Label", findings),
        annotations=_labels(lines, "Annotation", findings),
        mounts=_mounts(lines, place, findings),
        read_only=lines.get("ReadOnly", values.boolean, default.read_only),
        read_only_tmpfs=lines.get("ReadOnlyTmpfs", values.boolean, default.read_only_tmpfs),
        shm_size=lines.get("ShmSize", values.size, default.shm_size),
        add_capabilities=_strings(lines.words("AddCapability", values.capability, unescape=False)),
        drop_capabilities=_strings(lines.words("DropCapability", values.capability, unescape=False)),
        no_new_privileges=lines.get("NoNewPrivileges", values.boolean, default.no_new_privileges),
        ulimits=tuple({limit.name: limit for _, limit in lines.each("Ulimit", values.ulimit)}.values()),
        sysctls=_sysctls(lines, network, findings),
        devices=_strings(lines.words("AddDevice", values.device, unescape=False)),
        scope_properties=_limits(lines, sections, findings),
        network=network,
        run_init=lines.get("RunInit", values.boolean, default.run_init),
        stop_signal=lines.one("StopSignal", values.signal),
        stop_timeout=lines.get("StopTimeout", values.duration, default.stop_timeout),
        oneshot=sections.oneshot,
        log_driver=lines.get("LogDriver", _log_driver, default.log_driver),
        unit=sections.frozen(),
    )


def _strings(found: tuple[tuple[Assignment, str], ...]) -> tuple[str, ...]:
    """The values, each once, in the order they first appear."""
    return tuple(dict.fromkeys(value for _, value in found))


def _pairs(found: tuple[tuple[Assignment, tuple[str, str]], ...]) -> tuple[tuple[str, str], ...]:
    """Names and values; of several values for a name the last one."""
    return tuple(dict(pair for _, pair in found).items())


def _root(lines: Lines, findings: Findings) -> tuple[str | None, str | None]:
    image = lines.one("Image", _image)
    rootfs = lines.one("Rootfs", _rootfs)
    if lines.of("Image") and (second := lines.of("Rootfs")):
        findings.refuse(
            second[0], f"Image= in line {lines.of('Image')[0].line} says something else; keep one of the two"
        )
    elif not lines.of("Image") and not lines.of("Rootfs"):
        findings.refuse_file(0, "says not what to run; write Image= or Rootfs= in [Container]")
    return image, rootfs


def _image(text: str) -> str:
    for section in ("Image", "Build"):
        if text.endswith(f".{section.lower()}"):
            raise UserError(f"{values.short(text)}: {FILE_KINDS[section]}")
    return values.image(text)


def _rootfs(text: str) -> str:
    path, colon, option = text.partition(":")
    if colon:
        raise UserError(f"the option {values.short(option)} is not supported yet; write the directory alone: {path}")
    rootfs = values.path(path, "directory")
    if rootfs == "/":
        raise UserError("'/' is the host's own root; write the directory of another one")
    return rootfs


def _pull(text: str) -> PullPolicy:
    try:
        return PullPolicy(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a pull policy; write always, missing, newer or never") from error


def _log_driver(text: str) -> LogDriver:
    try:
        return LogDriver(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a log driver; write journald, passthrough or none") from error


def _argument(text: str) -> str:
    if "\0" in text:
        raise UserError(f"{values.short(text)} holds a NUL byte, which no argument can; remove it")
    return text


def _entrypoint(text: str) -> tuple[str, ...]:
    """podman-run(1) --entrypoint: one program, or a JSON list of words."""
    if not text.startswith("["):
        if any(char.isspace() for char in text):
            example = json.dumps(text.split())
            raise UserError(f"{values.short(text)} has several words; write a JSON list, like {values.short(example)}")
        return (text,)
    try:
        words = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f'{values.short(text)} is not a JSON list; write one like ["/bin/sh", "-c"]') from error
    if not words or not all(isinstance(word, str) for word in words) or not words[0]:
        raise UserError(f'{values.short(text)} is not a list of words; write one like ["/bin/sh", "-c"]')
    return tuple(_argument(word) for word in words)


def _env_files(lines: Lines, place: mounts.Place) -> tuple[str, ...]:
    def absolute(text: str) -> str:
        if text.startswith("-"):
            raise UserError(
                f"{values.short(text)}: a file that may be missing is not supported yet; write it without '-'"
            )
        return values.path(posixpath.join(place.directory, text), "file")

    return tuple(path for _, path in lines.words("EnvironmentFile", absolute, unescape=True))


def _user(lines: Lines, findings: Findings) -> str | None:
    user = lines.one("User", values.user)
    group = lines.one("Group", values.group)
    if group is None or user is None:
        for at in lines.of("Group") if not lines.of("User") else ():
            findings.refuse(at, "needs User= beside it; write User=0 for root")
        return user
    if ":" in user:
        findings.refuse(lines.of("Group")[0], f"User={user} names a group already; keep one of the two")
    return f"{user}:{group}"


def _labels(lines: Lines, key: str, findings: Findings) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE words. A word without '=' behind one with it is a value that someone forgot to quote."""
    found: list[tuple[str, str]] = []
    complete: set[int] = set()
    for at, word in lines.words(key, str, unescape=True):
        try:
            if "=" not in word and at.line in complete:
                raise UserError(
                    f"{values.short(word)} has no '='; quote the whole of what it belongs to: \"NAME=VALUE\""
                )
            found.append(values.label(word))
            complete.add(at.line)
        except UserError as error:
            findings.refuse(at, error)
    return tuple(dict(found).items())


def _network(lines: Lines, findings: Findings) -> NetworkMode:
    found = lines.each("Network", _network_mode)
    for at, mode in found[1:]:
        if mode is not found[0][1]:
            findings.refuse(
                at, f"Network={found[0][1].value} in line {found[0][0].line} excludes it; keep one of the two"
            )
    if not lines.of("Network"):
        findings.warn_file(_NO_NETWORK)
    return found[0][1] if found else NetworkMode.NONE


def _network_mode(text: str) -> NetworkMode:
    try:
        return NetworkMode(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not supported yet; write Network=host or Network=none") from error


def _sysctls(lines: Lines, network: NetworkMode, findings: Findings) -> tuple[tuple[str, str], ...]:
    found = lines.words("Sysctl", values.sysctl, unescape=False)
    for at, (name, _) in found:
        if network is NetworkMode.HOST and name.startswith("net."):
            findings.refuse(at, f"{name} would change the host with Network=host; set it on the host with sysctl.d(5)")
    return _pairs(found)


def _mounts(lines: Lines, place: mounts.Place, findings: Findings) -> tuple[Mount, ...]:
    found = [
        *lines.each("Volume", lambda text: mounts.volume(text, place)),
        *lines.each("Tmpfs", mounts.tmpfs),
        *lines.words("Mount", lambda text: mounts.mount(text, place), unescape=True),
    ]
    first: dict[str, int] = {}
    for at, mounted in sorted(found, key=lambda item: item[0].line):
        for warning in mounted.warnings:
            findings.warn(at, warning)
        target = mounted.mount.target
        if target in first:
            findings.refuse(at, f"line {first[target]} mounts something at {target} already; keep one of the two")
        first.setdefault(target, at.line)
    return tuple(mounted.mount for _, mounted in found)


def _limits(lines: Lines, sections: Sections, findings: Findings) -> tuple[ScopeProperty, ...]:
    """The limits of [Service], then podman's own, which may not contradict them."""
    limits = [limit for _, limit in sections.limits.values()]
    podman = [
        *lines.each("Memory", resources.memory),
        *lines.each("PidsLimit", lambda text: (resources.pids_limit(text),)),
    ]
    for at, properties in podman:
        for limit in properties:
            if limit.name not in sections.limits:
                limits.append(limit)
            elif limit.name != "MemorySwapMax":
                other = sections.limits[limit.name][0]
                findings.refuse(
                    at, f"{other.key}= in line {other.line} of [Service] sets the same; keep one of the two"
                )
    return tuple(limits)
