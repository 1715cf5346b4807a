"""Read a container's plan: what `supervisor.render.plan` wrote at deploy time. Decides nothing.

One ``key=value`` per line, no quoting: rendering refuses control characters. Not JSON, because importing a JSON parser
costs the launcher half as much as the interpreter itself.
"""

from __future__ import annotations

from supervisor.errors import InternalError, NotFoundError

VERSION = "1"


class Plan:
    """A parsed plan. Keys that may repeat are tuples, flags are bool, an absent text is empty."""

    __slots__ = (
        "attach",
        "directory",
        "env_files",
        "env_keep",
        "fresh",
        "identifier",
        "layers",
        "log",
        "name",
        "oneshot",
        "project",
        "properties",
        "rootfs",
        "runtime",
        "slice",
        "terminal",
        "text",
        "upper",
        "volumes",
    )

    def __init__(self, text: str) -> None:
        values: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)

        def one(key: str, default: str = "") -> str:
            return values.get(key, [default])[0]

        if one("ctr-plan") != VERSION:
            raise InternalError(f"plan: version '{one('ctr-plan')}' is not {VERSION}; run 'ctrctl apply'")
        self.text = text
        self.name = one("name")
        self.runtime = one("runtime", "crun")
        self.rootfs = one("rootfs")
        self.layers = tuple(tuple(value.split("\t")) for value in values.get("layer", ()))
        self.directory = one("directory")
        self.upper = one("upper")
        self.fresh = one("fresh") == "1"
        self.volumes = tuple(values.get("volume", ()))
        self.env_files = tuple(values.get("env-file", ()))
        self.env_keep = frozenset(values.get("env-keep", ()))
        self.properties = tuple(values.get("property", ()))
        self.slice = one("slice", "ctr.slice")
        self.log = one("log", "journald")
        self.identifier = one("identifier", self.name)
        self.project = one("project")
        self.terminal = one("terminal") == "1"
        self.attach = one("attach") == "1"
        self.oneshot = one("oneshot") == "1"


def read(path: str) -> Plan:
    """The plan at *path*. Raises `NotFoundError` when the container was never deployed."""
    try:
        with open(path, encoding="utf-8") as file:
            return Plan(file.read())
    except FileNotFoundError as error:
        raise NotFoundError(f"plan {path}: no such file; deploy the container with 'ctrctl apply'") from error


def scope_properties(lines: tuple[str, ...]) -> list[tuple[str, tuple[str, object]]]:
    """``SIGNATURE NAME VALUE`` lines as what StartTransientUnit takes; 'a(ss)' lines of one name become one list."""
    properties: dict[str, tuple[str, object]] = {}
    pairs: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        signature, name, value = line.split(" ", 2)
        if signature == "a(ss)":
            first, _, second = value.partition(" ")
            pairs.setdefault(name, []).append((first, second))
            properties[name] = (signature, pairs[name])
        elif signature == "ay":
            properties[name] = (signature, bytes.fromhex(value))
        elif signature == "b":
            properties[name] = (signature, value == "true")
        elif signature == "s":
            properties[name] = (signature, value)
        else:
            properties[name] = (signature, int(value))
    return list(properties.items())
