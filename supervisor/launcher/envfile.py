"""Merge environment files into a container's OCI configuration, at start: only containers that have some import this.

The files are read at every start, as podman does, so that changing one and restarting is enough.
"""

from __future__ import annotations

import json

from supervisor.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


#: What systemd tells a unit's own program (systemd.exec(5), "Environment Variables Set or Propagated by the Service
#: Manager"), and the launcher must not tell another.
_PRIVATE = frozenset(
    (
        "CACHE_DIRECTORY",
        "CONFIGURATION_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "DEBUG_INVOCATION",
        "EXIT_CODE",
        "EXIT_STATUS",
        "FDSTORE",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LOGS_DIRECTORY",
        "LOG_NAMESPACE",
        "MAINPID",
        "MAINPIDFDID",
        "MANAGERPID",
        "MANAGERPIDFDID",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
        "NOTIFY_SOCKET",
        "PIDFILE",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "RUNTIME_DIRECTORY",
        "SERVICE_RESULT",
        "STATE_DIRECTORY",
        "SYSTEMD_ACTIVATION_SCOPE",
        "SYSTEMD_ACTIVATION_UNIT",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    )
)
_PRIVATE_PREFIXES = ("LISTEN_", "MONITOR_", "TRIGGER_")


def merged_config(
    config: str,
    files: tuple[str, ...],
    keep: frozenset[str],
    variables: Mapping[str, str] | None = None,
    host: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """The text of the configuration at path *config*, its process.env extended by *files*; later files win.

    *keep*: names that ``Environment=`` sets, which win over every file. *variables* win over everything. *host*: our
    own environment, over which everything wins (``EnvironmentHost=``). *environ*: where bare names in the files are
    looked up. A file with '-' in front may be missing. Raises `UserError` naming file and line.
    """
    with open(config, encoding="utf-8") as file:
        document = json.load(file)
    environment = public(host or {}) | dict(entry.split("=", 1) for entry in document["process"]["env"])
    for given in files:
        path = given.removeprefix("-")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            if path != given and isinstance(error, FileNotFoundError):
                continue
            raise UserError(f"environment file {path}: {error.strerror}; create it or drop EnvironmentFile=") from error
        except UnicodeDecodeError as error:
            raise UserError(f"environment file {path}: not UTF-8 text") from error
        environment.update({key: value for key, value in parse(path, text, environ).items() if key not in keep})
    environment.update(variables or {})
    document["process"]["env"] = [f"{key}={value}" for key, value in environment.items()]
    return json.dumps(document)


def public(environ: Mapping[str, str]) -> dict[str, str]:
    """*environ* without what systemd says to us alone."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _PRIVATE and not name.startswith(_PRIVATE_PREFIXES)
    }


def parse(path: str, text: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that *text* sets, as podman-run(1) ``--env-file`` reads it: '#' comments, no quoting.

    ``NAME=value`` is the value as it is; ``NAME`` alone passes on what *environ* has, if anything, and ``NAME*`` all
    that begins so. Raises `UserError` naming file and line.
    """
    values: dict[str, str] = {}
    known = public(environ or {})
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.rstrip("\r").partition("=")
        if not equals:
            values |= {key: known[key] for key in known if _is_meant(key, name)}
        elif not name or any(c.isspace() for c in name) or "\0" in value:
            raise UserError(f"{path}:{number}: {stripped!r} is not an assignment; write NAME=value")
        else:
            values[name] = value
    return values


def _is_meant(name: str, written: str) -> bool:
    return name.startswith(written[:-1]) if written.endswith("*") else name == written
