"""Devices of the Container Device Interface: which files describe what a container asks for, and what that makes of it.

Pure: `HostFacts.cdi_specs` are the files. Everything is decided when the container is deployed, so a driver that writes
its files anew takes effect with the next apply.

Hooks are programs of the host that the OCI runtime executes as root. They are taken over as they are: only root writes
below /etc/cdi and /run/cdi, and a vendor's device does not work without them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from supervisor.errors import UserError
from supervisor.render.cdi_spec import Edits, MountEdit, NodeEdit, Specification, parse
from supervisor.render.facts import DeviceNode, HostFacts, HostText
from supervisor.spec.container import Container

#: Where specifications lie; those of a later directory win (cdi, DefaultSpecDirs; /var/run is /run).
DIRECTORIES = ("/etc/cdi", "/run/cdi")
SUFFIXES = (".json", ".yaml")
#: Not those of specifications, as with podman; people take them for it.
MISLEADING = (".yml",)

#: Instead of a device's name: all of that kind, unless the vendor defines one of that name.
_ALL = "all"
#: Of a node that has none of its own; what the runtimes take then.
_MODE = 0o666


def edits(container: Container, specs: tuple[HostText, ...]) -> Edits:
    """What *container* gets. Raises `UserError` for a device that is not described, and for a damaged description."""
    if not container.cdi_devices:
        return Edits()
    known, broken = _known(specs)
    found, used = Edits(), set[str]()
    for text in container.cdi_devices:
        kind, _, name = text.partition("=")
        for path, specification, device in _chosen(kind, name, known, broken):
            if path not in used:
                used.add(path)
                found += specification.edits
            found += device
    return found


def host_nodes(containers: Iterable[Container], specs: tuple[HostText, ...]) -> Iterator[str]:
    """Paths of the host's nodes that the devices of *containers* are made from."""
    for container in containers:
        try:
            yield from (node.host_path for node in edits(container, specs).nodes)
        except UserError:
            continue  # rendering reports it, with the container's name


def nodes(
    container: Container, facts: HostFacts, uid: int = 0, gid: int = 0
) -> tuple[tuple[DeviceNode, str, str], ...]:
    """The host's node, its path in the container and the access, for each device node. One without an owner of its own
    is the container user's, *uid* and *gid*. Raises `UserError` for one that does not exist."""
    host = {node.path: node for node in facts.devices}
    found = {node.path: node for node in edits(container, facts.cdi_specs).nodes}  # of two the last, as with podman
    return tuple((_node(node, host, uid, gid), node.path, node.access) for node in found.values())


def mounts(container: Container, facts: HostFacts) -> tuple[MountEdit, ...]:
    """Complete, as the runtime wants them; they replace what else is mounted there."""
    return tuple(
        MountEdit(m.source, posixpath.normpath(m.target), m.type or "bind", _options(m.type, m.options))
        for m in edits(container, facts.cdi_specs).mounts
    )


def hooks(container: Container, facts: HostFacts) -> dict[str, list[dict[str, Any]]]:
    """OCI ``hooks``."""
    found: dict[str, list[dict[str, Any]]] = {}
    for hook in edits(container, facts.cdi_specs).hooks:
        entry: dict[str, Any] = {"path": hook.path}
        entry |= {"args": list(hook.arguments)} if hook.arguments else {}
        entry |= {"env": list(hook.environment)} if hook.environment else {}
        entry |= {} if hook.timeout is None else {"timeout": hook.timeout}
        found.setdefault(hook.when, []).append(entry)
    return found


def _known(specs: tuple[HostText, ...]) -> tuple[dict[str, tuple[HostText, Specification]], list[str]]:
    """By path; and what is wrong with the others."""
    found, broken = {}, []
    for spec in specs:
        try:
            if spec.problem:
                raise UserError(f"{spec.path}: {spec.problem}")
            found[spec.path] = (spec, _parsed(spec.path, spec.text))
        except UserError as error:
            broken.append(str(error))
    return found, broken


@lru_cache(maxsize=64)
def _parsed(path: str, text: str) -> Specification:
    """One deployment asks for the same file again and again."""
    return parse(path, text)


def _chosen(
    kind: str, name: str, known: dict[str, tuple[HostText, Specification]], broken: list[str]
) -> list[tuple[str, Specification, Edits]]:
    described: dict[str, list[tuple[str, Specification, Edits]]] = {}
    for path, (_, specification) in known.items():
        for device, its in specification.devices if specification.kind == kind else ():
            described.setdefault(device, []).append((path, specification, its))
    if name == _ALL and _ALL not in described and described:
        return [_winner(f"{kind}={device}", places) for device, places in described.items()]
    if name in described:
        return [_winner(f"{kind}={name}", described[name])]
    text = f"device {kind}={name}: {_missing(kind, described, known, broken)}"
    raise UserError(text).asked_by("AddDevice", f"{kind}={name}")


def _winner(device: str, places: list[tuple[str, Specification, Edits]]) -> tuple[str, Specification, Edits]:
    """Of several descriptions the one in the last directory; two in one directory are nobody's."""
    directory = posixpath.dirname(places[-1][0])
    same = [path for path, _, _ in places if posixpath.dirname(path) == directory]
    if len(same) > 1:
        text = f"device {device}: both {same[0]} and {same[1]} describe it; remove one of the two"
        raise UserError(text).asked_by("AddDevice", device)
    return places[-1]


def _missing(
    kind: str, described: Iterable[str], known: dict[str, tuple[HostText, Specification]], broken: list[str]
) -> str:
    others = sorted({f"{s.kind}={name}" for _, s in known.values() for name, _ in s.devices})
    there = sorted(f"{kind}={name}" for name in described) or others
    if there:
        text = f"no specification describes it; there is {', '.join(there[:20])}"
    elif broken:
        text = "no specification that can be read describes it"
    else:
        text = f"no specification of a device in {' or '.join(DIRECTORIES)}; have the vendor's tool write one"
    return f"{text}. {'. '.join(broken)}" if broken else text


def _node(node: NodeEdit, host: dict[str, DeviceNode], uid: int, gid: int) -> DeviceNode:
    real = host.get(node.host_path)
    if real is None and (not node.type or (node.type != "p" and (node.major is None or node.minor is None))):
        raise UserError(f"device node {node.host_path}: is not on this host; load its driver, or describe it anew")
    return DeviceNode(
        node.host_path,
        node.type or (real.type if real else ""),
        _first(node.major, real.major if real else None),
        _first(node.minor, real.minor if real else None),
        _first(node.mode, _MODE),
        _first(node.uid, uid),
        _first(node.gid, gid),
    )


def _first(*numbers: int | None) -> int:
    return next((number for number in numbers if number is not None), 0)


def _options(kind: str, options: tuple[str, ...]) -> tuple[str, ...]:
    if kind not in ("", "none", "bind") or {"bind", "rbind"} & set(options):
        return options
    return (*options, "rbind")
