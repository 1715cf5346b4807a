"""The keys of [Container] that say how a container tells that it is well. Pure; how a value reads is in `health`."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.definitions import health
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.spec.health import HealthAction, HealthChanges, HealthCheck, Notify, StartupProbe

#: What makes the check itself, and podman passes over without a command.
_CHECK = ("HealthInterval", "HealthTimeout", "HealthRetries", "HealthStartPeriod")
#: What podman applies to the image's check as well.
_CHANGES = ("HealthOnFailure", "HealthMaxLogCount", "HealthMaxLogSize", "HealthStartupCmd")
_STARTUP = ("HealthStartupInterval", "HealthStartupTimeout", "HealthStartupRetries", "HealthStartupSuccess")


@dataclass(frozen=True, slots=True)
class Wellness:
    """Members of `Container`."""

    check: HealthCheck | None
    changes: HealthChanges | None
    no_check: bool
    notify: Notify


def wellness(lines: Lines, oneshot: bool, findings: Findings) -> Wellness:
    """What the lines say; *oneshot*: the service has started when the job has ended."""
    commands = lines.each("HealthCmd", health.command)
    check = _check(lines, commands[-1][1], findings) if commands else None
    off = bool(commands) and commands[-1][1] is None
    for at in (at for key in (*_CHECK, *_CHANGES, *_STARTUP) for at in lines.of(key)) if off else ():
        findings.refuse(at, "contradicts HealthCmd=none; remove one of the two")
    changes = None if lines.of("HealthCmd") else _changes(lines, findings)
    notify = lines.get("Notify", health.notify, Notify.STARTED)
    if notify is Notify.HEALTHY and off:
        findings.refuse(lines.of("Notify")[-1], "needs a health check, and HealthCmd=none says there is none")
    if notify is not Notify.STARTED and oneshot:
        findings.warn(lines.of("Notify")[-1], "has no effect with Type=oneshot: a job has started when it has ended")
        notify = Notify.STARTED
    return Wellness(check, changes, off, notify)


def _check(lines: Lines, command: tuple[str, ...] | None, findings: Findings) -> HealthCheck | None:
    if command is None:
        return None
    default = HealthCheck(command)
    return HealthCheck(
        command=command,
        interval=lines.get("HealthInterval", health.interval, default.interval),
        timeout=lines.get("HealthTimeout", health.timeout, default.timeout),
        retries=lines.get("HealthRetries", health.retries, default.retries),
        start_period=lines.get("HealthStartPeriod", health.period, default.start_period),
        action=lines.get("HealthOnFailure", health.action, HealthAction.NONE),
        startup=_startup(lines, findings),
        log_count=lines.get("HealthMaxLogCount", health.log_count, default.log_count),
        log_size=lines.get("HealthMaxLogSize", health.log_size, default.log_size),
    )


def _changes(lines: Lines, findings: Findings) -> HealthChanges | None:
    """What is to be different with the image's check."""
    for at in (at for key in _CHECK for at in lines.of(key)):
        findings.warn(at, "has no effect: without HealthCmd= beside it, the check is the image's, as it stands there")
    found = HealthChanges(
        action=lines.one("HealthOnFailure", health.action),
        startup=_startup(lines, findings),
        log_count=lines.one("HealthMaxLogCount", health.log_count),
        log_size=lines.one("HealthMaxLogSize", health.log_size),
    )
    return None if found == HealthChanges() else found


def _startup(lines: Lines, findings: Findings) -> StartupProbe | None:
    commands = lines.each("HealthStartupCmd", health.command)
    if not lines.of("HealthStartupCmd") or (commands and commands[-1][1] is None):
        for key in _STARTUP:
            for at in lines.of(key):
                findings.refuse(at, "needs a command in HealthStartupCmd= beside it; add one, or remove the line")
    command = commands[-1][1] if commands else None
    if command is None:
        return None
    default = StartupProbe(command)
    return StartupProbe(
        command=command,
        interval=lines.get("HealthStartupInterval", health.interval, default.interval),
        timeout=lines.get("HealthStartupTimeout", health.timeout, default.timeout),
        retries=lines.get("HealthStartupRetries", health.startup_retries, default.retries),
        successes=lines.get("HealthStartupSuccess", health.successes, default.successes),
    )
