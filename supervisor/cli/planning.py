"""``ctrctl check --plan``: what an apply would do, and which of its fields make a container change. Reads only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from supervisor.cli.apply import Application
from supervisor.cli.console import Console
from supervisor.definitions.load import Loaded
from supervisor.deploy import records, state
from supervisor.deploy.deploy import Deployment
from supervisor.images.store import Store
from supervisor.spec.container import Container
from supervisor.spec.network import Network
from supervisor.spec.pod import Pod
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager

T = TypeVar("T", Container, Network, Volume, Pod)

#: Longer values are cut; the definition has them whole.
_WIDTH = 100


def show(loaded: Loaded, paths: Sequence[str], console: Console) -> None:
    """What ``ctrctl apply`` of *loaded*, from *paths*, would do, then the fields. Raises what it would raise."""
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)
        Application(deployment, manager, console).rehearse(loaded, paths)
    layout = console.layout
    _compare("container", loaded.containers, {d.name: d.container for d in state.read_all(layout)}, console)
    networks = {name: record.definition for name, record in records.networks(layout).read_all().items()}
    _compare("network", loaded.networks, networks, console)
    volumes = {name: record.volume for name, record in records.volumes(layout).read_all().items()}
    _compare("volume", loaded.volumes, volumes, console)


def _compare(kind: str, wanted: Sequence[T], present: Mapping[str, T], console: Console) -> None:
    for thing in wanted:
        lines: tuple[str, ...] = tuple(differences(present.get(thing.name), thing))
        if lines:
            console.line("\n  ".join((f"\n{kind} {thing.name}", *lines)))


def differences(old: T | None, new: T) -> Iterator[str]:
    """``field: before → after`` of each field that differs; without *old*, ``field: value`` of each that is set."""
    for field in dataclasses.fields(new):
        value = getattr(new, field.name)
        if old is not None:
            before = getattr(old, field.name)
            if before != value:
                yield f"{field.name}: {shown(before)} → {shown(value)}"
        elif field.name not in ("name", "source") and value != _default(field):
            yield f"{field.name}: {shown(value)}"


def _default(field: dataclasses.Field[object]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def shown(value: object) -> str:
    """*value* for a person, on one line."""
    text = _text(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if dataclasses.is_dataclass(value):
        members = ((f.name, getattr(value, f.name), _default(f)) for f in dataclasses.fields(value))
        return "(" + " ".join(f"{name}={_text(member)}" for name, member, usual in members if member != usual) + ")"
    if value is None or value == "":
        return "none"
    return str(value)
