"""``Notify=yes``: what a container has to know to speak to systemd (sd_notify(3), sd_watchdog_enabled(3)). Pure."""

from __future__ import annotations

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.render.mounts import NOTIFY_SOCKET
from supervisor.spec.container import Container
from supervisor.spec.health import Notify


def environment(container: Container) -> dict[str, str]:
    """Variables of its environment. Raises `UserError` for a watchdog that nobody could keep quiet."""
    # An empty one resets nothing: systemd 257 ignores it, with a warning.
    spans = [entry.value for entry in container.unit.service if entry.key == "WatchdogSec" and entry.value.strip()]
    if container.notify is not Notify.CONTAINER:
        if spans:
            raise UserError("WatchdogSec=: without Notify=yes the container cannot send keep-alives; set it too")
        return {}
    found = {"NOTIFY_SOCKET": NOTIFY_SOCKET}
    # A specifier is systemd's to resolve; 0 and infinity are no watchdog.
    if spans and "%" not in spans[-1] and spans[-1] != "infinity" and (interval := values.microseconds(spans[-1])):
        found["WATCHDOG_USEC"] = str(interval)
    return found
