"""Which namespaces a container has that outlive it, or that it shares: what a ``ctr-netns@`` unit keeps. Pure."""

from __future__ import annotations

from supervisor.paths import Layout
from supervisor.spec.container import Container, NamespaceMode
from supervisor.spec.network import NetworkMode

#: The namespaces of a pod that its containers are in, beside its network.
_POD = ("ipc", "uts")


def namespace_owner(container: Container) -> str:
    """Whose namespaces *container* is in: its own, those of the container it shares a network with, or its pod's."""
    if container.pod:
        return container.pod
    return container.network_container if container.network is NetworkMode.CONTAINER else container.name


def has_namespace_unit(container: Container) -> bool:
    """Whether *container* needs the unit that makes the namespaces of `namespace_owner`."""
    return bool(container.pod) or finds_network(container)


def finds_network(container: Container) -> bool:
    """Whether *container* finds its network, with hosts and resolv.conf, made."""
    return container.network in (NetworkMode.NETWORKS, NetworkMode.CONTAINER, NetworkMode.POD)


def namespace(kind: str, container: Container, layout: Layout) -> dict[str, str]:
    """The namespace *kind* of *container* as config.json has it: a new one, or its pod's."""
    if container.pod and kind in _POD:
        return {"type": kind, "path": f"{layout.namespaces(container.pod)}/{kind}"}
    return {"type": kind}


def is_hosts(kind: str, container: Container) -> bool:
    """Whether the namespace *kind* ('pid', 'ipc', 'uts', 'cgroup'; others never) is the host's."""
    return getattr(container, f"{kind}_namespace", NamespaceMode.OWN) is NamespaceMode.HOST


def shared_memory(container: Container, layout: Layout) -> str:
    """What is mounted at /dev/shm of a container in a pod, or with the host's IPC; '' for one that has its own."""
    if is_hosts("ipc", container):
        return "/dev/shm"
    return f"{layout.namespaces(container.pod)}/shm" if container.pod else ""
