"""``Pod=`` and ``StartWithPod=``: what a container has of the pod it is in, and which keys are then the pod's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.errors import UserError
from supervisor.names import project_slice, project_target
from supervisor.spec.container import Container, Entry, UnitSections
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod

#: What podman refuses in a container that is in a pod ("must be defined when the pod is created").
_OF_POD = (
    *("AddHost", "DNS", "DNSOption", "DNSSearch", "HostName", "IP", "IP6", "Network", "NetworkAlias", "PublishPort"),
    *("UserNS", "UIDMap", "GIDMap", "SubUIDMap", "SubGIDMap", "RemapUsers", "RemapUid", "RemapGid", "RemapUidSize"),
)


@dataclass(frozen=True, slots=True)
class Membership:
    """One container's place in *pod*."""

    pod: Pod
    starts: bool
    """Whether the pod starts it (``StartWithPod=``)."""

    @property
    def network(self) -> NetworkMode:
        """With the host's network there is nothing that the pod would have to make."""
        return NetworkMode.HOST if self.pod.network is NetworkMode.HOST else NetworkMode.POD


def membership(lines: Lines, pods: Mapping[str, Pod], findings: Findings) -> Membership | None:
    """What *lines* of a container say; None when it is in no pod. Keys that belong to the pod are refused."""
    starts = lines.get("StartWithPod", values.boolean, True)
    pod = lines.one("Pod", lambda text: _pod(text, pods))
    if not lines.of("Pod"):
        for at in lines.of("StartWithPod"):
            findings.warn(at, "has no effect: it is in no pod; write Pod=NAME.pod, or remove the line")
        return None
    where = pod.source if pod else "the .pod file"
    for key in _OF_POD:
        for at in lines.of(key):
            findings.refuse(at, f"belongs to the pod, which its containers share it of; write it in {where}")
    for at in lines.of("ShmSize"):
        findings.warn(at, f"has no effect: /dev/shm is the pod's; write it in {where}")
    return Membership(pod, starts) if pod else None


def _pod(text: str, pods: Mapping[str, Pod]) -> Pod:
    if not text.endswith(".pod"):
        raise UserError(f"{values.short(text)} is not the name of a .pod file; write shop.pod, say")
    if text not in pods:
        raise UserError(f"there is no valid {text} beside this definition; add it, or remove the line")
    return pods[text]


def joined(container: Container, member: Membership, lines: Lines) -> Container:
    """*container* with what the pod adds to it."""
    pod = member.pod
    targets = {mount.target for mount in container.mounts}
    timeout = pod.stop_timeout if pod.stop_timeout is not None and not lines.of("StopTimeout") else None
    # The image's resolv.conf stays without a network to ask anybody in, as with DNS=none.
    no_resolver = pod.dns == ("none",) or pod.network is NetworkMode.NONE
    return replace(
        container,
        pod=pod.name,
        network=member.network,
        hostname=pod.hostname or pod.name,
        dns=("none",) if no_resolver else (),
        user_namespace=pod.user_namespace,
        mounts=(*container.mounts, *(mount for mount in pod.mounts if mount.target not in targets)),
        stop_timeout=container.stop_timeout if timeout is None else timeout,
        unit=_unit(container.unit, member),
    )


def _unit(unit: UnitSections, member: Membership) -> UnitSections:
    """The pod is stopped with its containers, is needed while they run, and starts with any of them, which is what
    podman's BindsTo= comes to. What the pod's start depends on, that of each container does as well."""
    pod, target = member.pod, project_target(member.pod.name)
    conditions = tuple(entry for entry in pod.unit.unit if entry.key.startswith(("Condition", "Assert")))
    has_slice = any(entry.key == "Slice" and entry.value for entry in unit.service)
    install: tuple[Entry, ...] = ()
    if member.starts:
        install = (Entry("WantedBy", target),)
        if pod.exit_policy is ExitPolicy.STOP:
            # Not the pod: what multi-user.target wants would be needed for ever, and never stop with its containers.
            install += tuple(entry for entry in pod.unit.install if entry.key == "WantedBy")
    return UnitSections(
        (Entry("PartOf", target), Entry("Wants", target), *unit.unit, *conditions),
        unit.service if has_slice else (Entry("Slice", project_slice(pod.name)), *unit.service),
        (*unit.install, *install),
    )
