"""``Notify=healthy``: the launcher stays until the container is healthy, and only then its unit counts as started.

Imported by the starts that ask for it alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from signal import SIGKILL

from supervisor.errors import CtrError
from supervisor.paths import Layout
from supervisor.probe import gate
from supervisor.systemd import notify


def wait(name: str, init: int, notify_socket: str, layout: Layout) -> None:
    """Send READY=1 once container *name*, whose init is the process *init*, is healthy.

    Raises `CtrError`, OSError when it becomes unhealthy or ends; it is killed then, so the unit has failed.
    """
    try:
        gate.wait(name, layout, frozenset())
        notify.notify(notify_socket, "READY=1")
    except (CtrError, OSError):
        with suppress(ProcessLookupError):  # it ended by itself, and systemd knows how
            os.kill(init, SIGKILL)
        raise
