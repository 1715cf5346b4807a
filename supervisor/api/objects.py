"""The objects as clients see them: what was published of each, and what is still to be told. No input or output.

A change is noted by `show` and `hide`, and becomes visible, and a signal, by `step`, which the session calls as fast
as it can send. So a burst of changes of one object is one signal with the last values, a slow bus costs lateness
and not memory, and whoever asks gets exactly what the signals so far have told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.api import wire
from supervisor.api.tables import (
    CONTAINER,
    CONTAINERS,
    OBJECT_MANAGER,
    PROJECT,
    PROJECTS,
    PROPERTIES,
    ROOT,
    SUPERVISOR,
    Interface,
)
from supervisor.api.values import container_values
from supervisor.lifecycle.model import Container
from supervisor.names import project_target
from supervisor.systemd.manager import path_element


class Object:
    """One published object: its values, and each marshalled."""

    __slots__ = ("blob", "entries", "interface", "path", "values")

    def __init__(self, path: str, interface: Interface) -> None:
        self.path = path
        self.interface = interface
        self.values: dict[str, Any] = {}
        self.entries: dict[str, bytes] = {}
        self.blob: bytes | None = None

    def update(self, values: Mapping[str, Any]) -> list[str]:
        """Take *values*; the names of those that are not what they were."""
        changed = [name for name, value in values.items() if name not in self.values or self.values[name] != value]
        for name in changed:
            self.values[name] = values[name]
            self.entries[name] = wire.entry(name, self.interface.types[name].type, values[name])
        if changed:
            self.blob = None
        return changed

    def interfaces(self) -> bytes:
        """Its only element of an 'a{sa{sv}}'."""
        return bytes(wire.Body().text(self.interface.name).array(self.entries.values()))

    def managed(self) -> bytes:
        """Its element of the 'a{oa{sa{sv}}}' of GetManagedObjects."""
        if self.blob is None:
            self.blob = bytes(wire.Body().text(self.path).array([self.interfaces()]))
        return self.blob


class Signal:
    """A signal to be sent: the arguments of `wire.message`."""

    __slots__ = ("body", "interface", "member", "path", "signature")

    def __init__(self, path: str, interface: str, member: str, signature: str, body: bytes) -> None:
        self.path = path
        self.interface = interface
        self.member = member
        self.signature = signature
        self.body = body


class Project:
    """The containers of one project with their phases, as published."""

    __slots__ = ("name", "phases")

    def __init__(self, name: str) -> None:
        self.name = name
        self.phases: dict[str, str] = {}

    def values(self) -> dict[str, Any]:
        """The properties of io.ctr.Supervisor1.Project."""
        return {
            "Name": self.name,
            "Unit": project_target(self.name),
            "Containers": sorted(self.phases),
            "Phases": dict(Counter(self.phases.values())),
        }


class Objects:
    """All of them."""

    def __init__(self, version: str) -> None:
        self._containers: dict[str, Container] = {}
        self._dependencies: dict[str, Mapping[str, tuple[str, ...]]] = {}
        self._projects: dict[str, Project] = {}
        self._root = Object(ROOT, SUPERVISOR)
        self._state = "running"
        self._root.update({"Version": version, "State": self._state, "Containers": 0})
        self._dirty: dict[str, None] = {}
        self._dirty_projects: dict[str, None] = {}
        self.published: dict[str, Object] = {ROOT: self._root}

    def show(self, container: Container) -> None:
        """*container* is new or changed."""
        self._containers[container.name] = container
        self._dirty[container.name] = None

    def depend(self, name: str, dependencies: Mapping[str, tuple[str, ...]]) -> None:
        """Container *name* depends on the units that *dependencies* has, in these ways."""
        if name in self._containers and self._dependencies.get(name) != dependencies:
            self._dependencies[name] = dependencies
            self._dirty[name] = None

    def hide(self, name: str) -> None:
        """There is no container *name* any more."""
        self._dependencies.pop(name, None)
        if self._containers.pop(name, None) is not None:
            self._dirty[name] = None

    def set_state(self, state: str) -> None:
        """The property State."""
        self._state = state

    def __contains__(self, name: str) -> bool:
        return name in self._containers

    @property
    def is_dirty(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._dirty or self._dirty_projects or self._root_differs())

    def managed(self) -> bytes:
        """The body of the answer to GetManagedObjects: all but the root, which is the manager itself."""
        return bytes(wire.Body().array(found.managed() for found in self.published.values() if found is not self._root))

    def step(self, name: str = "") -> tuple[Signal, ...]:
        """Make one change visible: that of container *name*, if it has one, or else the next. The signal tells it.

        Containers come before their project: it changes once for all of them.
        """
        if name or self._dirty:
            name = name or next(iter(self._dirty))
            return tuple(self._publish_container(name)) if self._dirty.pop(name, self) is None else ()
        if self._dirty_projects:
            return tuple(self._publish_project(next(iter(self._dirty_projects))))
        return tuple(self._publish(ROOT, SUPERVISOR, {"State": self._state, "Containers": len(self._containers)}))

    def _root_differs(self) -> bool:
        published = self._root.values
        return bool(published["State"] != self._state or published["Containers"] != len(self._containers))

    def _publish_container(self, name: str) -> Iterator[Signal]:
        path, container = container_path(name), self._containers.get(name)
        values = container_values(container, self._dependencies.get(name, {})) if container else None
        before = self.published[path].values if path in self.published else {}
        after = values or {}
        if old := before.get("Project"):
            self._projects[old].phases.pop(name, None)
            self._dirty_projects[old] = None
        if new := after.get("Project"):
            self._projects.setdefault(new, Project(new)).phases[name] = after["Phase"]
            self._dirty_projects[new] = None
        yield from self._publish(path, CONTAINER, values)

    def _publish_project(self, name: str) -> Iterator[Signal]:
        del self._dirty_projects[name]
        project = self._projects[name]
        if not project.phases:
            del self._projects[name]
        yield from self._publish(project_path(name), PROJECT, project.values() if project.phases else None)

    def _publish(self, path: str, interface: Interface, values: Mapping[str, Any] | None) -> Iterator[Signal]:
        found = self.published.get(path)
        if values is None:
            if found:
                del self.published[path]
                yield Signal(
                    ROOT, OBJECT_MANAGER, "InterfacesRemoved", "oas", wire.marshal("oas", path, [interface.name])
                )
        elif found is None:
            found = self.published[path] = Object(path, interface)
            found.update(values)
            body = wire.Body().text(path).array([found.interfaces()])
            yield Signal(ROOT, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", bytes(body))
        elif changed := found.update(values):
            body = wire.Body().text(interface.name).array(found.entries[name] for name in changed)
            yield Signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", bytes(body.no_strings()))


def container_path(name: str) -> str:
    """The object of container *name*."""
    return f"{CONTAINERS}/{path_element(name)}"


def project_path(name: str) -> str:
    """The object of project *name*."""
    return f"{PROJECTS}/{path_element(name)}"
