"""What happened between two readings of the same control group, per second. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervisor.stats.usage import SECOND, Pressure, Usage


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates over *seconds*; a member is None where one of the readings does not tell."""

    seconds: float
    cpu: float | None = None
    """Cores: 1.0 is one core all the time."""
    read_bytes: float | None = None
    """Bytes per second, as the next three."""
    written_bytes: float | None = None
    received_bytes: float | None = None
    sent_bytes: float | None = None
    cpu_stall: float | None = None
    """Share of the time, 0.0 to 1.0, in which some task waited for a processor; memory and io likewise."""
    memory_stall: float | None = None
    io_stall: float | None = None


def between(before: Usage | None, after: Usage) -> Rates | None:
    """The rates from *before* to *after*; None when they are not of the same group, or no time has passed."""
    if before is None or before.group != after.group or after.at <= before.at:
        return None
    seconds = after.at - before.at

    def rate(count: Callable[[Usage], int | None]) -> float | None:
        old, new = count(before), count(after)
        # An interface that went away takes its count with it.
        return None if old is None or new is None else max(0, new - old) / seconds

    def stall(pressure: Callable[[Usage], Pressure | None]) -> float | None:
        share = rate(lambda usage: found.some.total if (found := pressure(usage)) else None)
        return None if share is None else min(1.0, share / SECOND)

    cpu = rate(lambda usage: usage.cpu.usage if usage.cpu else None)
    return Rates(
        seconds,
        None if cpu is None else cpu / SECOND,
        rate(lambda usage: usage.io.read_bytes if usage.io else None),
        rate(lambda usage: usage.io.written_bytes if usage.io else None),
        rate(lambda usage: usage.received_bytes),
        rate(lambda usage: usage.sent_bytes),
        stall(lambda usage: usage.cpu_pressure),
        stall(lambda usage: usage.memory_pressure),
        stall(lambda usage: usage.io_pressure),
    )


class Sampler:
    """Remembers the last reading of every container and tells the rates since."""

    def __init__(self) -> None:
        self._last: dict[str, Usage] = {}

    def feed(self, usages: Mapping[str, Usage]) -> dict[str, Rates | None]:
        """The rates since the last call, None for a run that is new; those that are not in *usages* are forgotten."""
        found = {name: between(self._last.get(name), usage) for name, usage in usages.items()}
        self._last = dict(usages)
        return found
