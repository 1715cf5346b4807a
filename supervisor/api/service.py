"""io.ctr.Supervisor1 on the system bus: the model for other programs to read, and three verbs that go to systemd.

Owns its own connection and name, and makes them anew for as long as it runs; decides nothing. What is offered, and to
whom: io.ctr.Supervisor1(5). What a client may take from the others: `supervisor.api.limits`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping

import anyio
from anyio.abc import TaskStatus

from supervisor.api.authority import Authority
from supervisor.api.objects import Objects
from supervisor.api.session import Actions, Session, Shared
from supervisor.api.tables import NAME
from supervisor.events.event import Event
from supervisor.lifecycle.model import Container
from supervisor.version import VERSION

__all__ = ["Actions", "Api"]

#: Events that wait for a bus that is slow or gone; the journal has them all.
_EVENTS = 1000
#: Seconds between attempts to connect.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Api:
    """Tell it what happens with `show`, `hide`, `tell` and `set_state`, inside the event loop; keep `run` running."""

    def __init__(
        self,
        actions: Actions,
        counters: Callable[[], Mapping[str, int]],
        address: str | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
        machine_id: str = "",
        authority: Authority | None = None,
    ) -> None:
        """*counters* fills the property Counters; *address* is that of the bus (None: the system bus); *say* gets a
        line whenever the bus or the name comes and goes; *machine_id* answers org.freedesktop.DBus.Peer."""
        self._address = address
        authority = authority or Authority()
        events: deque[Event] = deque(maxlen=_EVENTS)
        self._shared = Shared(actions, counters, say, Objects(VERSION), machine_id, authority, events)
        self._is_started = False

    def show(self, container: Container) -> None:
        """*container* is new, or may have changed."""
        self._shared.objects.show(container)
        self._shared.touch()

    def depend(self, name: str, dependencies: Mapping[str, tuple[str, ...]]) -> None:
        """Container *name* depends on these units, each in the ways that are listed."""
        self._shared.objects.depend(name, dependencies)
        self._shared.touch()

    def hide(self, name: str) -> None:
        """Container *name* is no more."""
        self._shared.objects.hide(name)
        self._shared.touch()

    def tell(self, event: Event) -> None:
        """Send the signal Event, after the change of properties that goes with it."""
        shared = self._shared
        shared.tally.events_lost += len(shared.events) == _EVENTS
        shared.events.append(event)
        shared.touch()

    def set_state(self, state: str) -> None:
        """The property State: 'running' (at first), 'degraded' or 'stopping'."""
        self._shared.objects.set_state(state)
        self._shared.touch()

    @property
    def counters(self) -> dict[str, int]:
        """Our own, for whoever fills the property Counters."""
        tally = self._shared.tally
        return {
            "api_calls": tally.calls,
            "api_refused": tally.refused,
            "api_dropped": tally.dropped,
            "api_defects": tally.defects,
            "api_signals": tally.signals,
            "api_connections": tally.connections,
            "api_events_lost": tally.events_lost,
        }

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever; *task_status* is told after the first attempt to get the name, whatever came of it."""

        def started() -> None:
            if not self._is_started:
                self._is_started = True
                task_status.started()

        pause = _FIRST_PAUSE
        while True:
            begin = time.monotonic()
            reason = await Session(self._shared).run(self._address, os.geteuid(), started)
            if time.monotonic() - begin > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            self._shared.say(f"{NAME}: {reason}; trying again in {pause:g} s")
            started()
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
