"""What deploy writes for a container that systemd passes sockets to, and that is stopped when nobody uses them. Pure.

A container without `StopWhenIdleSec=` has nothing of it but, with `RunInit=`, one line of its plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.errors import UserError
from supervisor.names import idle_timer
from supervisor.paths import Layout
from supervisor.render.files import File
from supervisor.spec.container import Container, NamespaceMode

#: How often it is looked at in its time, within these limits in seconds.
_LOOKS = 4
_OFTEN, _SELDOM = 0.25, 60.0
#: What tini starts is the second process of the container's pid namespace.
_BELOW_INIT = "2"


def plan_lines(container: Container) -> Iterator[tuple[str, str]]:
    """Keys and values of the launcher's plan."""
    if container.idle_timeout:
        yield "idle", repr(container.idle_timeout)
    if container.pid_namespace is NamespaceMode.HOST:
        yield "listen-pid", ""
    elif container.run_init:
        yield "listen-pid", _BELOW_INIT


def units(container: Container, layout: Layout) -> tuple[File, ...]:
    """The timer's drop-in."""
    if not container.idle_timeout:
        return ()
    if container.oneshot:
        raise UserError("StopWhenIdleSec=: a container that runs to completion ends by itself; remove it")
    every = min(max(container.idle_timeout / _LOOKS, _OFTEN), _SELDOM)
    lines = [
        f"# Written by ctrctl with StopWhenIdleSec= of container {container.name}.",
        "[Timer]",
        *(f"{key}={_span(every)}" for key in ("OnActiveSec", "OnUnitInactiveSec")),
        f"AccuracySec={_span(every / _LOOKS)}",
    ]
    return (File(f"{layout.units}/{idle_timer(container.name)}.d/50-ctr.conf", "\n".join(lines) + "\n"),)


def companions(container: Container) -> list[str]:
    """[Service] lines that start the timer with every run; not Wants=, see `supervisor.render.health`."""
    if not container.idle_timeout:
        return []
    return [f"ExecStartPost=-/usr/bin/systemctl --no-block --job-mode=fail start {idle_timer(container.name)}"]


def _span(seconds: float) -> str:
    """systemd.time(7)."""
    return f"{round(seconds * 1000)}ms"
