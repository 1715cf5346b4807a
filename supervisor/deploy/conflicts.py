"""What the definitions of one apply contradict: each other, or what is deployed already. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Protocol, TypeVar

from supervisor.deploy.state import Deployed
from supervisor.errors import Problem
from supervisor.spec.container import Container


class Defined(Protocol):
    """A container, a pod, a network or a volume."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...


T = TypeVar("T", bound=Defined)

#: Whether what is deployed from this source is to go when it is not among what is wanted.
Prune = Callable[[Defined], bool]


def by_name(things: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(things, key=lambda thing: thing.name))


def twice(kind: str, things: Iterable[Defined]) -> Iterator[Problem]:
    """Names that two of *things*, sorted by name, have."""
    for first, second in pairwise(things):
        if first.name == second.name:
            text = f"{kind} '{first.name}' is also defined in {first.source}; rename one of them"
            yield Problem(second.source, 0, "", text, _asked(kind))


def taken(
    kind: str, things: Iterable[Defined], present: Mapping[str, Defined], prune: Prune, *, replace: bool
) -> Iterator[Problem]:
    """Names that belong to another source. One that `apply` would prune may be taken over: its definition moved."""
    for thing in things:
        old = present.get(thing.name)
        if old is None or (replace and (old.source == thing.source or prune(old))):
            continue
        text = f"{kind} '{thing.name}' is deployed from {old.source or 'the command line'} already"
        verb = "rm" if kind == "container" else f"{kind} rm"
        advice = f"remove it with 'ctrctl {verb} {thing.name}', or choose another name"
        yield Problem(thing.source, 0, "", f"{text}; {advice}", _asked(kind))


def shared_names(
    containers: Iterable[Defined], pods: Iterable[Defined], present: Mapping[str, Defined], known: Mapping[str, Defined]
) -> Iterator[Problem]:
    """Names that a container and a pod have. *present* and *known*: the containers and pods that are deployed; a name
    changes from one to the other only by hand."""
    wanted = {pod.name: pod for pod in pods}
    for container in containers:
        if pod := wanted.get(container.name):
            text = f"container '{container.name}' has the name of the pod in {pod.source}; rename one of them"
            yield Problem(container.source, 0, "", text, _asked("container"))
        elif container.name in known:
            text = f"container '{container.name}' has the name of a pod that is deployed"
            text += f"; remove that with 'ctrctl pod rm {container.name}'"
            yield Problem(container.source, 0, "", text, _asked("container"))
    for pod in wanted.values():
        if pod.name in present:
            text = f"pod '{pod.name}' has the name of a container that is deployed"
            text += f"; remove that with 'ctrctl rm {pod.name}', or write PodName="
            yield Problem(pod.source, 0, "", text, _asked("pod"))


def _asked(kind: str) -> tuple[str, ...]:
    """The key that names it."""
    return (f"{kind.capitalize()}Name",)


def users(deployed: Iterable[Deployed], uses: Callable[[Container], Iterable[str]], name: str) -> str:
    """Who of *deployed* uses *name*, in words: 'container web uses it'; empty when nobody does."""
    found = [d for d in deployed if name in uses(d.mounted)]
    if len(found) < 2:
        return f"{found[0].kind} {found[0].name} uses it" if found else ""
    kinds = {d.kind for d in found}
    names = (d.name if len(kinds) == 1 else f"{d.kind} {d.name}" for d in found)
    return f"{kinds.pop() + 's ' if len(kinds) == 1 else ''}{', '.join(names)} use it"
