"""When each container is probed, and how many probes there are at a time.

Pure; the time (seconds of a monotonic clock) and the random numbers are passed in. Knows containers by name, starts
nothing: `supervisor.daemon.probes` does what it says, and tells it what became of that.

* The interval is counted from the end of a probe, as docker and podman count it: a slow command is not asked again
  before it had its rest, and what came late shifts what follows, so containers that were late together drift apart
  instead of being due together for ever.
* The first probe comes at a random part of the interval, so that a thousand containers that were started (or found by a
  new supervisor) at once are not probed at once.
* Starting a probe is work for the processors (systemd, an interpreter, the OCI runtime); then most commands just wait.
  A probe therefore holds one of a few *slots*, about one a processor, until it has ended or is known to wait
  (`QUIET`), and the slot rests as long as it was held: at most half of the processors' time is the probes'. Those
  that wait are limited by `MOST` only, so a few commands that hang until their timeout are in nobody's way.
* Who is due first goes first. With more to do than the slots allow, every container is probed in turn, later than its
  interval says.
* A probe of which nothing was heard for `DEADLINE` is asked for again, in its turn: systemd answers with the same job
  when it is still at it, and else starts one, so a signal that was lost holds nothing for long.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: After so many seconds, counted from systemd's answer, a probe waits rather than works: launching one takes 45 ms of a
#: processor (contrib/decisions/2026-11-21-health-schedule.md), the rest is for a host that is busy.
QUIET = 0.25
#: Probes under way at a time, those that wait included.
MOST = 64
#: Seconds.
DEADLINE = 60.0
#: After a refusal the next try waits for the interval, at least a second; doubled with each further one, up to this.
LONGEST_BACKOFF = 60.0

_INFINITE = float("inf")
_NOBODY = (_INFINITE, "")
#: So many stale entries of the queue are borne before it is made anew.
_STALE = 64


@dataclass(slots=True)
class _Probed:
    """A container. It is kept while it is admitted, under way, or both."""

    interval: float
    due: float = _INFINITE
    """When it is probed next; infinite while a probe is under way."""
    admitted: bool = True
    began: float | None = None
    """When the probe under way was taken; None without one."""
    refusals: int = 0


@dataclass(slots=True)
class _Slot:
    """*until*: when it can be taken again; infinite while systemd has not answered. *holder*: who holds it."""

    until: float = -_INFINITE
    holder: str = ""


class Schedule:
    """The containers that are probed. Calls about containers it does not know have no effect."""

    def __init__(self, slots: int, random: Callable[[], float]) -> None:
        """*slots*: see above, at least 1. *random*: numbers in [0, 1)."""
        self._slots = [_Slot() for _ in range(max(1, slots))]
        self._random = random
        self._probed: dict[str, _Probed] = {}
        self._queue: list[tuple[float, str]] = []  # when due, who: a heap; some entries are stale
        self._asked: deque[tuple[float, str]] = deque()  # when taken, who: in this order; some entries are stale
        self._under_way = 0

    @property
    def under_way(self) -> int:
        """Probes that were taken and have not ended."""
        return self._under_way

    def __len__(self) -> int:
        """Containers that are probed."""
        return sum(probed.admitted for probed in self._probed.values())

    def admit(self, name: str, interval: float, now: float) -> None:
        """Container *name* is to be probed every *interval* seconds (> 0) from now on."""
        probed = self._probed.get(name)
        if probed is None:
            probed = self._probed[name] = _Probed(interval)
        elif probed.admitted and probed.interval == interval:
            return
        probed.admitted, probed.interval = True, interval
        if probed.began is None:
            self._put(name, probed, now + interval * self._random())

    def dismiss(self, name: str) -> None:
        """Container *name* is not to be probed any more: it stops, is paused, starting, or removed. A probe under way
        ends by itself."""
        probed = self._probed.get(name)
        if probed is None:
            return
        probed.admitted, probed.refusals = False, 0
        if probed.began is None:
            del self._probed[name]

    def take(self, now: float) -> tuple[str, ...]:
        """Containers whose probe is to be started now, in this order; they are under way from here on."""
        self._give_up(now)
        taken: list[str] = []
        while (slot := self._free_slot(now)) is not None:
            due, name = self._head()
            if due > now:
                break
            self._begin(name, slot, now)
            taken.append(name)
        return tuple(taken)

    def answered(self, name: str, now: float) -> None:
        """systemd has queued the job of the probe that was taken."""
        probed, slot = self._probed.get(name), self._held(name)
        if slot is not None and probed is not None and probed.began is not None:
            slot.until = probed.began + 2 * (now - probed.began + QUIET)

    def ended(self, name: str, now: float) -> None:
        """A probe of container *name* has ended, whoever started it."""
        if (probed := self._probed.get(name)) is not None:
            probed.refusals = 0
            self._end(name, probed, now, probed.interval)

    def refused(self, name: str, now: float) -> None:
        """The probe that was taken could not be started, or could not ask the container anything."""
        if (probed := self._probed.get(name)) is not None:
            longest = max(probed.interval, LONGEST_BACKOFF)
            # Refusals go on for as long as nobody looks; a number of their size is no number of seconds.
            pause = min(longest, max(probed.interval, 1.0) * 2.0 ** min(probed.refusals, 16))
            probed.refusals += 1
            self._end(name, probed, now, pause)

    def forgive(self, now: float) -> None:
        """What refused probes may be over: those that wait for their next try have it within their interval."""
        for name, probed in self._probed.items():
            if probed.refusals and probed.began is None:
                probed.refusals = 0
                self._put(name, probed, min(probed.due, now + probed.interval * self._random()))

    def wake(self, now: float) -> float:
        """When `take` is to be called next, if nothing else happens before; infinite for never."""
        return max(now, self._head()[0], min(slot.until for slot in self._slots))

    def _head(self) -> tuple[float, str]:
        """When somebody is to be probed next, and who: in doubt one that is asked for again, which needs no room."""
        while self._asked and self._is_stale(*self._asked[0]):
            self._asked.popleft()
        while self._queue and self._probed_due(*self._queue[0]) is None:
            heapq.heappop(self._queue)
        again = (self._asked[0][0] + DEADLINE, self._asked[0][1]) if self._asked else _NOBODY
        first = self._queue[0] if self._queue and self._under_way < MOST else _NOBODY
        return again if again[0] <= first[0] else first

    def _probed_due(self, due: float, name: str) -> _Probed | None:
        probed = self._probed.get(name)
        return probed if probed is not None and probed.due == due else None

    def _is_stale(self, began: float, name: str) -> bool:
        probed = self._probed.get(name)
        return probed is None or probed.began != began

    def _give_up(self, now: float) -> None:
        """Forget probes of which nothing was heard and that are not to be asked for again."""
        while self._asked and self._asked[0][0] + DEADLINE <= now:
            began, name = self._asked[0]
            if not self._is_stale(began, name):
                if self._probed[name].admitted:
                    return
                self._end(name, self._probed[name], now, 0.0)
            self._asked.popleft()

    def _free_slot(self, now: float) -> _Slot | None:
        return next((slot for slot in self._slots if slot.until <= now), None)

    def _held(self, name: str) -> _Slot | None:
        return next((slot for slot in self._slots if slot.holder == name), None)

    def _begin(self, name: str, slot: _Slot, now: float) -> None:
        if (held := self._held(name)) is not None:
            held.holder = ""
        slot.until, slot.holder = _INFINITE, name
        probed = self._probed[name]
        self._under_way += probed.began is None
        probed.began, probed.due = now, _INFINITE
        self._asked.append((now, name))

    def _end(self, name: str, probed: _Probed, now: float, pause: float) -> None:
        """Free what the probe under way holds, if there is one; the next is due after *pause*."""
        if probed.began is not None:
            if (slot := self._held(name)) is not None:
                slot.until, slot.holder = min(slot.until, now + (now - probed.began)), ""
            probed.began = None
            self._under_way -= 1
        if probed.admitted:
            self._put(name, probed, now + pause)
        else:
            del self._probed[name]

    def _put(self, name: str, probed: _Probed, due: float) -> None:
        probed.due = due
        heapq.heappush(self._queue, (due, name))
        if len(self._queue) > 2 * len(self._probed) + _STALE:
            self._queue = [(p.due, n) for n, p in self._probed.items() if p.began is None]
            heapq.heapify(self._queue)
