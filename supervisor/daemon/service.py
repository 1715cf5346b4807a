"""The supervisor as a unit of systemd: readiness, status, reload, watchdog (sd_notify(3)).

The watchdog is fed from the event loop, and only while the model goes on being fed itself: a loop that stands still,
or a worker thread that hangs, ends in a restart by systemd.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import anyio

from supervisor.errors import HostError
from supervisor.systemd.notify import notify

_STATUS_SECONDS = 5.0
#: Without a turn of the model for so long, something hangs.
_STUCK_SECONDS = 20.0


class Service:
    """Tells systemd how it goes; says nothing when systemd does not listen."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog = int(environ.get("WATCHDOG_USEC") or 0) / 1e6
        self._status = ""

    def ready(self, status: str) -> None:
        """It is up."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """What follows, until `ready`, is a reload."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It is about to end."""
        self._tell("STOPPING=1")

    async def beat(self, status: Callable[[], str], turned: Callable[[], float]) -> None:
        """Report for ever. *turned*: when the model had its last turn, in seconds of the monotonic clock."""
        pause = min(_STATUS_SECONDS, self._watchdog / 3 or _STATUS_SECONDS)
        while True:
            if (now := status()) != self._status:
                self._status = now
                self._tell(f"STATUS={now}")
            if self._watchdog and time.monotonic() - turned() < _STUCK_SECONDS:
                self._tell("WATCHDOG=1")
            await anyio.sleep(pause)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            notify(self._address, state)
        except HostError:
            return  # PID 1 executes itself anew; the next one reaches it
