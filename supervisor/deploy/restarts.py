"""Restarts of what runs and was deployed anew: queued while the deployment is locked, waited for afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from supervisor.names import namespace_unit, service_unit
from supervisor.systemd.manager import Job


class Jobs(Protocol):
    """What this asks of systemd."""

    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job: ...
    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]: ...


class Restarts:
    """*names*: running containers; *namespaces*: units of active namespaces that have to be made anew, also such that
    only another container still uses; *owners*: containers whose namespaces are another's, and whose; *stopped*: those
    of *names* that were stopped on the way, with a pod that is gone.

    Who requires a namespace is restarted with it, and must not be asked to meanwhile: a try-restart of what is just
    being stopped would leave it so.
    """

    def __init__(
        self,
        manager: Jobs,
        names: list[str],
        namespaces: frozenset[str],
        owners: Mapping[str, str] | None = None,
        stopped: Collection[str] = (),
    ) -> None:
        self._manager = manager
        self._names = names
        self._with_namespace = [
            n for n in names if n in stopped or namespace_unit((owners or {}).get(n, n)) in namespaces
        ]
        units = [*sorted(namespaces), *(service_unit(n) for n in names if n not in self._with_namespace)]
        self._jobs = [manager.enqueue("try-restart", unit) for unit in units]

    def wait(self) -> tuple[tuple[str, str], ...]:
        """The containers that did not come up, with their job's result; takes as long as the slowest."""
        results = self._manager.wait(self._jobs) if self._jobs else {}
        if self._with_namespace:
            starts = [self._manager.enqueue("start", service_unit(name)) for name in self._with_namespace]
            results |= self._manager.wait(starts)
        ended = ((name, results.get(service_unit(name), "done")) for name in self._names)
        return tuple((name, result) for name, result in ended if result != "done")
