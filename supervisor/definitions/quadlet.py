"""Compile one ``.container`` file (podman-systemd.unit(5)) into `supervisor.spec.container.Container`. Pure.

What each key may be is in the coverage table, how values read in `values` and `mounts`, and the systemd sections in
`sections`; here they are put together and checked against each other. A file with any mistake gives no container.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.definitions import kinds, mounts, podman_args, resources, secrets, values
from supervisor.definitions.container_health import wellness
from supervisor.definitions.container_network import Networking, networking
from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import CONTAINER
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.podman_args import Extras
from supervisor.definitions.quadlet_keys import FILE_KINDS
from supervisor.definitions.sections import Neighbours, Sections, compile_sections
from supervisor.definitions.security import security
from supervisor.definitions.unitfile import Assignment, UnitFile, parse
from supervisor.definitions.userns import user_namespace
from supervisor.errors import Problem, UserError
from supervisor.names import service_unit
from supervisor.spec.container import Container, LogDriver, Mount, PullPolicy, ScopeProperty
from supervisor.spec.network import NetworkMode, PublishedPort
from supervisor.spec.secret import Secret


@dataclass(frozen=True, slots=True)
class Compiled:
    """*container* is None exactly when there are *problems*."""

    container: Container | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    ports: tuple[tuple[int, PublishedPort], ...] = ()
    """The published ports with the lines that ask for them, for checks across files."""


def compile_file(path: str, text: str | bytes, context: Context | None = None) -> Compiled:
    """Compile the content *text* of the file *path*, which is absolute ('./x' is relative to its directory).

    Never raises for bad input.
    """
    return compile_unit(parse(path, text), context or Context())


def compile_unit(file: UnitFile, context: Context) -> Compiled:
    """As `compile_file`, for a file that has been parsed."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file, extras = podman_args.expand(file, findings)
    name = kinds.name_or_refuse(file, CONTAINER, findings)
    kinds.check_sections(file, CONTAINER, findings, " with Image= or Rootfs=")
    sections = compile_sections(
        file, findings, Neighbours(context.names, posixpath.basename(file.path), context.systemd)
    )
    stem = CONTAINER.stem(file.path)
    Lines(file, "Quadlet", findings, stem=stem, unit=service_unit(name))
    lines = Lines(file, "Container", findings, stem=stem, unit=service_unit(name))
    network = networking(lines, name, context.names, findings)
    place = mounts.Place(posixpath.dirname(file.path), name, context.selinux, context.names)
    container = _container(file.path, name, lines, sections, network, place, extras, findings)
    return Compiled(
        None if findings.problems else container,
        findings.problems,
        findings.warnings,
        tuple((at.line, port) for at, port in network.ports),
    )


def _container(
    path: str,
    name: str,
    lines: Lines,
    sections: Sections,
    network: Networking,
    place: mounts.Place,
    extras: Extras,
    findings: Findings,
) -> Container:
    image, rootfs = _root(lines, findings)
    well = wellness(lines, sections.oneshot, findings)
    mounted = _mounts(lines, place, findings)
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
        labels=labels(lines, "Label", findings),
        annotations=labels(lines, "Annotation", findings),
        mounts=tuple(mounted.values()),
        read_only=lines.get("ReadOnly", values.boolean, default.read_only),
        read_only_tmpfs=lines.get("ReadOnlyTmpfs", values.boolean, default.read_only_tmpfs),
        shm_size=lines.get("ShmSize", values.size, default.shm_size),
        add_capabilities=_strings(lines.words("AddCapability", values.capability, unescape=False)),
        drop_capabilities=_strings(lines.words("DropCapability", values.capability, unescape=False)),
        no_new_privileges=lines.get("NoNewPrivileges", values.boolean, default.no_new_privileges),
        privileged=extras.privileged,
        security=security(lines, place.directory, findings),
        user_namespace=user_namespace(lines, findings),
        pid_namespace=extras.pid_namespace,
        ipc_namespace=extras.ipc_namespace,
        uts_namespace=extras.uts_namespace,
        cgroup_namespace=extras.cgroup_namespace,
        ulimits=tuple({limit.name: limit for _, limit in lines.each("Ulimit", values.ulimit)}.values()),
        sysctls=_sysctls(lines, network.mode, findings),
        devices=_strings(lines.words("AddDevice", values.device, unescape=False)),
        scope_properties=_limits(lines, sections, findings),
        network=network.mode,
        attachments=network.attachments,
        network_container=network.container,
        ports=tuple(port for _, port in network.ports),
        publish_all=extras.publish_all,
        dns=network.dns,
        dns_options=network.dns_options,
        dns_search=network.dns_search,
        hosts=network.hosts,
        secrets=_secrets(lines, mounted, findings),
        health=well.check,
        no_health=well.no_check,
        notify=well.notify,
        terminal=extras.terminal,
        stdin=extras.stdin,
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


def _sysctls(lines: Lines, network: NetworkMode, findings: Findings) -> tuple[tuple[str, str], ...]:
    found = lines.words("Sysctl", values.sysctl, unescape=False)
    for at, (name, _) in found:
        if network is NetworkMode.HOST and name.startswith("net."):
            findings.refuse(at, f"{name} would change the host with Network=host; set it on the host with sysctl.d(5)")
        elif network is NetworkMode.CONTAINER and name.startswith("net."):
            findings.refuse(at, f"{name} belongs to the container whose network this one shares; write it there")
    return _pairs(found)


def _mounts(lines: Lines, place: mounts.Place, findings: Findings) -> dict[str, Mount]:
    """By target."""
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
    return {mounted.mount.target: mounted.mount for _, mounted in found}


def _secrets(lines: Lines, mounted: Mapping[str, Mount], findings: Findings) -> tuple[Secret, ...]:
    found = lines.words("Secret", secrets.secret, unescape=True)
    first: dict[tuple[bool, str], int] = {}
    for at, secret in found:
        place = (secret.as_environment, secret.target)
        if not secret.as_environment and secret.target in mounted:
            findings.refuse(at, f"something is mounted at {secret.target} already; write another target=")
        elif place in first:
            findings.refuse(at, f"line {first[place]} puts a secret at {secret.target} already; write another target=")
        first.setdefault(place, at.line)
    return tuple(secret for _, secret in found)


def _limits(lines: Lines, sections: Sections, findings: Findings) -> tuple[ScopeProperty, ...]:
    """The limits of [Service], then podman's own, which may not contradict them."""
    limits = [limit for _, limit in sections.limits.values()]
    podman = [
        *lines.each("Memory", resources.memory),
        *lines.each("PidsLimit", lambda text: (resources.pids_limit(text),)),
    ]
    for at, properties in podman:
        for limit in properties:
            # A percentage is a property of its own.
            taken = sections.limits.get(limit.name) or sections.limits.get(f"{limit.name}Scale")
            if taken is None:
                limits.append(limit)
            elif limit.name != "MemorySwapMax":
                other = taken[0]
                findings.refuse(
                    at, f"{other.key}= in line {other.line} of [Service] sets the same; keep one of the two"
                )
    return tuple(limits)
