"""``Pod=`` and ``StartWithPod=``: which pod a container is in, and which keys are then the pod's. Pure.

What the container has of the pod is `supervisor.spec.membership`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.errors import UserError
from supervisor.spec.container import Container, Membership
from supervisor.spec.membership import joined
from supervisor.spec.pod import Pod

#: What podman refuses in a container that is in a pod ("must be defined when the pod is created").
_OF_POD = (
    *("AddHost", "DNS", "DNSOption", "DNSSearch", "HostName", "IP", "IP6", "Network", "NetworkAlias", "PublishPort"),
    *("UserNS", "UIDMap", "GIDMap", "SubUIDMap", "SubGIDMap", "RemapUsers", "RemapUid", "RemapGid", "RemapUidSize"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One container's place in *pod*."""

    pod: Pod
    starts: bool
    """Whether the pod starts it (``StartWithPod=``)."""


def membership(lines: Lines, pods: Mapping[str, Pod], findings: Findings) -> Place | None:
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
    return Place(pod, starts) if pod else None


def _pod(text: str, pods: Mapping[str, Pod]) -> Pod:
    if not text.endswith(".pod"):
        raise UserError(f"{values.short(text)} is not the name of a .pod file; write shop.pod, say")
    if text not in pods:
        raise UserError(f"there is no valid {text} beside this definition; add it, apply it too, or remove the line")
    return pods[text]


def placed(container: Container, place: Place, lines: Lines) -> Container:
    """*container* with what its pod adds to it."""
    timeout = container.stop_timeout if lines.of("StopTimeout") else None
    own = Membership(place.starts, container.mounts, timeout, container.unit)
    return joined(replace(container, pod=place.pod.name, membership=own), place.pod)
