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
        "env_host",
        "env_keep",
        "fresh",
        "identifier",
        "idle",
        "idmaps",
        "label",
        "layers",
        "listen_pid",
        "log",
        "lowers",
        "mounts",
        "name",
        "network",
        "network_first",
        "notify",
        "oneshot",
        "overlays",
        "poststop",
        "project",
        "properties",
        "relabels",
        "rootfs",
        "runtime",
        "scratch",
        "secret_variables",
        "secrets",
        "slice",
        "subpaths",
        "terminal",
        "text",
        "upper",
        "users",
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
        #: Whose network it has, if that is made for it; and whether that has to be there before the runtime begins.
        self.network = one("network")
        self.network_first = one("network-first") == "1"
        self.runtime = one("runtime", "crun")
        self.rootfs = one("rootfs")
        self.layers = tuple(tuple(value.split("\t")) for value in values.get("layer", ()))
        self.directory = one("directory")
        self.upper = one("upper")
        self.label = one("label")
        self.fresh = one("fresh") == "1"
        self.volumes = tuple(values.get("volume", ()))
        #: Its user namespace, and the host's numbers of root in there; empty for the host's users.
        self.users = tuple(one("users").split("\t")) if "users" in values else ()
        self.idmaps = _columns(values, "idmap", 2)
        self.copy_ups = _columns(values, "copy-up", 5)
        self.subpaths = _columns(values, "subpath", 3)
        self.overlays = _columns(values, "overlay", 4)
        self.lowers = _columns(values, "lower", 4)
        self.scratch = one("scratch")
        self.mounts = _columns(values, "mount", 4)
        self.chowns = _columns(values, "chown", 2)
        self.relabels = _columns(values, "relabel", 3)
        self.poststop = one("poststop") == "1"
        self.env_files = tuple(values.get("env-file", ()))
        self.env_host = one("env-host") == "1"
        self.env_keep = frozenset(values.get("env-keep", ()))
        self.secrets = tuple(values.get("secret", ()))
        self.secret_variables = tuple(values.get("secret-variable", ()))
        self.properties = tuple(values.get("property", ()))
        self.slice = one("slice", "ctr.slice")
        self.log = one("log", "journald")
        self.identifier = one("identifier", self.name)
        self.notify = one("notify", "started")
        self.project = one("project")
        self.idle = one("idle")
        self.listen_pid = one("listen-pid", "1")
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
