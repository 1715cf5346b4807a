"""Health options of ``ctrctl run`` and ``create``, as podman-run(1) has them, and ``--sdnotify``. Pure."""

from __future__ import annotations

import argparse
from typing import Any

from supervisor.cli import option
from supervisor.definitions import health, values
from supervisor.errors import UserError
from supervisor.spec.health import HealthCheck, Notify, StartupProbe

#: podman's words; conmon is who says READY there, and nobody is told anything with 'ignore'.
_NOTIFY = {
    "conmon": Notify.STARTED,
    "ignore": Notify.STARTED,
    "container": Notify.CONTAINER,
    "healthy": Notify.HEALTHY,
}

#: Option -> field of `HealthCheck`, and how its value reads.
_CHECK = {
    "--health-interval": ("interval", health.interval),
    "--health-timeout": ("timeout", health.timeout),
    "--health-retries": ("retries", health.retries),
    "--health-start-period": ("start_period", health.period),
    "--health-start-interval": ("start_interval", health.period),
    "--health-on-failure": ("action", health.action),
    "--health-max-log-count": ("log_count", health.log_count),
    "--health-max-log-size": ("log_size", health.log_size),
}

#: The same for `StartupProbe`.
_STARTUP = {
    "--health-startup-interval": ("interval", health.interval),
    "--health-startup-timeout": ("timeout", health.timeout),
    "--health-startup-retries": ("retries", health.startup_retries),
    "--health-startup-success": ("successes", health.successes),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("health")
    group.add_argument("--health-cmd", metavar="COMMAND", help="exit status 0 is healthy; a JSON list, or for /bin/sh")
    group.add_argument("--health-interval", metavar="TIME", help="between two probes (default: 30s); or disable")
    group.add_argument("--health-timeout", metavar="TIME", help="a longer probe has failed (default: 30s)")
    group.add_argument("--health-retries", metavar="NUMBER", help="failures in a row until unhealthy (default: 3)")
    group.add_argument("--health-start-period", metavar="TIME", help="after the start, failures do not count")
    group.add_argument("--health-start-interval", metavar="TIME", help="interval in that time (default: 5s)")
    group.add_argument("--health-on-failure", metavar="ACTION", help="when unhealthy: none, kill, restart or stop")
    group.add_argument("--health-max-log-count", metavar="NUMBER", help="results to remember (default: 5); 0 is all")
    group.add_argument("--health-max-log-size", metavar="NUMBER", help="characters of each (default: 500); 0 is all")
    group.add_argument("--health-startup-cmd", metavar="COMMAND", help="probe until it passes, instead of the other")
    group.add_argument("--health-startup-interval", metavar="TIME", help="between two of these (default: 30s)")
    group.add_argument("--health-startup-timeout", metavar="TIME", help="a longer one has failed (default: 30s)")
    group.add_argument("--health-startup-retries", metavar="NUMBER", help="failures until a restart (default: 0, none)")
    group.add_argument("--health-startup-success", metavar="NUMBER", help="passes that are needed (default: 1)")
    group.add_argument("--no-healthcheck", action="store_true", help="not even the image's")
    group.add_argument(
        "--sdnotify", metavar="WHO", help="conmon (default), container, healthy: who says it has started"
    )


def check(args: argparse.Namespace) -> tuple[HealthCheck | None, bool]:
    """The health check, None for the image's own; and whether there is to be none at all."""
    fields, startup_fields = _given(args, _CHECK), _given(args, _STARTUP)
    command = option.one("--health-cmd", health.command, args.health_cmd)
    startup = option.one("--health-startup-cmd", health.command, args.health_startup_cmd)
    others = [f"--health-{name}" for name in ("startup-cmd",) if args.health_startup_cmd is not None]
    others += [*_options(args, _CHECK), *_options(args, _STARTUP)]
    off = "--no-healthcheck" if args.no_healthcheck else "--health-cmd none"
    if args.no_healthcheck or (args.health_cmd is not None and command is None):
        given = [*(["--health-cmd"] if command else []), *others]
        if given:
            raise UserError(f"{off}: contradicts {given[0]}; use one of them")
        return None, True
    if command is None:
        if others:
            raise UserError(f"{others[0]}: needs the command it is about; add --health-cmd")
        return None, False
    if startup_fields and startup is None:
        raise UserError(f"{_options(args, _STARTUP)[0]}: needs the command it is about; add --health-startup-cmd")
    probe = StartupProbe(startup, **startup_fields) if startup else None
    return HealthCheck(command, startup=probe, **fields), False


def notify(text: str | None, *, no_health: bool) -> Notify:
    """``--sdnotify``; *no_health*: there is no health check. Raises `UserError`."""
    word = text or "conmon"
    if word not in _NOTIFY:
        raise UserError(f"--sdnotify: {values.short(word)} is unknown; use {', '.join(_NOTIFY)}")
    if _NOTIFY[word] is Notify.HEALTHY and no_health:
        raise UserError("--sdnotify: healthy needs a health check, and there is to be none; use one of the two")
    return _NOTIFY[word]


def _options(args: argparse.Namespace, table: dict[str, Any]) -> list[str]:
    return [name for name in table if _text(args, name) is not None]


def _given(args: argparse.Namespace, table: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, (field, reader) in table.items():
        text = _text(args, name)
        if text is not None:
            found[field] = option.read(name, reader, text)
    return found


def _text(args: argparse.Namespace, name: str) -> str | None:
    text: str | None = getattr(args, name.removeprefix("--").replace("-", "_"))
    return text
