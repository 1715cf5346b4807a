"""Compile one ``.container`` file (podman-systemd.unit(5)) into `supervisor.spec.container.Container`. Pure.

What each key may be is in the coverage table, how values read in `values` and `mounts`, and the systemd sections in
`sections`; here they are put together and checked against each other. A file with any mistake gives no container.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import replace

from supervisor.definitions import (
    container_process,
    devices,
    fetching,
    kinds,
    mounts,
    own_section,
    podman_args,
    secrets,
    values,
)
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.container_health import wellness
from supervisor.definitions.container_limits import limits
from supervisor.definitions.container_network import Networking, in_pod, networking
from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import CONTAINER
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.membership import membership, placed
from supervisor.definitions.podman_args import Extras
from supervisor.definitions.sections import Neighbours, Sections, compile_sections
from supervisor.definitions.security import security
from supervisor.definitions.unitfile import Assignment, UnitFile, parse
from supervisor.definitions.userns import user_namespace
from supervisor.errors import UserError
from supervisor.names import service_unit
from supervisor.spec.container import Container, Entry, Mount, MountType, NamespaceMode, PullPolicy, UnitSections
from supervisor.spec.membership import network_mode
from supervisor.spec.network import NetworkMode
from supervisor.spec.secret import Secret

#: What podman makes of ``VolatileTmp=``.
_TMP = "/tmp:rw,size=512M,mode=1777"


def compile_file(path: str, text: str | bytes, context: Context | None = None) -> Compiled[Container]:
    """Compile the content *text* of the file *path*, which is absolute ('./x' is relative to its directory).

    Never raises for bad input.
    """
    return compile_unit(parse(path, text), context or Context())


def compile_unit(file: UnitFile, context: Context) -> Compiled[Container]:
    """As `compile_file`, for a file that has been parsed."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file, extras = podman_args.expand(file, findings)
    name = kinds.name_or_refuse(file, CONTAINER, findings)
    kinds.check_sections(file, CONTAINER, findings, " with Image= or Rootfs=")
    neighbours = Neighbours(context.names, posixpath.basename(file.path), context.systemd, context.units, name)
    sections = compile_sections(file, findings, neighbours)
    stem = kinds.unit_stem(file, CONTAINER)
    online = Lines(file, "Quadlet", findings, stem=stem, unit=service_unit(name))
    lines = Lines(file, "Container", findings, stem=stem, unit=service_unit(name))
    member = membership(lines, context.pods, findings)
    network = networking(lines, name, context.names, findings) if member is None else in_pod(network_mode(member.pod))
    place = mounts.Place(
        posixpath.dirname(file.path), name, context.selinux, context.names, context.apparmor, context.references
    )
    container = _container(file.path, name, lines, sections, network, place, extras, context, findings)
    own = Lines(file, own_section.SECTION, findings, stem=stem, unit=service_unit(name))
    idle = own_section.idle_timeout(file, own, findings, oneshot=sections.oneshot)
    online_first = online.get("DefaultDependencies", values.boolean, True)
    container = replace(container, idle_timeout=idle, network_online=online_first)
    container = placed(container, member, lines) if member else container
    return compiled(container, findings, network.ports)


def _container(
    path: str,
    name: str,
    lines: Lines,
    sections: Sections,
    network: Networking,
    place: mounts.Place,
    extras: Extras,
    context: Context,
    findings: Findings,
) -> Container:
    image, fetched_by, (rootfs, rootfs_overlay) = _root(lines, context, findings)
    well = wellness(lines, sections.oneshot, findings)
    mounted = _mounts(lines, place, findings)
    given = _strings(lines.words("AddDevice", devices.device, unescape=False))
    written = container_process.output(lines, name, image or rootfs or "", findings)
    reload = container_process.reload(lines, findings)
    default = Container(name=name, source=path)
    return Container(
        name=name,
        source=path,
        image=image,
        fetched_by=fetched_by,
        rootfs=rootfs,
        rootfs_overlay=rootfs_overlay,
        pull=lines.get("Pull", _pull, default.pull),
        pull_retries=lines.get("Retry", container_process.retries, default.pull_retries),
        pull_retry_delay=lines.get("RetryDelay", values.duration, default.pull_retry_delay),
        entrypoint=lines.one("Entrypoint", _entrypoint),
        command=tuple(word for _, word in lines.words("Exec", values.argument, unescape=True)) or None,
        environment=_pairs(lines.words("Environment", values.environment, unescape=True)),
        environment_files=container_process.env_files(lines, place.directory),
        environment_host=lines.get("EnvironmentHost", values.boolean, default.environment_host),
        working_dir=lines.one("WorkingDir", values.path),
        user=_user(lines, findings),
        supplementary_groups=tuple(value for _, value in lines.each("GroupAdd", values.group)),
        hostname=_hostname(lines, extras, findings),
        timezone=lines.one("Timezone", values.timezone),
        labels=container_process.auto_update(lines, labels(lines, "Label", findings), findings),
        annotations=labels(lines, "Annotation", findings),
        mounts=tuple(mounted.values()),
        read_only=lines.get("ReadOnly", values.boolean, default.read_only),
        read_only_tmpfs=lines.get("ReadOnlyTmpfs", values.boolean, default.read_only_tmpfs),
        shm_size=lines.get("ShmSize", values.size, default.shm_size),
        add_capabilities=_strings(lines.words("AddCapability", values.capability, unescape=False)),
        drop_capabilities=_strings(lines.words("DropCapability", values.capability, unescape=False)),
        no_new_privileges=lines.get("NoNewPrivileges", values.boolean, default.no_new_privileges),
        privileged=extras.privileged,
        security=security(lines, place, findings),
        user_namespace=user_namespace(lines, findings),
        pid_namespace=extras.pid_namespace,
        ipc_namespace=extras.ipc_namespace,
        uts_namespace=extras.uts_namespace,
        cgroup_namespace=extras.cgroup_namespace,
        ulimits=tuple({limit.name: limit for _, limit in lines.each("Ulimit", values.ulimit)}.values()),
        sysctls=_sysctls(lines, network.mode, extras, findings),
        devices=tuple(text for text in given if not devices.is_qualified(text)),
        cdi_devices=tuple(text for text in given if devices.is_qualified(text)),
        scope_properties=limits(lines, sections, extras, findings),
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
        health_changes=well.changes,
        no_health=well.no_check,
        notify=well.notify,
        terminal=extras.terminal,
        stdin=extras.stdin,
        run_init=lines.get("RunInit", values.boolean, default.run_init),
        stop_signal=lines.one("StopSignal", values.signal),
        stop_timeout=lines.get("StopTimeout", values.duration, default.stop_timeout),
        oneshot=sections.oneshot,
        log_driver=written.driver,
        log_tag=written.tag,
        reload_signal=reload.signal,
        reload_command=reload.command,
        runtime=extras.runtime,
        image_volumes=extras.image_volumes,
        umask=default.umask if extras.umask is None else extras.umask,
        unit=_unit(sections, extras),
    )


def _strings(found: tuple[tuple[Assignment, str], ...]) -> tuple[str, ...]:
    """The values, each once, in the order they first appear."""
    return tuple(dict.fromkeys(value for _, value in found))


def _pairs(found: tuple[tuple[Assignment, tuple[str, str]], ...]) -> tuple[tuple[str, str], ...]:
    """Names and values; of several values for a name the last one."""
    return tuple(dict(pair for _, pair in found).items())


def _root(lines: Lines, context: Context, findings: Findings) -> tuple[str | None, str, tuple[str | None, bool]]:
    """Image=, the file it comes from, Rootfs= and whether it stays as it is."""
    found = lines.one("Image", lambda text: fetching.reference(text, context.references, context.names))
    image, fetched_by = found or (None, "")
    no_rootfs: tuple[str | None, bool] = (None, False)
    rootfs = lines.get("Rootfs", mounts.rootfs, no_rootfs)
    if lines.of("Image") and (second := lines.of("Rootfs")):
        findings.refuse(
            second[0], f"Image= in {lines.of('Image')[0].where} says something else; keep one of the two"
        )
    elif not lines.of("Image") and not lines.of("Rootfs"):
        findings.refuse_section(lines.begin, "says not what to run; write Image= or Rootfs= in [Container]")
    return image, fetched_by, rootfs


def _pull(text: str) -> PullPolicy:
    try:
        return PullPolicy(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a pull policy; write always, missing, newer or never") from error


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
    return tuple(values.argument(word) for word in words)


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


def _hostname(lines: Lines, extras: Extras, findings: Findings) -> str | None:
    if extras.uts_namespace is NamespaceMode.HOST:
        for at in lines.of("HostName"):
            findings.refuse(at, "with --uts=host the name is the host's; keep one of the two")
    return lines.one("HostName", values.hostname)


def _sysctls(
    lines: Lines, network: NetworkMode, extras: Extras, findings: Findings
) -> tuple[tuple[str, str], ...]:
    found = lines.words("Sysctl", values.sysctl, unescape=False)
    for at, (name, _) in found:
        if network is NetworkMode.HOST and name.startswith("net."):
            findings.refuse(at, f"{name} would change the host with Network=host; set it on the host with sysctl.d(5)")
        elif network is NetworkMode.CONTAINER and name.startswith("net."):
            findings.refuse(at, f"{name} belongs to the container whose network this one shares; write it there")
        elif extras.ipc_namespace is NamespaceMode.HOST and not name.startswith("net."):
            findings.refuse(at, f"{name} would change the host with --ipc=host; set it on the host with sysctl.d(5)")
    return _pairs(found)


def _mounts(lines: Lines, place: mounts.Place, findings: Findings) -> dict[str, Mount]:
    """By target."""
    found = [
        *lines.each("Volume", lambda text: mounts.volume(text, place)),
        *lines.each("Tmpfs", mounts.tmpfs),
        *lines.words("Mount", lambda text: mounts.mount(text, place), unescape=True),
        *_volatile(lines),
    ]
    first: dict[str, str] = {}
    for at, mounted in sorted(found, key=lambda item: (item[0].path, item[0].line)):
        for warning in mounted.warnings:
            findings.warn(at, warning)
        target = _place_of(mounted.mount)
        if target in first:
            findings.refuse(at, f"{first[target]} mounts something at {target} already; keep one of the two")
        first.setdefault(target, at.where)
    return {_place_of(mounted.mount): mounted.mount for _, mounted in found}


def _volatile(lines: Lines) -> tuple[tuple[Assignment, mounts.Mounted], ...]:
    """``VolatileTmp=``; with ``ReadOnly=`` there is a tmpfs at /tmp anyway, or not by ``ReadOnlyTmpfs=``."""
    wanted = lines.get("VolatileTmp", values.boolean, False) and not lines.get("ReadOnly", values.boolean, False)
    return ((lines.of("VolatileTmp")[-1], mounts.tmpfs(_TMP)),) if wanted else ()


def _place_of(mount: Mount) -> str:
    """Its target. Of a pattern only deploy knows the targets."""
    return f"the paths {mount.source}" if mount.type is MountType.GLOB else mount.target


def _secrets(lines: Lines, mounted: Mapping[str, Mount], findings: Findings) -> tuple[Secret, ...]:
    found = lines.words("Secret", secrets.secret, unescape=True)
    first: dict[tuple[bool, str], str] = {}
    for at, secret in found:
        place = (secret.as_environment, secret.target)
        if not secret.as_environment and secret.target in mounted:
            findings.refuse(at, f"something is mounted at {secret.target} already; write another target=")
        elif place in first:
            findings.refuse(at, f"{first[place]} puts a secret at {secret.target} already; write another target=")
        first.setdefault(place, at.where)
    return tuple(secret for _, secret in found)


def _unit(sections: Sections, extras: Extras) -> UnitSections:
    """The lines for systemd. The launcher has the OOM score, and every process of the container inherits it."""
    unit = sections.frozen()
    score = () if extras.oom_score is None else (Entry("OOMScoreAdjust", str(extras.oom_score)),)
    return replace(unit, service=(*unit.service, *score))
