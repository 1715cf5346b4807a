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
        "chowns",
        "copy_ups",
        "directory",
        "env_files",
        "env_keep",
        "fresh",
        "identifier",
        "layers",
        "log",
        "mounts",
        "name",
        "notify",
        "oneshot",
        "project",
        "properties",
        "rootfs",
        "runtime",
        "secret_variables",
        "secrets",
        "slice",
        "subpaths",
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
        self.copy_ups = _columns(values, "copy-up", 4)
        self.subpaths = _columns(values, "subpath", 3)
        self.mounts = _columns(values, "mount", 4)
        self.chowns = _columns(values, "chown", 2)
        self.env_files = tuple(values.get("env-file", ()))
        self.env_keep = frozenset(values.get("env-keep", ()))
        self.secrets = tuple(values.get("secret", ()))
        self.secret_variables = tuple(values.get("secret-variable", ()))
        self.properties = tuple(values.get("property", ()))
        self.slice = one("slice", "ctr.slice")
        self.log = one("log", "journald")
        self.identifier = one("identifier", self.name)
        self.notify = one("notify", "started")
        self.project = one("project")
        self.terminal = one("terminal") == "1"
        self.attach = one("attach") == "1"
        self.oneshot = one("oneshot") == "1"


def _columns(values: dict[str, list[str]], key: str, count: int) -> tuple[tuple[str, ...], ...]:
    """The lines of *key*, each *count* texts separated by tabs; those left out at the end are empty."""
    rows = (tuple(value.split("\t")) for value in values.get(key, ()))
    return tuple(row + ("",) * (count - len(row)) for row in rows)


def read(path: str) -> Plan:
    """The plan at *path*. Raises `NotFoundError` when the container was never deployed."""
    try:
        with open(path, encoding="utf-8") as file:
            return Plan(file.read())
    except FileNotFoundError as error:
        raise NotFoundError(f"plan {path}: no such file; deploy the container with 'ctrctl apply'") from error
