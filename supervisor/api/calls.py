"""Method calls in, answers out: finds what is called, checks arguments, reads what was published. Pure.

Start, Stop and Restart are not done here: they come out as an `Action` for whoever may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervisor.api import wire
from supervisor.api.introspection import document
from supervisor.api.objects import Object, Objects, container_path
from supervisor.api.tables import (
    CONTAINER,
    CONTAINERS,
    MANAGER,
    OBJECT_MANAGER,
    PEER,
    PROJECTS,
    PROPERTIES,
    ROOT,
    STANDARD,
    SUPERVISOR,
    Interface,
    Method,
)
from supervisor.api.values import counter_values
from supervisor.errors import UserError
from supervisor.names import check_name

_DBUS_ERROR = "org.freedesktop.DBus.Error."
UNKNOWN_OBJECT, UNKNOWN_INTERFACE, UNKNOWN_METHOD = (
    _DBUS_ERROR + name for name in ("UnknownObject", "UnknownInterface", "UnknownMethod")
)
UNKNOWN_PROPERTY, READ_ONLY, INVALID_ARGS = (
    _DBUS_ERROR + name for name in ("UnknownProperty", "PropertyReadOnly", "InvalidArgs")
)
_ERROR = "io.ctr.Error."
NOT_FOUND, NOT_AUTHORIZED, FAILED, LIMITS_EXCEEDED = (
    _ERROR + name for name in ("NotFound", "NotAuthorized", "Failed", "LimitsExceeded")
)
_VERBS = {"Start": "start", "Stop": "stop", "Restart": "restart"}
#: Paths that are only there because something is below them.
_BRANCHES = ("/", "/io", "/io/ctr", CONTAINERS, PROJECTS)


class RefusedError(Exception):
    """The call is answered with the D-Bus error *name*."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reply holds."""

    signature: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Action:
    """*verb* ('start', 'stop', 'restart') is to be done to a container that exists."""

    verb: str
    container: str


def answer(
    call: wire.Incoming, objects: Objects, counters: Callable[[], Mapping[str, int]], machine_id: str
) -> Answer | Action:
    """The answer to *call*. Raises `RefusedError`."""
    found = objects.published.get(call.path)
    interface, method = _find(call, _interfaces(call.path, found))
    if call.signature != method.signature:
        raise RefusedError(
            INVALID_ARGS, f"{method.name}: arguments '{call.signature}' do not fit; '{method.signature}' do"
        )
    try:
        arguments = call.strings()
    except ValueError as error:
        raise RefusedError(INVALID_ARGS, f"{method.name}: {error}") from error
    if interface in (SUPERVISOR, CONTAINER):
        return _own(method.name, arguments, objects, found)
    if interface.name == PROPERTIES:
        return _property(method.name, arguments, found, counters)
    if interface.name == OBJECT_MANAGER:
        return Answer("a{oa{sa{sv}}}", objects.managed())
    if interface.name == PEER:
        return Answer() if method.name == "Ping" else Answer("s", wire.marshal("s", machine_id))
    xml = document(_interfaces(call.path, found), _children(call.path, objects))
    return Answer("s", wire.marshal("s", xml))


def _interfaces(path: str, found: Object | None) -> tuple[Interface, ...]:
    """What the object at *path* has. Raises `RefusedError` when there is none."""
    if found is not None:
        return (*STANDARD, MANAGER, found.interface) if path == ROOT else (*STANDARD, found.interface)
    if path in _BRANCHES:
        return STANDARD
    raise RefusedError(UNKNOWN_OBJECT, f"{path}: no such object")


def _find(call: wire.Incoming, interfaces: tuple[Interface, ...]) -> tuple[Interface, Method]:
    """A call need not name its interface."""
    for interface in interfaces:
        if call.interface in ("", interface.name):
            for method in interface.methods:
                if method.name == call.member:
                    return interface, method
    if call.interface and all(call.interface != interface.name for interface in interfaces):
        raise RefusedError(UNKNOWN_INTERFACE, f"{call.path}: no interface {call.interface}")
    raise RefusedError(UNKNOWN_METHOD, f"{call.path}: no method {call.member}")


def _own(member: str, arguments: tuple[str, ...], objects: Objects, found: Object | None) -> Answer | Action:
    name = arguments[0] if arguments else found.values["Name"] if found else ""
    try:
        check_name(name)
    except UserError as error:
        raise RefusedError(INVALID_ARGS, str(error)) from error
    if member == "GetContainer":
        path = container_path(name)
        if path not in objects.published:
            raise RefusedError(NOT_FOUND, f"{name}: no such container")
        return Answer("o", wire.marshal("o", path))
    if name not in objects:
        raise RefusedError(NOT_FOUND, f"{name}: no such container")
    return Action(_VERBS[member], name)


def _property(
    member: str, arguments: tuple[str, ...], found: Object | None, counters: Callable[[], Mapping[str, int]]
) -> Answer:
    asked = arguments[0]
    if found is None or asked not in ("", found.interface.name):
        if member == "GetAll" and asked in (OBJECT_MANAGER, *(interface.name for interface in STANDARD)):
            return Answer("a{sv}", bytes(wire.Body().array([])))
        raise RefusedError(UNKNOWN_INTERFACE, f"no interface {asked[:255]} with properties here")
    if member == "GetAll":
        return Answer("a{sv}", bytes(wire.Body().array(_entries(found, counters).values())))
    entry = found.interface.types.get(arguments[1])
    if entry is None:
        raise RefusedError(UNKNOWN_PROPERTY, f"{found.interface.name}: no property {arguments[1][:255]}")
    if member == "Set":
        raise RefusedError(READ_ONLY, f"{entry.name}: read-only; containers are changed in their definitions")
    value = counter_values(counters()) if entry.name == "Counters" else found.values[entry.name]
    return Answer("v", wire.marshal_variant(entry.type, value))


def _entries(found: Object, counters: Callable[[], Mapping[str, int]]) -> dict[str, bytes]:
    if found.interface is not SUPERVISOR:
        return found.entries
    # Nothing tells when a counter has changed, so they are looked at when somebody asks.
    return found.entries | {"Counters": wire.entry("Counters", "a{st}", counter_values(counters()))}


def _children(path: str, objects: Objects) -> list[str]:
    if path in (CONTAINERS, PROJECTS):
        return sorted(child.removeprefix(f"{path}/") for child in objects.published if child.startswith(f"{path}/"))
    below = {"/": ["io"], "/io": ["ctr"], "/io/ctr": ["Supervisor1"], ROOT: ["container", "project"]}
    return below.get(path, [])
