"""Which containers and pods one apply is about: what is wanted, what goes, what stays; and what of it contradicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from supervisor.deploy import conflicts, networking, state
from supervisor.deploy.conflicts import Prune
from supervisor.deploy.state import Deployed, DeployedPod
from supervisor.errors import Problem
from supervisor.paths import Layout
from supervisor.render.pod import holder
from supervisor.render.sharing import namespace_owner
from supervisor.spec.container import Container
from supervisor.spec.membership import joined
from supervisor.spec.pod import Pod
from supervisor.spec.userns import IdMaps


@dataclass(frozen=True, slots=True)
class Selection:
    """*containers* and *pods* are wanted, sorted by name; *present* is deployed, of which the two *gone* go."""

    containers: tuple[Container, ...]
    pods: tuple[Pod, ...]
    present: Mapping[str, Deployed]
    present_pods: Mapping[str, DeployedPod]
    gone: tuple[Deployed, ...]
    gone_pods: tuple[DeployedPod, ...]

    @property
    def names(self) -> frozenset[str]:
        """Of what is wanted."""
        return frozenset((*(c.name for c in self.containers), *(p.name for p in self.pods)))

    @property
    def networked(self) -> tuple[Container, ...]:
        """Everything wanted that may have networks."""
        return (*map(holder, self.pods), *self.containers)

    @property
    def staying(self) -> tuple[Deployed, ...]:
        """What is deployed and does not go, pods among it."""
        pods = (pod.holder for pod in self.present_pods.values() if pod not in self.gone_pods)
        return (*pods, *(one for one in self.present.values() if one not in self.gone))

    @property
    def others(self) -> tuple[Deployed, ...]:
        """What is deployed and not applied, as it will be: what is in one of the *pods* follows it."""
        pods = {pod.name: pod for pod in self.pods}
        rest = (one for one in self.staying if one.name not in self.names)
        return tuple(replace(one, container=_in_its_pod(one.container, pods)) for one in rest)

    def members(self, pods: Iterable[str]) -> tuple[str, ...]:
        """Names of the containers that will be in one of *pods*, sorted."""
        wanted = frozenset(pods)
        every = (*self.containers, *(one.container for one in self.others))
        return tuple(sorted(container.name for container in every if container.pod in wanted and container.pod))

    def following(self, maps: Mapping[str, IdMaps | None]) -> Iterator[tuple[Deployed, Pod]]:
        """What is not applied itself, and changes with its pod: it as it is to be, and that pod. *maps*: the users of
        the pods by name."""
        pods = {pod.name: pod for pod in self.pods if pod.name in maps}
        for one in self.others:
            if pod := pods.get(one.container.pod):
                before = self.present[one.name]
                if (one.container, maps[pod.name]) != (before.container, before.record.id_maps):
                    yield one, pod

    def evicted(self) -> tuple[str, ...]:
        """Names of the wanted containers that are in a pod which goes; they stop with it."""
        gone = {pod.name for pod in self.gone_pods}
        return tuple(c.name for c in self.containers if c.name in self.present and self._pod(c.name) in gone)

    def _pod(self, name: str) -> str:
        return self.present[name].container.pod

    def owners(self) -> dict[str, str]:
        """Containers, by name, whose namespaces are another's, and whose."""
        every = (*self.containers, *(one.container for one in self.others))
        return {one.name: owner for one in every if (owner := namespace_owner(one)) != one.name}

    def problems(self, prune: Prune, *, replace: bool) -> Iterator[Problem]:
        """What cannot be."""
        containers = {name: deployed.container for name, deployed in self.present.items()}
        pods = {name: deployed.pod for name, deployed in self.present_pods.items()}
        yield from conflicts.twice("container", self.containers)
        yield from conflicts.twice("pod", self.pods)
        yield from conflicts.taken("container", self.containers, containers, prune, replace=replace)
        yield from conflicts.taken("pod", self.pods, pods, prune, replace=replace)
        yield from conflicts.shared_names(self.containers, self.pods, containers, pods)
        every = (*self.containers, *(one.container for one in self.others if one.name not in self.present_pods))
        yield from networking.check_shared(every)
        yield from self._homeless(every)

    def _homeless(self, containers: Iterable[Container]) -> Iterator[Problem]:
        pods = {pod.name for pod in self.pods} | self.present_pods.keys() - {pod.name for pod in self.gone_pods}
        sources = {pod.name: pod.pod.source for pod in self.gone_pods}
        for container in containers:
            if container.pod in sources and container.pod not in pods and container.name in self.present:
                text = f"pod {container.pod}: container {container.name} is in it; apply {container.source} too, "
                text += f"or remove it with 'ctrctl rm {container.name}'"
                yield Problem(sources[container.pod], 0, "", text)
            elif container.pod and container.pod not in pods:
                text = f"{container.name}: pod '{container.pod}', which it is to be in, does not exist"
                yield Problem(container.source, 0, "", text, ("Pod", container.pod))


def select(layout: Layout, containers: Iterable[Container], pods: Iterable[Pod], prune: Prune) -> Selection:
    """Look at what is deployed. Raises `UserError` for a damaged record."""
    wanted, wanted_pods = conflicts.by_name(containers), conflicts.by_name(pods)
    present = {deployed.name: deployed for deployed in state.read_all(layout)}
    present_pods = {deployed.name: deployed for deployed in state.read_pods(layout)}
    names, pod_names = {c.name for c in wanted}, {p.name for p in wanted_pods}
    # A definition of a pod may have changed since it was read for its containers.
    pods_to_be = {d.name: d.pod for d in present_pods.values()} | {pod.name: pod for pod in wanted_pods}
    return Selection(
        tuple(_in_its_pod(container, pods_to_be) for container in wanted),
        wanted_pods,
        present,
        present_pods,
        tuple(d for d in present.values() if d.name not in names and prune(d.container)),
        tuple(d for d in present_pods.values() if d.name not in pod_names and prune(d.pod)),
    )


def _in_its_pod(container: Container, pods: Mapping[str, Pod]) -> Container:
    """*container* as one of *pods*, by name, has it; as it is when it is in none of them."""
    pod = pods.get(container.pod)
    return joined(container, pod) if pod else container
