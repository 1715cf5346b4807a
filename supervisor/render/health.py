"""What deploy writes for health and readiness: the plan of a probe, its command, the timer's interval, and the lines by
which ctr@NAME.service takes its companions along. Pure.

A container that is told of nothing here pays nothing. The companions' templates are in ``units/``.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

from supervisor.errors import UserError
from supervisor.health import plan
from supervisor.names import health_timer, healthy_unit
from supervisor.paths import Layout
from supervisor.render import oci
from supervisor.render.facts import HostFacts
from supervisor.render.files import File
from supervisor.spec.container import Container
from supervisor.spec.health import HealthAction, HealthChanges, HealthCheck, Notify, StartupProbe
from supervisor.spec.image import Image

#: The timer is for when the supervisor does not run: so much later than its probe would have been.
_GRACE_SECONDS = 60.0


def check(container: Container, image: Image | None) -> HealthCheck | None:
    """The container's health check: its own, else the image's with its changes, unless it wants none."""
    if container.no_health:
        return None
    found = image.config.health if image else None
    if container.health or found is None or container.health_changes is None:
        return container.health or found
    changes = ((f.name, getattr(container.health_changes, f.name)) for f in fields(HealthChanges))
    return replace(found, **{name: value for name, value in changes if value is not None})


def files(container: Container, image: Image | None, facts: HostFacts, configuration: str) -> tuple[File, ...]:
    """Files of the version directory. *configuration*: the text of config.json, whose process the probe's differs from
    by its command only. Raises `UserError` for a combination that cannot work."""
    found = check(container, image)
    _check(container, found)
    if found is None:
        return ()
    process = json.loads(configuration)["process"] | {"terminal": False}
    written = [
        File(plan.FILE, plan.dumps(_plan(found, oci.runtime(container, facts).value)), 0o600),
        File(plan.PROCESS, _document(process, found.command), 0o600),
    ]
    if found.startup:
        written.append(File(plan.STARTUP_PROCESS, _document(process, found.startup.command), 0o600))
    return tuple(written)


def units(container: Container, image: Image | None, layout: Layout) -> tuple[File, ...]:
    """The timer's drop-in. It is there for every container with a health check, so it also tells who has one; the
    supervisor reads the interval in it (`supervisor.inventory.cards`), which systemd.syntax(7) leaves to us."""
    found = check(container, image)
    if found is None:
        return ()
    lines = [f"# Written by ctrctl with the health check of container {container.name}.", "[Timer]"]
    if _repeats(found):
        late = _span(found.interval + _GRACE_SECONDS)
        lines += [f"{key}={late}" for key in ("OnActiveSec", "OnUnitInactiveSec")]
        lines += ["[X-Probe]", f"IntervalSec={found.interval}"]
    directory = f"{layout.units}/ctr-health@{container.name}.timer.d"
    return (File(f"{directory}/50-ctr.conf", "\n".join(lines) + "\n"),)


def service_lines(container: Container) -> list[str]:
    """[Unit] lines of ctr@NAME.service."""
    name = container.name
    lines = []
    if container.notify is Notify.CONTAINER:
        lines += [f"{key}=ctr-notify@{name}.socket" for key in ("Requires", "After")]
    return lines


def companions(container: Container, image: Image | None) -> list[str]:
    """[Service] lines of ctr@NAME.service that start its gate and its timer with every run.

    Not Wants=: from 254 on, systemd starts what a unit wants as soon as that waits for its restart, the gate needs
    the container started, and so RestartSec= would be no wait at all. Mode 'fail': a stop that is under way goes on.
    """
    found = check(container, image)
    if found is None or container.oneshot or not _repeats(found):
        return []
    units = f"{healthy_unit(container.name)} {health_timer(container.name)}"
    return [f"ExecStartPost=-/usr/bin/systemctl --no-block --job-mode=fail start {units}"]


def _check(container: Container, found: HealthCheck | None) -> None:
    if container.notify is Notify.HEALTHY and found is None:
        raise UserError("Notify=healthy: there is no health check to wait for; set HealthCmd=").asked_by("Notify")
    changes = container.health_changes or HealthChanges()
    for key, asked in (("OnFailure", changes.action not in (None, HealthAction.NONE)), ("StartupCmd", changes.startup)):
        if asked and found is None:
            text = f"Health{key}=: the image has no health check of its own; set HealthCmd="
            raise UserError(text).asked_by(f"Health{key}")
    if container.notify is not Notify.STARTED and container.oneshot:
        raise UserError("Notify=: a container that runs to completion has started when it has ended; remove it")
    for command in (found.command, found.startup.command if found.startup else ("x",)) if found else ():
        if not command or any("\0" in word for word in command):
            raise UserError(f"health check {command!r}: not a command; write one without NUL characters")


def _plan(found: HealthCheck, runtime: str) -> plan.Plan:
    return plan.Plan(
        interval=found.interval if _repeats(found) else 0.0,
        timeout=_limit(found.timeout),
        retries=found.retries,
        start_period=found.start_period,
        start_interval=found.start_interval,
        action=found.action.value,
        log_count=found.log_count,
        log_size=found.log_size,
        runtime=runtime,
        startup=_startup(found.startup) if found.startup else None,
    )


def _startup(probe: StartupProbe) -> plan.Startup:
    return plan.Startup(probe.interval, _limit(probe.timeout), probe.retries, probe.successes)


def _repeats(found: HealthCheck) -> bool:
    return 0 < found.interval < math.inf


def _limit(timeout: float) -> float:
    return 0.0 if math.isinf(timeout) else timeout


def _document(process: dict[str, object], command: tuple[str, ...]) -> str:
    return json.dumps(process | {"args": list(command)}, indent=1, ensure_ascii=False) + "\n"


def _span(seconds: float) -> str:
    """systemd.time(7)."""
    return f"{max(1, round(seconds * 1e6))}us"
