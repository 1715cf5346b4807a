"""What every change of deploy's stands on: the disk and the records it writes, and systemd's view of the units."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

from supervisor.deploy.pending import Pending
from supervisor.deploy.resources import Neighbourhood, Resources
from supervisor.deploy.shelf import Shelf
from supervisor.deploy.write import Changes, Disk
from supervisor.errors import HostError
from supervisor.events import records
from supervisor.names import namespace_unit, project_target, service_unit
from supervisor.network import routes
from supervisor.paths import Layout
from supervisor.render.files import Link
from supervisor.spec.image import Image, Layer
from supervisor.systemd import journal
from supervisor.systemd.manager import Job, UnitStatus

_RUNNING = ("active", "activating", "reloading", "refreshing", "deactivating")


class Systemd(Protocol):
    """What deploy asks of `supervisor.systemd.manager.Manager`."""

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]: ...
    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job: ...
    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]: ...
    def daemon_reload(self) -> None: ...
    def reset_failed(self, unit: str) -> None: ...


class Images(Protocol):
    """What deploy asks of `supervisor.images.store.Store`."""

    def find(self, reference: str, /) -> Image: ...
    def layers(self, image: Image, /) -> tuple[Layer, ...]: ...


class Ground:
    """One host. Callers hold the lock (`supervisor.deploy.guards`)."""

    def __init__(
        self,
        layout: Layout,
        store: Images,
        manager: Systemd,
        disk: Disk | None = None,
        neighbourhood: Neighbourhood = routes,
    ) -> None:
        self._layout = layout
        self._store = store
        self._manager = manager
        self._disk = disk or Disk()
        self._shelf = Shelf(layout, self._disk)
        self._neighbourhood = neighbourhood
        self._pending = Pending(layout)
        self._resources = Resources(layout, self._disk, neighbourhood)

    def _erase(self, name: str) -> None:
        self._tell(records.REMOVED, name, "removed")
        self._shelf.erase(name)
        self._manager.reset_failed(service_unit(name))

    def _erase_pod(self, name: str) -> None:
        self._shelf.erase(name)
        self._manager.reset_failed(namespace_unit(name))

    def _tell(self, record: str, name: str, word: str) -> None:
        """Have the journal know; the supervisor makes an event of it."""
        fields = {"MESSAGE_ID": record, "SYSLOG_IDENTIFIER": "ctrctl", records.CONTAINER: name}
        fields["OBJECT_SYSTEMD_UNIT"] = service_unit(name)
        journal.record(f"container {name}: {word}", journal.INFO, fields, self._layout.journal)

    def _stop(self, names: tuple[str, ...], changes: Changes) -> None:
        """Stop those of *names* that run, and wait until their addresses and ports are free. Raises `HostError` for
        one that does not stop."""
        running = self._running(names)
        units = [service_unit(n) for n in names if n in running]
        if units:
            changes.also_undo(lambda: self._start_again(units))
        namespaces = self._active(map(namespace_unit, names))
        self._stop_units([*units, *sorted(namespaces)])

    def _stop_pods(self, names: tuple[str, ...], changes: Changes) -> None:
        """Stop the pods *names*, which have no containers any more, with their namespaces."""
        targets = sorted(self._active(map(project_target, names)))
        if targets:
            changes.also_undo(lambda: self._start_again(targets))
        self._stop_units([*targets, *sorted(self._active(map(namespace_unit, names)))])

    def _stop_units(self, units: list[str]) -> None:
        results = self._manager.wait([self._manager.enqueue("stop", unit) for unit in units]) if units else {}
        stuck = [
            f"{unit}: its stop job ended as '{results.get(unit)}'" for unit in units if results.get(unit) != "done"
        ]
        if stuck:
            raise HostError("; ".join(stuck) + "; see 'systemctl status'")

    def _start_again(self, units: list[str]) -> None:
        for unit in units:
            self._manager.enqueue("start", unit)

    def _reload(self, units: set[str]) -> None:
        """Have systemd read its files again if it holds one of *units* in memory; others it reads when first needed."""
        if units and self._manager.units(*sorted(units)):
            self._manager.daemon_reload()

    def _running(self, names: Iterable[str]) -> frozenset[str]:
        units = {service_unit(name): name for name in names}
        return frozenset(units[unit] for unit in self._active(units))

    def _active(self, units: Iterable[str]) -> frozenset[str]:
        wanted = frozenset(units)
        statuses = self._manager.units(*sorted(wanted)) if wanted else ()
        return frozenset(s.name for s in statuses if s.name in wanted and s.active in _RUNNING)


def link_units(links: Iterable[Link]) -> set[str]:
    """Units that systemd sees differently through *links*: who wants the container, or with Alias= the container."""
    units = set()
    for link in links:
        directory, name = os.path.split(link.path)
        unit, dot, kind = os.path.basename(directory).rpartition(".")
        is_alias = not dot or kind not in ("wants", "requires", "upholds")
        units.add(f"ctr@{name.partition('@')[2]}" if is_alias else unit)
    return units

