"""Networks and volumes of one host: what an apply makes of them, and their records on disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from supervisor.deploy import conflicts, networking, records
from supervisor.deploy.conflicts import Prune
from supervisor.deploy.records import NetworkRecord, VolumeRecord
from supervisor.deploy.shelf import remove_units, write_units
from supervisor.deploy.state import Deployed
from supervisor.deploy.write import Changes, Disk
from supervisor.errors import Problem
from supervisor.paths import Layout
from supervisor.render import volumes as rendering
from supervisor.render.files import File
from supervisor.spec.container import Container
from supervisor.spec.network import DEFAULT, Driver, Network
from supervisor.spec.volume import Volume


class Neighbourhood(Protocol):
    """What the host's own network has taken: `supervisor.network.routes`."""

    def host_subnets(self, ours: Collection[str], /) -> tuple[str, ...]: ...
    def busy_ports(self) -> frozenset[tuple[str, int]]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of networks and volumes."""

    known: Mapping[str, NetworkRecord]
    networks: Mapping[str, NetworkRecord]
    """As they will be, those that do not change among them."""
    gone: tuple[str, ...]
    known_volumes: Mapping[str, VolumeRecord]
    volumes: Mapping[str, tuple[VolumeRecord, tuple[File, ...]]]
    """Those that are new or change, with the unit files that mount them."""

    @property
    def new_networks(self) -> tuple[str, ...]:
        """Those that are new or change."""
        return tuple(name for name, record in self.networks.items() if self.known.get(name) != record)

    @property
    def every_volume(self) -> Mapping[str, Volume]:
        """By name, those that do not change among them."""
        kept = {name: record.volume for name, record in self.known_volumes.items()}
        return kept | {name: record.volume for name, (record, _) in self.volumes.items()}

    @property
    def units(self) -> frozenset[str]:
        """Units whose files are written or removed."""
        written = {file.unit for _, files in self.volumes.values() for file in files}
        return frozenset(written | {File(path, "").unit for paths in self.remounted.values() for path in paths})

    @property
    def remounted(self) -> dict[str, tuple[str, ...]]:
        """Volumes that change as file systems, with the unit files that mount them now."""
        old = {name: self.known_volumes[name] for name in self.volumes if name in self.known_volumes}
        new = {name: self.volumes[name][0].volume for name in old}
        return {
            name: record.units
            for name, record in old.items()
            if (new[name].type, new[name].device, new[name].options)
            != (record.volume.type, record.volume.device, record.volume.options)
        }

    def told(self) -> tuple[tuple[str, str], ...]:
        """What is done, in words."""
        words = [(f"network {n}", "changed" if n in self.known else "created") for n in self.new_networks]
        words += [(f"network {n}", "removed") for n in self.gone]
        words += [(f"volume {n}", "changed" if n in self.known_volumes else "created") for n in self.volumes]
        return tuple(words)


class Resources:
    """The records. Reading and writing raise OSError beside what is said."""

    def __init__(self, layout: Layout, disk: Disk, neighbourhood: Neighbourhood) -> None:
        self.networks = records.networks(layout)
        self.volumes = records.volumes(layout)
        self._layout = layout
        self._disk = disk
        self._neighbourhood = neighbourhood

    def decide(
        self,
        networks: Iterable[Network],
        volumes: Iterable[Volume],
        containers: Iterable[Container],
        others: tuple[Deployed, ...],
        prune: Prune,
        problems: list[Problem],
        *,
        replace: bool,
    ) -> Decision:
        """What an apply of *containers* makes of *networks* and *volumes*; adds to *problems*.

        *others*: the deployed containers that stay as they are. Networks come and go with their definitions; volumes,
        which hold data, only come.
        """
        wanted, wanted_volumes = conflicts.by_name(networks), conflicts.by_name(volumes)
        known, known_volumes = self.networks.read_all(), self.volumes.read_all()
        problems += conflicts.twice("network", wanted)
        problems += conflicts.twice("volume", wanted_volumes)
        defined = {name: record.definition for name, record in known.items() if record.definition.source}
        present = {name: record.volume for name, record in known_volumes.items()}
        problems += conflicts.taken("network", wanted, defined, prune, replace=replace)
        problems += conflicts.taken("volume", wanted_volumes, present, prune, replace=replace)
        names = {network.name for network in wanted}
        gone = tuple(name for name, network in defined.items() if name not in names and prune(network))
        kept = {name: record for name, record in known.items() if name not in gone}
        if networking.needs_default(containers) and DEFAULT not in names | set(kept):
            wanted = (Network(DEFAULT, ""), *wanted)
        # A parent of macvlan is the host's own, with the host's routes.
        bridges = [r.network.interface for r in known.values() if r.network.driver is Driver.BRIDGE]
        subnets = self._neighbourhood.host_subnets(bridges) if wanted else ()
        decided = networking.complete(wanted, kept, subnets, problems)
        # The default network does not go while it is needed: it becomes what it is without a definition.
        gone = tuple(name for name in gone if name not in decided)
        changed = {n: r for n, r in decided.items() if n in known and known[n].network != r.network}
        sources = {name: known[name].definition.source for name in gone}
        sources |= {name: record.definition.source or known[name].definition.source for name, record in changed.items()}
        for name, source in sources.items():
            if users := conflicts.users(others, networking.names, name):
                text = f"network {name}: {users} as it is; remove what uses it first"
                problems.append(Problem(source, 0, "", text))
        rendered = {volume.name: rendering.units(volume, self._layout) for volume in wanted_volumes}
        volume_records = {
            volume.name: VolumeRecord(volume, tuple(file.path for file in rendered[volume.name]))
            for volume in wanted_volumes
        }
        new = {n: (r, rendered[n]) for n, r in volume_records.items() if known_volumes.get(n) != r}
        return Decision(known, {**kept, **decided}, gone, known_volumes, new)

    def write(self, decision: Decision, changes: Changes) -> None:
        """What the containers need, before they are published."""
        for name in decision.new_networks:
            self.networks.write(name, decision.networks[name], changes)
        for name, (record, files) in decision.volumes.items():
            # A setuid program in a volume must be out of reach of the host's users.
            changes.make_directories(self._layout.volumes, 0o700)
            old = decision.known_volumes.get(name)
            remove_units(tuple(p for p in old.units if p not in record.units) if old else (), self._layout, changes)
            write_units(files, changes)
            self.volumes.write(name, record, changes)

    def retire(self, decision: Decision, changes: Changes) -> None:
        """What no container needs any more, after the containers are retired."""
        for name in decision.gone:
            self.networks.remove(name, changes)

    def make_directory(self, volume: Volume) -> None:
        """The volume's directory, which is there before its first container only if it was created by name."""
        path = f"{self._layout.volumes}/{volume.name}"
        if not self._disk.exists(path):
            self._disk.make_directory(path)
            if volume.uid is not None or volume.gid is not None:
                os.chown(path, -1 if volume.uid is None else volume.uid, -1 if volume.gid is None else volume.gid)

    def erase_volume(self, name: str) -> None:
        """The volume's directory, and what a copy into it left that was killed; never a file system mounted on it."""
        directory = f"{self._layout.volumes}/{name}"
        try:
            self._disk.remove_directory(directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            self._disk.erase(directory)
        self._disk.erase(f"{self._layout.volume_records}/{name}.copying")
