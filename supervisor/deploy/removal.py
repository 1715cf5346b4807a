"""What goes by name: containers, networks, volumes. Everything is undone when it fails half-way."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from supervisor.deploy import conflicts, networking, state
from supervisor.deploy.ground import Ground, link_units
from supervisor.deploy.guards import host_errors, locked, undone_on_failure
from supervisor.deploy.records import VolumeRecord
from supervisor.deploy.shelf import remove_units
from supervisor.deploy.write import Changes
from supervisor.errors import ConflictError, NotFoundError, UserError
from supervisor.names import check_name, namespace_unit, project_target, service_unit
from supervisor.render.files import Link
from supervisor.spec.container import Container, MountType
from supervisor.spec.volume import Volume
from supervisor.spec.volumes import anonymous_volumes


class Removal(Ground):
    """Removes what is deployed."""

    def deployed(self) -> tuple[Container, ...]:
        """Every deployed container, sorted by name. Raises `UserError` for a damaged record."""
        return tuple(d.container for d in state.read_all(self._layout))

    def get(self, name: str) -> Container:
        """One deployed container. Raises `NotFoundError`."""
        return state.read(self._layout, name).container

    def mounted(self, name: str) -> Container:
        """One deployed container, with the mounts that its image asks for. Raises `NotFoundError`."""
        return state.read(self._layout, name).mounted

    def remove_network(self, name: str) -> None:
        """Raises `NotFoundError`, `ConflictError` naming the containers that are in it."""
        with locked(self._layout), host_errors():
            self._resources.networks.read(name)
            if users := conflicts.users(state.read_networked(self._layout), networking.names, name):
                raise ConflictError(f"network {name}: {users}; remove what uses it first")
            self._resources.networks.remove(name, Changes(self._disk))

    def remove_volume(self, name: str) -> None:
        """Remove a volume with its content. Raises `NotFoundError`, `ConflictError` naming the containers that use it,
        `HostError` when it does not unmount."""
        directory = f"{self._layout.volumes}/{check_name(name, 'volume name')}"
        with locked(self._layout), host_errors():
            if users := conflicts.users(state.read_all(self._layout), volumes_of, name):
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

        The volumes that only its image asked for go in any case if it came from a definition: nobody has named them,
        and podman's Quadlet, whose containers end with each stop, does not even keep them until the next start. What
        ``ctrctl run`` made keeps them, as docker does.

        Raises `NotFoundError`, `ConflictError` when it runs and *force* is not given, `HostError` when it does not
        stop or the file system refuses.
        """
        directory = self._layout.container(check_name(name))
        with locked(self._layout), host_errors():
            if not os.path.lexists(directory):
                raise NotFoundError(f"container {name}: not deployed; 'ctrctl ps -a' lists those that are")
            if state.is_pod(self._layout, name):
                raise NotFoundError(f"container {name}: is a pod; remove it with 'ctrctl pod rm {name}'")
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
                spare = self._spare(state.read(self._layout, name), every=volumes)
            except UserError:
                spare = ()  # some record is damaged: keep what may be in use
            units = link_units(links)
            changes = Changes(self._disk)
            with undone_on_failure(changes):
                self._stop((name,), changes)
                changes.also_undo(lambda: self._reload(units))
                self._shelf.retire(name, links, files, changes)
                self._reload(units)
            self._erase(name)
            for volume in spare:
                self._resources.erase_volume(volume)

    def remove_pod(self, name: str, *, force: bool = False) -> None:
        """Remove pod *name*; with *force* its containers before. Raises `NotFoundError`, `ConflictError` naming the
        containers that are in it, `HostError`."""
        if not state.is_pod(self._layout, check_name(name, "pod name")):
            raise NotFoundError(f"pod {name}: not deployed; 'ctrctl pod ls' lists those that are")
        for container in self._members(name) if force else ():
            self.remove(container, force=True)
        with locked(self._layout), host_errors():
            if members := self._members(name):
                who = f"containers {', '.join(members)} are" if members[1:] else f"container {members[0]} is"
                them = "them" if members[1:] else "it"
                raise ConflictError(f"pod {name}: {who} in it; use --force to remove {them} too")
            links: tuple[Link, ...] = ()
            units = (project_target(name), namespace_unit(name))
            files = tuple(f"{self._layout.units}/{unit}.d/50-ctr.conf" for unit in units)
            with suppress(UserError):
                deployed = state.read_pod(self._layout, name)
                links, files = deployed.links, deployed.record.units
            affected = link_units(links) | set(units)
            changes = Changes(self._disk)
            with undone_on_failure(changes):
                self._stop_pods((name,), changes)
                changes.also_undo(lambda: self._reload(affected))
                self._shelf.retire(name, links, files, changes)
                self._reload(affected)
            self._erase_pod(name)

    def _members(self, pod: str) -> tuple[str, ...]:
        return tuple(c.name for c in self.deployed() if c.pod == pod)

    def _sharers(self, name: str) -> tuple[str, ...]:
        try:
            return networking.sharers(self.deployed(), name)
        except UserError:
            return ()  # some record is damaged, and that must not keep this one

    def _erase_with_volumes(self, gone: state.Deployed) -> None:
        """Erase a container that is retired, and the volumes that go with it."""
        self._erase(gone.name)
        for volume in self._spare(gone):
            self._resources.erase_volume(volume)

    def _spare(self, going: state.Deployed, *, every: bool = False) -> tuple[str, ...]:
        """The volumes that go with *going*, as `remove` says, sorted; with *every* all that are anonymous."""
        container = going.mounted if every else replace(going.container, mounts=going.record.image_volumes)
        if not every and not going.container.source.startswith("/"):
            return ()
        others = (d.mounted for d in state.read_all(self._layout) if d.name != going.name)
        return tuple(sorted(anonymous_volumes(container) - {m.source for c in others for m in c.mounts}))


def volumes_of(container: Container) -> frozenset[str]:
    return frozenset(m.source for m in container.mounts if m.type is MountType.VOLUME)
