"""The only writer: brings /var/lib/ctr/containers and systemd's unit directory to what was rendered.

Everything is rendered before anything is written, so an invalid definition changes nothing. The order of effects is
chosen so that a SIGKILL between any two leaves each container with its old or its new version, and the next `apply`
completes it:

1. all new versions are written beside the old ones (``NAME/v.DIGEST``, or the whole ``.NAME.new``) and flushed to disk:
   a full disk is noticed here, when nothing was changed yet;
2. containers that go are stopped, while their units still have their own stop settings;
3. per container: links that go are removed, then the version is switched by one rename, then the drop-in, then new
   links. A container that goes loses its links, its drop-in and, last, its directory (renamed to ``.NAME.gone``). So a
   link or a drop-in never exists without the record that knows it;
4. one daemon-reload, if systemd has a unit in memory whose files changed;
5. what nobody needs any more is erased, and running containers that changed are restarted.

Until 4 is done every failure is undone, in reverse; every error on the way is reported. What a killed apply owes after
its switches, `supervisor.deploy.pending` remembers: the next one reloads, and restarts what was to be restarted. A
container that fails to come up with its new definition stays deployed: that is for its unit to say and its author to
correct.

Between the switch and the drop-in a unit may start with a new plan and an old drop-in: it would stop with the old
signal and timeout, and one that became (or ceased to be) a oneshot would fail to start. Until 4, that is systemd's own
view in any case.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from supervisor.deploy import conflicts, host, networking, state
from supervisor.deploy.conflicts import Prune
from supervisor.deploy.guards import host_errors, locked, undone_on_failure, words
from supervisor.deploy.pending import Pending
from supervisor.deploy.records import NetworkRecord, VolumeRecord
from supervisor.deploy.resources import Decision, Neighbourhood, Resources
from supervisor.deploy.restarts import Restarts
from supervisor.deploy.settings import read as read_settings
from supervisor.deploy.shelf import Shelf, remove_units
from supervisor.deploy.write import Changes, Disk
from supervisor.errors import ConflictError, CtrError, DefinitionError, HostError, NotFoundError, Problem, UserError
from supervisor.events import records
from supervisor.names import check_name, namespace_unit, service_unit
from supervisor.network import routes
from supervisor.paths import Layout
from supervisor.render import oci
from supervisor.render.files import File, Link
from supervisor.render.tree import Tree, tree
from supervisor.spec.container import Container, MountType
from supervisor.spec.image import Image, ImageConfig, Layer
from supervisor.spec.network import Lease, Network
from supervisor.spec.volume import Volume
from supervisor.spec.volumes import anonymous_volumes
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
    """Networks and volumes ('network shop') and what became of them ('created', 'changed', 'removed')."""
    leftovers: tuple[str, ...] = ()
    """What could not be erased afterwards, in words; the next apply tries again."""


class Deployment:
    """Deployed containers of one host."""

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

    # reading

    def deployed(self) -> tuple[Container, ...]:
        """Every deployed container, sorted by name. Raises `UserError` for a damaged record."""
        return tuple(d.container for d in state.read_all(self._layout))

    def get(self, name: str) -> Container:
        """One deployed container. Raises `NotFoundError`."""
        return state.read(self._layout, name).container

    def networks(self) -> tuple[Network, ...]:
        """Every network, complete, sorted by name."""
        return tuple(record.network for record in self._resources.networks.read_all().values())

    def volumes(self) -> tuple[Volume, ...]:
        """Every volume that was defined or created, sorted by name; a container's use alone makes no record."""
        return tuple(record.volume for record in self._resources.volumes.read_all().values())

    def leases(self) -> dict[str, tuple[Lease, ...]]:
        """Container names to what they were given."""
        return {d.name: d.record.leases for d in state.read_all(self._layout)}

    def users_of(self, image_id: str) -> tuple[str, ...]:
        """Names of the containers deployed from the image with this id."""
        return tuple(d.name for d in state.read_all(self._layout) if d.image == image_id)

    def missing_images(self, containers: Iterable[Container]) -> tuple[str, ...]:
        """References among *containers* that the store does not have, each once."""
        missing = []
        for reference in dict.fromkeys(c.image for c in containers if c.image is not None):
            try:
                self._store.find(reference)
            except NotFoundError:
                missing.append(reference)
        return tuple(missing)

    # writing

    def apply(
        self,
        containers: Iterable[Container],
        *,
        networks: Iterable[Network] = (),
        volumes: Iterable[Volume] = (),
        prune: Prune,
        replace: bool = True,
        restart: bool = True,
        dry_run: bool = False,
    ) -> Report:
        """Deploy *containers* and the *networks* and *volumes* they may use; remove the containers and networks
        deployed earlier for which *prune* is true (volumes stay until they are removed by name). Starts none.

        Without *replace* a name that is taken is an error (``ctrctl run``); without *restart* running containers stay
        as they are. *dry_run* only reports what would be done. Raises `DefinitionError` with every problem (nothing
        was changed) and `HostError` (everything was undone, or the message says what was not).
        """
        wanted = conflicts.by_name(containers)
        with locked(self._layout), host_errors():
            present = {d.name: d for d in state.read_all(self._layout)}
            names = {c.name for c in wanted}
            gone = tuple(d for d in present.values() if d.name not in names and prune(d.container))
            staying = tuple(d for d in present.values() if d not in gone)
            others = tuple(d for d in staying if d.name not in names)
            problems = [
                *conflicts.twice("container", wanted),
                *conflicts.taken(
                    "container", wanted, {n: d.container for n, d in present.items()}, prune, replace=replace
                ),
                *networking.check_shared((*wanted, *(d.container for d in others))),
            ]
            resources = self._resources.decide(networks, volumes, wanted, others, prune, problems, replace=replace)
            problems += self._still_mounted(resources, tuple(present.values()))
            trees = self._render(wanted, resources.networks, resources.every_volume, staying, problems)
            if problems:
                raise DefinitionError(tuple(problems))
            differences = [state.difference(self._layout, t) for t in trees]
            pending = self._pending.read()
            owed = (pending or frozenset()) & names
            affected = [d.tree.name for d in differences if d.tree.name in owed or (d.effective and not d.is_new)]
            connected = [d.tree.name for d in differences if d.tree.name in owed or d.network]
            leftovers: tuple[str, ...] = ()
            if not dry_run:
                if pending is not None:
                    self._manager.daemon_reload()
                with self._pending.owed((pending or frozenset()) | set(affected if restart else ())):
                    leftovers = self._write([d for d in differences if d.anything], gone, resources)
            # Only now: one that was started while we wrote may run the old version.
            running = self._running(affected) if restart else frozenset[str]()
            restarts = [name for name in affected if name in running]
            namespaces = self._active(map(namespace_unit, connected)) if restart else frozenset[str]()
            jobs = None if dry_run else Restarts(self._manager, restarts, namespaces)
            if not dry_run:
                self._pending.paid((pending or frozenset()) - (names if restart else frozenset()))
        # Others may deploy meanwhile.
        failed = jobs.wait() if jobs else ()
        return Report(
            created=tuple(d.tree.name for d in differences if d.is_new),
            changed=tuple(d.tree.name for d in differences if d.anything and not d.is_new),
            unchanged=tuple(d.tree.name for d in differences if not d.anything),
            removed=tuple(d.name for d in gone),
            restarted=tuple(n for n in restarts if n not in dict(failed)),
            failed=failed,
            resources=resources.told(),
            leftovers=leftovers,
        )

    def create_network(self, definition: Network) -> Network:
        """Make a network, complete. Raises `DefinitionError`: the name is taken, the subnet overlaps another …"""
        self.apply((), networks=(definition,), prune=lambda _: False, replace=False)
        return self._resources.networks.read(definition.name).network

    def remove_network(self, name: str) -> None:
        """Raises `NotFoundError`, `ConflictError` naming the containers that are in it."""
        with locked(self._layout), host_errors():
            self._resources.networks.read(name)
            if users := conflicts.users(state.read_all(self._layout), networking.names, name):
                raise ConflictError(f"network {name}: {users}; remove what uses it first")
            self._resources.networks.remove(name, Changes(self._disk))

    def create_volume(self, volume: Volume) -> Volume:
        """Make a volume. Raises `DefinitionError` when the name is taken."""
        if self._disk.exists(f"{self._layout.volumes}/{volume.name}"):
            raise ConflictError(f"volume {volume.name}: exists already; choose another name")
        self.apply((), volumes=(volume,), prune=lambda _: False, replace=False)
        with locked(self._layout), host_errors():
            self._resources.make_directory(volume)
        return volume

    def remove_volume(self, name: str) -> None:
        """Remove a volume with its content. Raises `NotFoundError`, `ConflictError` naming the containers that use it,
        `HostError` when it does not unmount."""
        directory = f"{self._layout.volumes}/{check_name(name, 'volume name')}"
        with locked(self._layout), host_errors():
            if users := conflicts.users(state.read_all(self._layout), _volumes_of, name):
                raise ConflictError(f"volume {name}: {users}; remove what uses it first")
            try:
                record = self._resources.volumes.read(name)
            except NotFoundError:
                if not self._disk.exists(directory):
                    raise
                record = VolumeRecord(Volume(name, ""))
            self._stop_units([os.path.basename(path) for path in record.units])
            changes = Changes(self._disk)
            with undone_on_failure(changes):
                self._resources.volumes.remove(name, changes)
                remove_units(record.units, self._layout, changes)
                self._reload({os.path.basename(path) for path in record.units})
            for path in record.units:
                self._manager.reset_failed(os.path.basename(path))
            self._resources.erase_volume(name)

    def remove_ended(self, name: str) -> None:
        """Remove container *name* with its volumes if it was to be removed at its end, and has ended; else do nothing.

        It may run again by now, be removed already, or be another one of the same name, which has not run yet.
        """
        try:
            if self.get(name).remove and self._disk.exists(f"{self._layout.container(name)}/last-exit"):
                self.remove(name, volumes=True)
        except (NotFoundError, ConflictError):
            return

    def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove container *name* with its writable layer; with *volumes* also those that nobody named or shares.

        Raises `NotFoundError`, `ConflictError` when it runs and *force* is not given, `HostError` when it does not
        stop or the file system refuses.
        """
        directory = self._layout.container(check_name(name))
        with locked(self._layout), host_errors():
            if not os.path.lexists(directory):
                raise NotFoundError(f"container {name}: not deployed; 'ctrctl ps -a' lists those that are")
            if not force and self._running((name,)):
                raise ConflictError(f"container {name}: is running; stop it first or use --force")
            if sharers := self._sharers(name):
                raise ConflictError(f"container {name}: {', '.join(sharers)} shares its network; remove that first")
            # Of a damaged record, remove what can be found without it.
            links: tuple[Link, ...] = ()
            files: tuple[str, ...] = (f"{self._layout.units}/{service_unit(name)}.d/50-ctr.conf",)
            with suppress(UserError):
                deployed = state.read(self._layout, name)
                links, files = deployed.links, deployed.record.units
            try:
                spare = self._only_used_by(self.get(name)) if volumes else ()
            except UserError:
                spare = ()  # some record is damaged: keep what may be in use
            units = _link_units(links)
            changes = Changes(self._disk)
            with undone_on_failure(changes):
                self._stop((name,), changes)
                changes.also_undo(lambda: self._reload(units))
                self._shelf.retire(name, links, files, changes)
                self._reload(units)
            self._erase(name)
            for volume in spare:
                self._resources.erase_volume(volume)

    # steps

    def _still_mounted(self, resources: Decision, present: Collection[state.Deployed]) -> list[Problem]:
        """Volumes that are to be mounted otherwise while somebody runs with them."""
        problems = []
        for name in resources.remounted:
            if users := self._running(d.name for d in present if name in _volumes_of(d.container)):
                text = f"volume {name}: is mounted for {', '.join(sorted(users))}; stop what uses it first"
                problems.append(Problem(resources.volumes[name][0].volume.source, 0, "", text))
        return problems

    def _render(
        self,
        containers: tuple[Container, ...],
        networks: Mapping[str, NetworkRecord],
        volumes: Mapping[str, Volume],
        staying: tuple[state.Deployed, ...],
        problems: list[Problem],
    ) -> list[Tree]:
        """The trees of *containers*; what cannot be rendered is added to *problems*."""
        if not containers:
            return []
        facts = host.gather(self._layout, containers, read_settings(self._layout))
        wants_port = any(c.publish_all or any(not p.host for p in c.ports) for c in containers)
        busy = self._neighbourhood.busy_ports() if wants_port else ()
        allotment = networking.Allotment({n: r.network for n, r in networks.items()}, staying, containers, busy)
        trees = []
        for container in containers:
            try:
                name = oci.hostname(container, facts)
                if container.rootfs is not None:
                    accounts = host.rootfs_accounts(container.rootfs)
                    given = allotment.networking(container, ImageConfig(), name)
                    trees.append(tree(container, None, (), facts, self._layout, accounts, given, volumes))
                else:
                    image = self._store.find(container.image or "")
                    layers = self._store.layers(image)
                    given = allotment.networking(container, image.config, name)
                    trees.append(tree(container, image, layers, facts, self._layout, None, given, volumes))
            except UserError as error:
                prefix = f"{container.name}: "
                problems.append(Problem(container.source, 0, "", prefix + str(error).removeprefix(prefix)))
        return trees

    def _write(
        self, differences: list[state.Difference], gone: tuple[state.Deployed, ...], resources: Decision
    ) -> tuple[str, ...]:
        """Everything but the restarts; what could not be erased at the end, in words."""
        self._shelf.sweep()
        if not differences and not gone and not resources.told():
            return ()
        units = {file.unit for d in differences for file in d.new_units} | resources.units
        units |= {File(path, "").unit for d in differences for path in d.obsolete_units}
        units |= _link_units(link for d in differences for link in (*d.obsolete_links, *d.new_links))
        units |= _link_units(link for d in gone for link in d.links)
        changes = Changes(self._disk)
        with undone_on_failure(changes):
            # A setuid program in a container's layer must be out of reach of the host's users.
            changes.make_directories(self._layout.containers, 0o700)
            for difference in differences:
                self._shelf.prepare(difference, changes)
            self._stop_units([File(path, "").unit for paths in resources.remounted.values() for path in paths])
            self._resources.write(resources, changes)
            self._shelf.flush()
            self._stop(tuple(d.name for d in gone), changes)
            # Comes after the files in `undo`, and before what was stopped is started again.
            changes.also_undo(lambda: self._reload(units))
            for difference in differences:
                self._shelf.publish(difference, changes)
            for deployed in gone:
                self._shelf.retire(deployed.name, deployed.links, deployed.record.units, changes)
            self._resources.retire(resources, changes)
            self._shelf.flush()
            self._reload(units)
        for difference in differences:
            if difference.is_new:
                self._tell(records.DEPLOYED, difference.tree.name, "deployed")
        return self._clear(differences, gone)

    def _clear(self, differences: list[state.Difference], gone: tuple[state.Deployed, ...]) -> tuple[str, ...]:
        leftovers = []
        steps = [(self._erase, d.name) for d in gone]
        steps += [(self._shelf.drop_old_versions, d.tree.name) for d in differences]
        for step, name in steps:
            try:
                step(name)
            except (OSError, CtrError) as error:
                leftovers.append(f"container {name}: deployed, but not everything old is erased: {words(error)}")
        return tuple(leftovers)

    def _erase(self, name: str) -> None:
        self._tell(records.REMOVED, name, "removed")
        self._shelf.erase(name)
        self._manager.reset_failed(service_unit(name))

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

    def _sharers(self, name: str) -> tuple[str, ...]:
        try:
            return networking.sharers(self.deployed(), name)
        except UserError:
            return ()  # some record is damaged, and that must not keep this one

    def _only_used_by(self, container: Container) -> tuple[str, ...]:
        others = (c for c in self.deployed() if c.name != container.name)
        return tuple(sorted(anonymous_volumes(container) - {m.source for c in others for m in c.mounts}))

    def _running(self, names: Iterable[str]) -> frozenset[str]:
        units = {service_unit(name): name for name in names}
        return frozenset(units[unit] for unit in self._active(units))

    def _active(self, units: Iterable[str]) -> frozenset[str]:
        wanted = frozenset(units)
        statuses = self._manager.units(*sorted(wanted)) if wanted else ()
        return frozenset(s.name for s in statuses if s.name in wanted and s.active in _RUNNING)


def _volumes_of(container: Container) -> frozenset[str]:
    return frozenset(m.source for m in container.mounts if m.type is MountType.VOLUME)


def _link_units(links: Iterable[Link]) -> set[str]:
    """Units that systemd sees differently through *links*: who wants the container, or with Alias= the container."""
    units = set()
    for link in links:
        directory, name = os.path.split(link.path)
        unit, dot, kind = os.path.basename(directory).rpartition(".")
        is_alias = not dot or kind not in ("wants", "requires", "upholds")
        units.add(f"ctr@{name.partition('@')[2]}" if is_alias else unit)
    return units

