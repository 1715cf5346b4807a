"""``ctrctl check --plan``: what an apply would do, and which of its fields make a container change. Reads only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from supervisor.cli.apply import Application, unused
from supervisor.cli.console import Console
from supervisor.definitions.asking import telling_lines
from supervisor.definitions.load import Loaded
from supervisor.deploy import records, state
from supervisor.deploy.deploy import Deployment
from supervisor.images.store import Store
from supervisor.spec.container import Container, Entry, ScopeProperty
from supervisor.spec.network import Network
from supervisor.spec.pod import Pod
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager

T = TypeVar("T", Container, Network, Volume, Pod)

#: Of something new, what was said already, or holds for all of them.
_KNOWN = frozenset({"name", "source", "network_online"})
#: Its parts are said where they have an effect.
_PARTS = frozenset({"membership"})
#: Members that are names with values.
_PAIRS = frozenset({"environment", "labels", "annotations", "sysctls", "hosts", "options"})
#: Longer values are cut; the definition has them whole.
_WIDTH = 100


def show(loaded: Loaded, paths: Sequence[str], console: Console) -> None:
    """What ``ctrctl apply`` of *loaded*, from *paths*, would do, then the fields. Raises what it would raise."""
    with Manager.open() as manager, telling_lines(loaded):
        deployment = Deployment(console.layout, Store(console.layout), manager)
        Application(deployment, manager, console).rehearse(loaded, paths, unused(loaded))
    layout = console.layout
    _compare("container", loaded.containers, {d.name: d.container for d in state.read_all(layout)}, console)
    _compare("pod", loaded.pods, {d.name: d.pod for d in state.read_pods(layout)}, console)
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
        if field.name in _PARTS:
            continue
        if old is not None:
            before = getattr(old, field.name)
            if before != value:
                yield f"{field.name}: {_shown(field.name, before)} → {_shown(field.name, value)}"
        elif field.name not in _KNOWN and value != _default(field):
            yield f"{field.name}: {_shown(field.name, value)}"


def _default(field: dataclasses.Field[object]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _shown(field: str, value: object) -> str:
    """*value* for a person, on one line."""
    if field in _PAIRS and isinstance(value, tuple):
        value = tuple(f"{name}={word}" for name, word in value)
    text = _text(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _text(value: object) -> str:
    if isinstance(value, (Entry, ScopeProperty)):
        return f"{value.key if isinstance(value, Entry) else value.name}={value.value}"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if dataclasses.is_dataclass(value):
        members = [(f.name, getattr(value, f.name), _default(f)) for f in dataclasses.fields(value)]
        unusual = [f"{name}={_text(member)}" for name, member, usual in members if member != usual]
        # Where everything is as usual, what kind it is tells most.
        return f"({' '.join(unusual)})" if unusual else f"({_text(members[0][1])})"
    if value is None or value == "":
        return "none"
    return str(value)

