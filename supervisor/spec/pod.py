"""Pods: containers that share a network, the names of System V and POSIX objects (ipc) and a host name (uts).

There is no process that holds a pod together. Its namespaces are kept by ``ctr-netns@POD.service``, its containers are
started and stopped by ``ctr@POD.target`` (a pod is a project, see `supervisor.spec.project`) and counted by a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from supervisor.spec.container import Mount, UnitSections
from supervisor.spec.network import Attachment, NetworkMode, PublishedPort
from supervisor.spec.userns import UserNamespace


class ExitPolicy(Enum):
    """What becomes of the pod when its last container ends (podman-pod-create(1) ``--exit-policy``)."""

    STOP = "stop"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod, as its author meant it. Its name is no container's. Sizes are bytes, durations seconds."""

    name: str
    source: str
    """Where it came from: the definition's path."""
    hostname: str = ""
    """Empty: the pod's name."""
    network: NetworkMode = NetworkMode.NETWORKS
    """NETWORKS, NONE or HOST."""
    attachments: tuple[Attachment, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 64 * 1024 * 1024
    mounts: tuple[Mount, ...] = ()
    """What each of its containers gets."""
    user_namespace: UserNamespace | None = None
    """Shared by its containers."""
    labels: tuple[tuple[str, str], ...] = ()
    exit_policy: ExitPolicy = ExitPolicy.STOP
    stop_timeout: float | None = None
    """That of containers which say nothing themselves."""
    unit: UnitSections = field(default_factory=UnitSections)
    """[Unit] and [Install] of ``ctr@POD.target``."""
