"""A ``.pod`` file in, a `Pod` out. Pure.

The network's keys are read as a container's are (`container_network`); what a container in the pod has of all this is
in `supervisor.spec.membership`.
"""

from __future__ import annotations

import dataclasses
import posixpath

from supervisor.definitions import coverage, kinds, mounts, podman_args, resources, values
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.container_network import Networking, networking
from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import POD
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.sections import Sections, compile_sections
from supervisor.definitions.unit_names import Neighbours
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.definitions.userns import user_namespace
from supervisor.errors import UserError
from supervisor.names import project_slice, project_target
from supervisor.spec.container import Entry, Mount
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod


def compile_unit(file: UnitFile, context: Context) -> Compiled[Pod]:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file = podman_args.expand_section(file, POD.section, findings)
    name = kinds.name_or_refuse(file, POD, findings)
    kinds.check_sections(file, POD, findings)
    for at in file.of("Service"):
        _service(at, name, findings)
    unit = dataclasses.replace(file, assignments=(*file.of("Unit"), *file.of("Install")))
    neighbours = Neighbours(context.names, posixpath.basename(file.path), context.systemd, context.units, name)
    sections = compile_sections(unit, findings, neighbours)
    stem = kinds.unit_stem(file, POD)
    general = Lines(file, "Quadlet", findings, stem=stem, unit=project_target(name))
    if general.get("DefaultDependencies", values.boolean, True):
        sections.unit[:0] = [Entry(key, "network-online.target") for key in ("Wants", "After")]
    lines = Lines(file, "Pod", findings, stem=stem, unit=project_target(name))
    network = networking(lines, name, context.names, findings)
    _check_network(lines, network.mode, findings)
    place = mounts.Place(
        posixpath.dirname(file.path), name, context.selinux, context.names, context.apparmor, context.references
    )
    pod = _pod(file.path, name, lines, sections, network, place, findings)
    return compiled(pod, findings, network.ports)


def _pod(
    path: str,
    name: str,
    lines: Lines,
    sections: Sections,
    network: Networking,
    place: mounts.Place,
    findings: Findings,
) -> Pod:
    default = Pod(name=name, source=path)
    return Pod(
        name=name,
        source=path,
        hostname=lines.get("HostName", values.hostname, default.hostname),
        network=network.mode,
        attachments=network.attachments,
        ports=tuple(port for _, port in network.ports),
        dns=network.dns,
        dns_options=network.dns_options,
        dns_search=network.dns_search,
        hosts=network.hosts,
        shm_size=lines.get("ShmSize", values.size, default.shm_size),
        mounts=_mounts(lines, place, findings),
        user_namespace=user_namespace(lines, findings),
        labels=labels(lines, "Label", findings),
        exit_policy=lines.get("ExitPolicy", _exit_policy, default.exit_policy),
        stop_timeout=lines.one("StopTimeout", values.duration),
        unit=sections.frozen(),
    )


def _check_network(lines: Lines, mode: NetworkMode, findings: Findings) -> None:
    """podman-pod-create(1) --network takes no other container's; and the host's network has its own names."""
    if mode is NetworkMode.CONTAINER:
        findings.refuse(
            lines.of("Network")[-1], "a pod cannot share the network of a container; put that container into the pod"
        )
    elif mode is NetworkMode.HOST:
        for key in ("AddHost", "DNS", "DNSOption", "DNSSearch"):
            for at in lines.of(key):
                findings.refuse(at, "has no place with the host's network, where the host's own files apply; remove it")


def _exit_policy(text: str) -> ExitPolicy:
    try:
        return ExitPolicy(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not an exit policy; write stop or continue") from error


def _mounts(lines: Lines, place: mounts.Place, findings: Findings) -> tuple[Mount, ...]:
    found: dict[str, Mount] = {}
    for at, mounted in lines.each("Volume", lambda text: mounts.volume(text, place)):
        for warning in mounted.warnings:
            findings.warn(at, warning)
        if mounted.mount.target in found:
            findings.refuse(at, f"something is mounted at {mounted.mount.target} already; keep one of the two")
        found[mounted.mount.target] = mounted.mount
    return tuple(found.values())


def _service(at: Assignment, name: str, findings: Findings) -> None:
    """[Service] of podman's unit is about the pause process. What would be run, or limited, is missed; the rest is not.

    Raises nothing.
    """
    if at.key.startswith("X-"):
        return
    if at.key.startswith("Exec"):
        findings.refuse(
            at, "a pod is no process here, so it would not be run; write it in [Service] of one of its containers"
        )
    elif at.key in resources.KEYS:
        findings.refuse(
            at,
            f"would limit podman's pause process only, which there is none of here; write it in [Slice] of a drop-in "
            f"for {project_slice(name)}, or in [Service] of the containers",
        )
    elif coverage.is_systemd("Service", at.key):
        findings.warn(
            at, "has no effect: a pod is no process here; what its containers are to do is in their own [Service]"
        )
    else:
        findings.refuse(at, coverage.explain("Service", at.key))
