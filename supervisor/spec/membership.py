"""What a container has of the pod it is in. Pure.

Made anew whenever the pod or the container changes, from what the container says itself (`Membership`) and the pod.
"""

from __future__ import annotations

from dataclasses import replace

from supervisor.names import project_slice, project_target
from supervisor.spec.container import STOP_TIMEOUT, Container, Entry, Membership, UnitSections
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod


def network_mode(pod: Pod) -> NetworkMode:
    """Of its containers. With the host's network there is nothing that the pod would have to make."""
    return NetworkMode.HOST if pod.network is NetworkMode.HOST else NetworkMode.POD


def joined(container: Container, pod: Pod) -> Container:
    """*container*, which is in *pod*, with what it has of it; what it had of it before is gone."""
    container = replace(container, user_namespace=pod.user_namespace)
    own = container.membership
    if own is None:  # deployed by a ctr that did not write down what is its own
        return container
    # The image's resolv.conf stays without a network to ask anybody in, as with DNS=none.
    no_resolver = pod.dns == ("none",) or pod.network is NetworkMode.NONE
    targets = {mount.target for mount in own.mounts}
    timeouts = (own.stop_timeout, pod.stop_timeout, STOP_TIMEOUT)
    return replace(
        container,
        network=network_mode(pod),
        hostname=pod.hostname or pod.name,
        dns=("none",) if no_resolver else (),
        mounts=(*own.mounts, *(mount for mount in pod.mounts if mount.target not in targets)),
        stop_timeout=next(seconds for seconds in timeouts if seconds is not None),
        unit=_unit(own, pod),
    )


def _unit(own: Membership, pod: Pod) -> UnitSections:
    """The pod is stopped with its containers, is needed while they run, and starts with any of them, which is what
    podman's BindsTo= comes to. What the pod's start depends on, that of each container does as well."""
    unit, target = own.unit, project_target(pod.name)
    conditions = tuple(entry for entry in pod.unit.unit if entry.key.startswith(("Condition", "Assert")))
    has_slice = any(entry.key == "Slice" and entry.value for entry in unit.service)
    install: tuple[Entry, ...] = ()
    if own.starts:
        install = (Entry("WantedBy", target),)
        if pod.exit_policy is ExitPolicy.STOP:
            # Not the pod: what multi-user.target wants would be needed for ever, and never stop with its containers.
            install += tuple(entry for entry in pod.unit.install if entry.key == "WantedBy")
    return UnitSections(
        (Entry("PartOf", target), Entry("Wants", target), *unit.unit, *conditions),
        unit.service if has_slice else (Entry("Slice", project_slice(pod.name)), *unit.service),
        (*unit.install, *install),
    )
