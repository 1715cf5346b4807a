"""Reads what deployed containers depend on from the files that systemd would load: template, drop-ins, ``.wants``.

For units that systemd has not loaded: asked about one of those, it loads it and all it refers to from disk, and forgets
them at once, at 5 to 50 ms of PID 1 for each question. Anybody may ask, so ctrctl reads instead. Only dependencies are
understood here; where a file says something whose meaning is systemd's alone, so is the answer.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from supervisor.graph.model import SETTINGS, Relation
from supervisor.names import service_unit
from supervisor.paths import Layout

#: systemd.unit(5), "Unit File Load Path", the highest priority first.
_PATH = (
    *("/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient"),
    *("/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system"),
    *("/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/run/systemd/generator.late"),
)
_TEMPLATE = service_unit("")
_LINKS = {".wants": "Wants", ".requires": "Requires", ".upholds": "Upholds"}
#: Settings of [Service] that have dependencies of their own (systemd.service(5), systemd.exec(5)).
_IMPLICIT = frozenset(
    (
        *("Sockets", "BusName", "WorkingDirectory", "RootDirectory", "RootImage", "PAMName", "TTYPath"),
        *("StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory", "RuntimeDirectory"),
    )
)
_TYPES = (".service", ".target", ".socket", ".mount", ".automount", ".timer", ".path", ".swap", ".device", ".slice")

Relations = dict[str, tuple[str, ...]]
"""Units by setting."""


class _UnclearError(Exception):
    """Only systemd knows what this file means."""


class Files:
    """The unit files of one host, as they were when this was made."""

    def __init__(self, layout: Layout) -> None:
        self._directories = {path: _entries(path) for path in (layout.root + place for place in _PATH)}
        self._mounts = frozenset(entry for found in self._directories.values() for entry in found if _is_mount(entry))
        self._aliases = dict(_aliases(layout.units, self._directories[layout.units]))
        self._links = self._read_links()
        self._linked_from: dict[str, set[str]] = {}
        for source in self._links:
            for unit in chain(*self.links(source).values()):
                self._linked_from.setdefault(unit, set()).add(source)
        self._texts: dict[str, str] = {}
        # Of every container: the template, and what is dropped into all of its instances or into all services.
        templates = (f"{path}/{_TEMPLATE}" for path, entries in self._directories.items() if _TEMPLATE in entries)
        self._shared = self._drop_ins(_TEMPLATE, "service") | {_TEMPLATE: next(templates, "/dev/null")}

    def relations(self, name: str) -> Relations | None:
        """What the unit of container *name* depends on; None when only systemd can tell."""
        unit = service_unit(name)
        if unit in self._aliases.values() or any(unit in entries for entries in self._directories.values()):
            return None
        found: dict[str, list[str]] = {}
        try:
            for text in self._read(unit):
                for key, value in settings(text):
                    for setting, other in self._meant(key, value, name):
                        found.setdefault(setting, []).append(other)
        except (_UnclearError, OSError, UnicodeDecodeError):
            return None
        for source in (unit, _TEMPLATE):
            for setting, others in self._links.get(source, {}).items():
                found.setdefault(setting, []).extend(self._canonical(other, name) for other in others)
        return {setting: tuple(dict.fromkeys(others)) for setting, others in found.items()}

    def links(self, unit: str) -> Relations:
        """What the links in ``UNIT.wants`` and the like name."""
        found = self._links.get(unit, {})
        return {setting: tuple(self._canonical(other, "") for other in others) for setting, others in found.items()}

    def linked_from(self, unit: str) -> frozenset[str]:
        """The units in whose ``.wants`` and the like there is *unit*."""
        return frozenset(self._linked_from.get(unit, ()))

    def _meant(self, key: str, value: str, name: str) -> Iterator[tuple[str, str]]:
        """Settings and units that *key* and *value* stand for."""
        if key == "RequiresMountsFor":
            for path in _words(value):
                for mount in self._mounts.intersection(_mount_units(_expanded(path, name))):
                    yield from (("Requires", mount), ("After", mount))
        elif key in SETTINGS:
            if '"' in value or "'" in value:
                raise _UnclearError
            for word in value.split():
                other = self._canonical(_expanded(word, name), name)
                if other.endswith(_TYPES):
                    yield key, other
        elif key in _IMPLICIT:
            raise _UnclearError

    def _canonical(self, unit: str, name: str) -> str:
        """*unit* without the detour of an alias; a template alone is that with our own instance (systemd.unit(5))."""
        unit = unit.replace("@.", f"@{name}.") if name else unit
        return self._aliases.get(unit, unit)

    def _read(self, unit: str) -> Iterator[str]:
        """The texts that make up *unit*."""
        own = self._drop_ins(unit)
        for path in own.values():
            with open(path, encoding="utf-8") as file:
                yield file.read()
        for entry, path in self._shared.items():
            if entry not in own:
                if path not in self._texts:
                    with open(path, encoding="utf-8") as file:
                        self._texts[path] = file.read()
                yield self._texts[path]

    def _drop_ins(self, *units: str) -> dict[str, str]:
        """Path by file name; of several called alike, the one that counts."""
        found: dict[str, str] = {}
        for unit in units:
            for path, entries in self._directories.items():
                if f"{unit}.d" in entries:
                    names = _entries(f"{path}/{unit}.d")
                    found = {e: f"{path}/{unit}.d/{e}" for e in names if e.endswith(".conf")} | found
        return found

    def _read_links(self) -> dict[str, dict[str, list[str]]]:
        """By unit and setting, what there are links to."""
        found: dict[str, dict[str, list[str]]] = {}
        for path, entries in self._directories.items():
            for entry in entries:
                source, suffix = os.path.splitext(entry)
                if suffix in _LINKS:
                    others = found.setdefault(source, {}).setdefault(_LINKS[suffix], [])
                    others += sorted(one for one in _entries(f"{path}/{entry}") if one.endswith(_TYPES))
        return found


def by_relation(found: Mapping[str, Iterable[str]]) -> dict[Relation, tuple[str, ...]]:
    """*found*, units by setting or by property of systemd's, as the graph has them."""
    return {relation: tuple(found[key]) for key, relation in SETTINGS.items() if found.get(key)}


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of [Unit] and [Service] in the unit file *text*."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.endswith("\\"):
            raise _UnclearError
        if line.startswith("["):
            section = line
        elif section in ("[Unit]", "[Service]") and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            yield key.rstrip(), value.lstrip()


def _expanded(text: str, name: str) -> str:
    """*text* with specifiers (systemd.unit(5)) replaced, those that depend on the name alone."""
    known = {"%i": name, "%n": service_unit(name), "%N": f"ctr@{name}", "%p": "ctr", "%%": "%"}

    def replaced(match: re.Match[str]) -> str:
        if match[0] not in known:
            raise _UnclearError
        return known[match[0]]

    return re.sub("%.?", replaced, text) if "%" in text else text


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value) if '"' in value or "'" in value else value.split()
    except ValueError as error:
        raise _UnclearError from error


def _mount_units(path: str) -> Iterator[str]:
    """The mount units of *path* and of all above (systemd-escape(1) ``--path``), but for the root."""
    parts = [part for part in path.split("/") if part]
    for end in range(1, len(parts) + 1):
        text = "/".join(parts[:end])
        yield "".join(_escaped(c, at) for at, c in enumerate(text.encode())) + ".mount"


def _escaped(code: int, at: int) -> str:
    c = chr(code)
    if c == "/":
        return "-"
    return c if code < 128 and (c.isalnum() or c in ":_" or (c == "." and at)) else f"\\x{code:02x}"


def _is_mount(entry: str) -> bool:
    return entry.endswith(".mount") and entry != "-.mount"


def _aliases(path: str, entries: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Other names of containers' units (Alias=), and the units: links to the template in *path*."""
    for entry in entries:
        instance = entry.partition("@")[2].removesuffix(".service")
        if not instance or not entry.endswith(".service"):
            continue
        target = os.path.basename(os.path.realpath(f"{path}/{entry}"))
        if entry != service_unit(instance) and target in (_TEMPLATE, service_unit(instance)):
            yield entry, service_unit(instance)


def _entries(path: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(path))
    except OSError:
        return frozenset()
