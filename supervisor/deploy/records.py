"""Networks and volumes of this host: one JSON file each, kept until it is removed by name or its definition is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Generic, TypeVar

from supervisor.deploy.write import Changes
from supervisor.errors import NotFoundError, UserError
from supervisor.names import check_name, is_name
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.network import Network
from supervisor.spec.volume import Volume

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """One network of this host."""

    definition: Network
    """As its author wrote it."""
    network: Network
    """With everything that was left open filled in; this does not change while the definition does not."""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """One volume of this host that somebody defined."""

    volume: Volume
    units: tuple[str, ...] = ()
    """Unit files that mount it, absolute."""


T = TypeVar("T")


class Records(Generic[T]):
    """The records of one *kind* ('network', 'volume') in one directory. Raises OSError beside what is said."""

    def __init__(self, kind: str, record: type[T], directory: str) -> None:
        self._kind = kind
        self._record = record
        self._directory = directory

    def read(self, name: str) -> T:
        """Raises `NotFoundError`, or `UserError` for a damaged record."""
        try:
            with open(self._path(name), encoding="utf-8") as file:
                return codec.loads(self._record, file.read())
        except FileNotFoundError as error:
            raise NotFoundError(f"{self._kind} {name}: does not exist; 'ctrctl {self._kind} ls' lists all") from error
        except (ValueError, UserError) as error:
            where = self._path(name)
            raise UserError(f"{self._kind} {name}: its record {where} is damaged: {error}; remove the file") from error

    def read_all(self) -> dict[str, T]:
        """By name, sorted."""
        try:
            names = sorted(n.removesuffix(_SUFFIX) for n in os.listdir(self._directory) if n.endswith(_SUFFIX))
        except FileNotFoundError:
            return {}
        return {name: self.read(name) for name in names if is_name(name)}

    def write(self, name: str, record: T, changes: Changes) -> None:
        """Whole or not at all."""
        changes.make_directories(self._directory, 0o700)
        changes.replace_file(self._path(name), codec.dumps(record), 0o600)

    def remove(self, name: str, changes: Changes) -> None:
        changes.remove(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._directory}/{check_name(name, f'{self._kind} name')}{_SUFFIX}"


def networks(layout: Layout) -> Records[NetworkRecord]:
    return Records("network", NetworkRecord, layout.networks)


def volumes(layout: Layout) -> Records[VolumeRecord]:
    return Records("volume", VolumeRecord, layout.volume_records)
