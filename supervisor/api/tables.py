"""The interfaces as tables: what introspection shows and calls are checked against. Pure.

contrib/man/io.ctr.Supervisor1.5 is the documentation; a test holds it and these tables together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NAME = "io.ctr.Supervisor1"
ROOT = "/io/ctr/Supervisor1"
CONTAINERS, PROJECTS = f"{ROOT}/container", f"{ROOT}/project"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

Arguments = tuple[tuple[str, str], ...]
"""Pairs of name and type."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property, read-only."""

    name: str
    type: str
    emits: str = "true"
    """The annotation EmitsChangedSignal: 'true', 'false' or 'const'."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    takes: Arguments = ()
    gives: Arguments = ()

    @property
    def signature(self) -> str:
        """Of its arguments."""
        return "".join(kind for _, kind in self.takes)


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface."""

    name: str
    properties: tuple[Property, ...] = ()
    methods: tuple[Method, ...] = ()
    signals: tuple[tuple[str, Arguments], ...] = ()
    types: dict[str, Property] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", {item.name: item for item in self.properties})


_NAMED, _JOB = (("name", "s"),), (("job", "o"),)

SUPERVISOR = Interface(
    NAME,
    (
        Property("Version", "s", "const"),
        Property("State", "s"),
        Property("Containers", "u"),
        Property("Counters", "a{st}", "false"),
    ),
    (
        Method("GetContainer", _NAMED, (("container", "o"),)),
        Method("Start", _NAMED, _JOB),
        Method("Stop", _NAMED, _JOB),
        Method("Restart", _NAMED, _JOB),
    ),
    (("Event", (("kind", "s"), ("name", "s"), ("details", "a{sv}"))),),
)

CONTAINER = Interface(
    f"{NAME}.Container",
    (
        Property("Name", "s", "const"),
        Property("Unit", "s", "const"),
        Property("Scope", "s", "const"),
        Property("Definition", "s"),
        Property("Image", "s"),
        Property("ImageDigest", "s"),
        Property("Project", "s"),
        Property("Phase", "s"),
        Property("Health", "s"),
        Property("InvocationID", "s"),
        Property("MainPID", "u"),
        Property("Restarts", "t"),
        Property("StartingAt", "t"),
        Property("StartedAt", "t"),
        Property("ReadyAt", "t"),
        Property("LastExitCode", "s"),
        Property("LastExitStatus", "i"),
        Property("LastExitAt", "t"),
        Property("Result", "s"),
        Property("OutOfMemory", "t"),
        Property("LastProbeUSec", "t"),
        Property("Exits", "a{st}"),
        Property("JobId", "u"),
        Property("JobType", "s"),
        Property("Dependencies", "a{sas}"),
    ),
    (Method("Start", (), _JOB), Method("Stop", (), _JOB), Method("Restart", (), _JOB)),
)

PROJECT = Interface(
    f"{NAME}.Project",
    (
        Property("Name", "s", "const"),
        Property("Unit", "s", "const"),
        Property("Containers", "as"),
        Property("Phases", "a{su}"),
    ),
)

#: On every object of ours.
STANDARD = (
    Interface(
        PROPERTIES,
        methods=(
            Method("Get", (("interface", "s"), ("property", "s")), (("value", "v"),)),
            Method("GetAll", (("interface", "s"),), (("properties", "a{sv}"),)),
            Method("Set", (("interface", "s"), ("property", "s"), ("value", "v"))),
        ),
        signals=(("PropertiesChanged", (("interface", "s"), ("changed", "a{sv}"), ("invalidated", "as"))),),
    ),
    Interface(INTROSPECTABLE, methods=(Method("Introspect", (), (("xml", "s"),)),)),
    Interface(PEER, methods=(Method("Ping"), Method("GetMachineId", (), (("id", "s"),)))),
)

#: On `ROOT`.
MANAGER = Interface(
    OBJECT_MANAGER,
    methods=(Method("GetManagedObjects", (), (("objects", "a{oa{sa{sv}}}"),)),),
    signals=(
        ("InterfacesAdded", (("object", "o"), ("interfaces", "a{sa{sv}}"))),
        ("InterfacesRemoved", (("object", "o"), ("interfaces", "as"))),
    ),
)
