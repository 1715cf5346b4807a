"""The last start-up of some containers: when each part of each began and ended, who waited for whom, and the critical
path. Pure; all times are microseconds of CLOCK_MONOTONIC, 0: never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

#: Starts this far apart are not of one start-up.
_APART = 30_000_000
#: A gate that begins so late after its container was ready has nothing to do with its start: it recovered.
_LATE = 5_000_000
#: How much later than its cause something may begin: systemd goes through its queue in between.
_SLACK = 20_000


class Part(Enum):
    """The parts of a start, in order."""

    IMAGE = "image"
    """ctr-store@: its image is fetched."""
    NETWORK = "network"
    """ctr-netns@: its network is made; goes on while it is launched."""
    LAUNCH = "launch"
    """ctr@ is activating, and there is no scope yet."""
    READY = "ready"
    """Its processes and its network exist, and its unit is not active yet."""
    HEALTHY = "healthy"
    """ctr-healthy@ is activating: it is probed."""


#: What comes before ctr@ itself begins to start.
_BEFORE: frozenset[Part] = frozenset((Part.IMAGE, Part.NETWORK))


@dataclass(frozen=True, slots=True)
class Times:
    """What systemd knows of one container's last start."""

    name: str
    image: tuple[int, int] = (0, 0)
    network: tuple[int, int] = (0, 0)
    """InactiveExitTimestampMonotonic and ExecMainExitTimestampMonotonic of ctr-netns@"""
    starting: int = 0
    """When systemd began to start it, not to wait for its restart (RestartSec=)."""
    launched: int = 0
    """ActiveEnterTimestampMonotonic of the scope"""
    ready: int = 0
    """ActiveEnterTimestampMonotonic of ctr@"""
    gate: tuple[int, int] = (0, 0)
    """As *network*, of ctr-healthy@"""
    gate_ended: int = 0
    """InactiveEnterTimestampMonotonic of ctr-healthy@"""
    ended: int = 0
    """InactiveEnterTimestampMonotonic of ctr@"""
    failed: bool = False
    """Its unit is failed, or waits for the restart of a start that failed."""
    after: tuple[tuple[str, bool], ...] = ()
    """The containers it is ordered after, and whether after their health."""


@dataclass(frozen=True, slots=True)
class Span:
    """One part of one start. *open*: it goes on. *failed*: it ended, and not as it should: unhealthy."""

    part: Part
    start: int
    end: int
    open: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One container's start."""

    name: str
    spans: tuple[Span, ...]
    failed: bool = False
    waited_for: str = ""
    """The container whose readiness or health let it go on, empty when nothing did."""
    waited_until: int = 0
    """When that was."""
    critical: frozenset[Part] = frozenset()
    """The parts that are on the critical path."""

    @property
    def start(self) -> int:
        return min(span.start for span in self.spans)

    @property
    def launch(self) -> int:
        """When the container itself began: its order in the picture."""
        return min((span.start for span in self.spans if span.part not in _BEFORE), default=self.start)

    @property
    def end(self) -> int:
        return max(span.end for span in self.spans)

    @property
    def before(self) -> tuple[Span, ...]:
        """Its parts before `launch`."""
        return tuple(span for span in self.spans if span.start < self.launch)

    @property
    def unhealthy(self) -> bool:
        """Whether it was told unhealthy before it had been healthy."""
        return any(span.failed for span in self.spans)

    def until(self, part: Part) -> int:
        """When *part* ended well; 0 when there was none, or it goes on."""
        done = (span.end for span in self.spans if span.part is part and not span.open and not span.failed)
        return max(done, default=0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """One start-up: its rows in the order in which they began."""

    rows: tuple[Row, ...]
    path: tuple[str, ...] = ()
    """Names of the containers on the critical path, the first to start first."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Containers that started at another time, and when (their ctr@ unit); 0: not yet, or not since the host booted."""

    @property
    def start(self) -> int:
        return min((row.start for row in self.rows), default=0)

    @property
    def end(self) -> int:
        return max((row.end for row in self.rows), default=0)


def timeline(times: Iterable[Times], now: int) -> Timeline:
    """The start-up that most of the containers were in, the latest of several such. *now*: where parts that go on are
    drawn to."""
    known = {one.name: one for one in times}
    rows = [Row(one.name, spans, one.failed) for one in known.values() if (spans := _spans(one, now))]
    group = _episode(sorted(rows, key=lambda row: (row.launch, row.name)))
    rows_by_name = {row.name: _waiting(row, known[row.name], {r.name: r for r in group}) for row in group}
    critical = _critical(rows_by_name)
    rows = [replace(row, critical=critical.get(row.name, frozenset())) for row in rows_by_name.values()]
    others = {name: one.starting for name, one in sorted(known.items()) if name not in rows_by_name}
    path = sorted(critical, key=lambda name: (rows_by_name[name].launch, name))
    return Timeline(tuple(rows), tuple(path), others)


def _spans(times: Times, now: int) -> tuple[Span, ...]:
    """The parts of one start; what belongs to an earlier one is left out."""
    if not times.starting:
        return ()
    over = times.ended if times.ended > times.starting else 0
    before = 0 if over else times.ended
    spans = []
    # The network of a container that was restarted is older than the end before, and so is its image.
    begin, end = times.network
    if 0 < begin <= min(end, times.starting) and before <= begin:
        spans.append(Span(Part.NETWORK, begin, min(end, times.starting)))
    begin, end = times.image
    if 0 < begin <= end <= (spans[0].start if spans else times.starting) and before <= begin:
        spans.insert(0, Span(Part.IMAGE, begin, end))
    return (*spans, *_start(times, over, max(now, times.starting)), *_health(times, over, now))


def _start(times: Times, over: int, now: int) -> tuple[Span, ...]:
    """The parts of ctr@ itself. *over*: when it ended before it was ready, if it did."""
    is_ready = times.ready >= times.starting
    end = times.ready if is_ready else over or now
    is_open = not is_ready and not over
    if not times.starting <= times.launched <= end:
        return (Span(Part.LAUNCH, times.starting, end, is_open),)
    spans = [Span(Part.LAUNCH, times.starting, times.launched)]
    connected = max(times.launched, min(times.network[1], end))
    if connected > times.launched:
        spans.append(Span(Part.NETWORK, times.launched, connected))
    if end > connected:
        spans.append(Span(Part.READY, connected, end, is_open))
    return tuple(spans)


def _health(times: Times, over: int, now: int) -> tuple[Span, ...]:
    begin, end = times.gate
    if not times.starting <= times.ready <= begin <= times.ready + _LATE:
        return ()
    if begin <= end:
        return (Span(Part.HEALTHY, begin, end),)
    if over:
        # Its gate ended with it.
        return ()
    if begin <= times.gate_ended:
        return (Span(Part.HEALTHY, begin, times.gate_ended, failed=True),)
    return (Span(Part.HEALTHY, begin, max(now, begin), open=True),)


def _episode(rows: list[Row]) -> list[Row]:
    """Of *rows*, sorted by launch, those of one start-up."""
    groups: list[list[Row]] = []
    end = 0
    for row in rows:
        if not groups or row.launch > end + _APART:
            groups.append([])
            end = 0
        groups[-1].append(row)
        end = max(end, row.end)
    return max(reversed(groups), key=len) if groups else []


def _finish(row: Row, healthy: bool) -> int:
    """When what waits for *row* may go on; 0: not yet."""
    return row.until(Part.HEALTHY if healthy else Part.READY) or (0 if healthy else row.until(Part.LAUNCH))


def _waiting(row: Row, times: Times, rows: Mapping[str, Row]) -> Row:
    """*row* with what it waited for: of what it is ordered after, the last to be ready in time. What was ready before
    its own run before this ended had nothing to do with it."""
    after = times.ended if times.ended <= times.starting else 0
    found = [
        (finish, name)
        for name, healthy in times.after
        if name in rows and after < (finish := _finish(rows[name], healthy)) <= row.launch + _SLACK
    ]
    if not found:
        return row
    finish, name = max(found)
    return replace(row, waited_for=name, waited_until=finish)


def _critical(rows: Mapping[str, Row]) -> dict[str, frozenset[Part]]:
    """The parts without which the start-up would have ended earlier, by container: from the last to end, back through
    what each waited for."""
    if not rows:
        return {}
    row: Row | None = max(rows.values(), key=lambda row: (row.end, row.name))
    limit = row.end if row else 0
    found: dict[str, frozenset[Part]] = {}
    while row and row.name not in found:
        # Its health is on the path only where somebody waited for that.
        parts = {span.part for span in row.spans if row.launch <= span.start and span.end <= limit}
        if row.waited_for and row.waited_until >= max((span.end for span in row.before), default=0):
            following, limit = rows.get(row.waited_for), row.waited_until
        else:
            parts |= {span.part for span in row.before}
            following = None
        found[row.name] = frozenset(parts)
        row = following
    return found
