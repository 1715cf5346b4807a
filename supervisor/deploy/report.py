"""What an apply did, for those who asked for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from supervisor.deploy.resources import Decision
from supervisor.deploy.selection import Selection
from supervisor.deploy.state import Difference


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply did, container names sorted."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Containers whose restart did not succeed, with the job's result ('failed', 'timeout' …)."""
    resources: tuple[tuple[str, str], ...] = ()
    """Networks, volumes and pods ('network shop') and what became of them ('created', 'changed', 'removed')."""
    leftovers: tuple[str, ...] = ()
    """What could not be erased afterwards, in words; the next apply tries again."""


def report(
    selection: Selection,
    differences: Sequence[Difference],
    resources: Decision,
    restarts: Collection[str],
    failed: tuple[tuple[str, str], ...],
    leftovers: tuple[str, ...],
) -> Report:
    """*restarts*: the containers that were restarted, those of a pod that changed among them."""
    pods = {pod.name for pod in selection.pods}
    containers = [d for d in differences if d.tree.name not in pods]
    return Report(
        created=tuple(d.tree.name for d in containers if d.is_new),
        changed=tuple(d.tree.name for d in containers if d.anything and not d.is_new),
        unchanged=tuple(d.tree.name for d in containers if not d.anything),
        removed=tuple(d.name for d in selection.gone),
        restarted=tuple(name for name in restarts if name not in dict(failed)),
        failed=failed,
        resources=resources.told() + _pods(selection, [d for d in differences if d.tree.name in pods]),
        leftovers=leftovers,
    )


def _pods(selection: Selection, differences: Sequence[Difference]) -> tuple[tuple[str, str], ...]:
    words = [(f"pod {d.tree.name}", "created" if d.is_new else "changed") for d in differences if d.anything]
    return (*words, *((f"pod {d.name}", "removed") for d in selection.gone_pods))
