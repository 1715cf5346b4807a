"""How late the event loop is: the measure of whether something blocks it."""

from __future__ import annotations

import time
from collections import deque

import anyio

_PERIOD_SECONDS = 1.0
_KEPT = 60


class Lag:
    """Sleeps, and notes by how much too long."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0], maxlen=_KEPT)

    @property
    def last(self) -> int:
        """The latest, in microseconds."""
        return int(self._late[-1] * 1e6)

    @property
    def most(self) -> int:
        """The worst of the last minute, in microseconds."""
        return int(max(self._late) * 1e6)

    async def measure(self) -> None:
        """For ever."""
        while True:
            due = time.monotonic() + _PERIOD_SECONDS
            await anyio.sleep(_PERIOD_SECONDS)
            self._late.append(max(0.0, time.monotonic() - due))
