"""The schedule of probes in virtual time: bounds, fairness, and the interval that was asked for."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.health.schedule import DEADLINE, LONGEST_BACKOFF, MOST, QUIET, Schedule

INFINITE = float("inf")
#: Of times that are sums.
ROUNDING = 1e-6


class Host:
    """systemd and the containers in virtual time: follows a schedule, and checks at every step what always holds."""

    def __init__(self, slots: int, answer: Callable[[], float], lasts: Callable[[str], float], seed: int = 0) -> None:
        """*answer*: seconds until systemd has queued a job. *lasts*: of a probe, from then on; infinite: nothing is
        heard of its end."""
        self.slots = slots
        self.schedule = Schedule(slots, random.Random(seed).random)
        self.now = 1000.0
        self.answer, self.lasts = answer, lasts
        self.admitted: set[str] = set()
        self.taken: dict[str, list[float]] = {}
        self.ends: dict[str, list[float]] = {}
        self.most = 0
        self.lost = False
        self._under_way: dict[str, float] = {}  # until when it works rather than waits
        self._ending: dict[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def admit(self, name: str, interval: float = 1.0) -> None:
        self.admitted.add(name)
        self.schedule.admit(name, interval, self.now)

    def dismiss(self, name: str) -> None:
        self.admitted.discard(name)
        self.schedule.dismiss(name)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            for name in self.schedule.take(self.now):
                self._start(name)
            assert self.schedule.under_way == len(self._under_way) or self.lost
            due = self._events[0][0] if self._events else INFINITE
            wake = self.schedule.wake(self.now)
            assert wake >= self.now
            if min(due, wake) > until:
                self.now = until
                return
            self.now = min(due, wake)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def at(self, when: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, do))

    def _start(self, name: str) -> None:
        assert name in self.admitted
        again = name in self._under_way
        assert not again or self.now - self.taken[name][-1] >= DEADLINE - ROUNDING
        self.taken.setdefault(name, []).append(self.now)
        answered = self.now + self.answer()
        # One that still runs is what systemd answers with when it is asked for again.
        merged = self._ending.get(name, 0.0) > self.now and self._ending[name] < INFINITE
        ends = self._ending[name] if merged else answered + self.lasts(name)
        self._ending[name] = ends
        self._under_way[name] = min(ends, answered + QUIET)
        self.most = max(self.most, len(self._under_way))
        working = sum(until > self.now + ROUNDING for until in self._under_way.values())
        assert working <= self.slots
        assert self.schedule.under_way <= MOST
        self.at(answered, lambda: self.schedule.answered(name, self.now))
        self.lost |= ends - answered >= DEADLINE
        if ends < INFINITE and not merged:
            self.at(ends, lambda: self._end(name))

    def _end(self, name: str) -> None:
        del self._under_way[name]
        self.ends.setdefault(name, []).append(self.now)
        self.schedule.ended(name, self.now)

    def pauses(self, name: str) -> list[float]:
        """From the end of each probe to the next."""
        return [begin - end for end, begin in zip(self.ends[name], self.taken[name][1:], strict=False)]


def names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def always(seconds: float) -> Callable[..., float]:
    return lambda *_: seconds


# the interval


def test_the_interval_is_kept() -> None:
    """Counted from the end of a probe; exactly, when nobody else is due."""
    host = Host(1, always(0.01), always(0.05))
    host.admit("db", 30.0)
    host.run(3600)
    assert host.pauses("db") == pytest.approx([30.0] * (len(host.taken["db"]) - 1))
    assert len(host.taken["db"]) >= 119


def test_many_keep_their_interval_without_load() -> None:
    """40 containers at 30 s on two processors: nobody is ever more than a second late, nobody drifts."""
    host = Host(2, always(0.01), always(0.06))
    for name in names(40):
        host.admit(name, 30.0)
    host.run(3600)
    for name in names(40):
        assert all(30.0 - ROUNDING <= pause < 31.0 for pause in host.pauses(name)), name
        assert sum(host.pauses(name)) / len(host.pauses(name)) < 30.1


@pytest.mark.parametrize("part", [0.0, 0.25, 0.999])
def test_the_first_probe_is_spread(part: float) -> None:
    """At the random part of the interval that was drawn."""
    schedule = Schedule(1, lambda: part)
    schedule.admit("db", 20.0, 100.0)
    assert schedule.wake(100.0) == 100.0 + 20.0 * part
    assert schedule.take(100.0 + 20.0 * part) == ("db",)


def test_a_new_interval_counts_at_once() -> None:
    """Nobody waits for the rest of an hour; the same interval again changes nothing."""
    schedule = Schedule(1, lambda: 0.5)
    schedule.admit("db", 3600.0, 0.0)
    schedule.admit("db", 3600.0, 1000.0)
    assert schedule.wake(1000.0) == 1800.0
    schedule.admit("db", 1.0, 1000.0)
    assert schedule.wake(1000.0) == 1000.5


def test_somebody_elses_probe_counts() -> None:
    """A timer's or a person's: the interval begins at its end."""
    schedule = Schedule(1, lambda: 0.5)
    schedule.admit("db", 10.0, 0.0)
    schedule.ended("db", 4.0)
    assert schedule.wake(4.0) == 14.0


# bounds


@given(
    slots=st.integers(1, 4),
    count=st.integers(1, 40),
    interval=st.sampled_from([0.1, 1.0, 30.0]),
    answers=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=7),
    ends=st.lists(st.sampled_from([0.02, 0.1, QUIET, 0.6, 5.0, 30.0]), min_size=1, max_size=7),
    seed=st.integers(0, 99),
)
def test_nobody_starves(
    slots: int, count: int, interval: float, answers: list[float], ends: list[float], seed: int
) -> None:
    """Whatever probes take: the bounds hold (`Host` checks them), and everyone has had its turn before anybody else
    has two: a wait is never longer than all the others take."""
    lots = random.Random(seed)
    host = Host(slots, lambda: lots.choice(answers), lambda _: lots.choice(ends), seed)
    for name in names(count):
        host.admit(name, interval)
    turn = 2 * (max(answers) + QUIET)
    longest = interval + turn * (count / slots + 2)
    host.run(3 * (longest + max(ends)))
    for name in names(count):
        assert host.taken.get(name), name
        assert host.taken[name][0] - 1000.0 <= longest
        assert all(pause <= longest + ROUNDING for pause in host.pauses(name))


Step = tuple[str, str, float]
STEPS = st.lists(
    st.tuples(st.sampled_from(["admit", "dismiss", "other"]), st.sampled_from(names(5)), st.floats(0.0, 4.0)),
    max_size=60,
)


@given(steps=STEPS, ends=st.lists(st.sampled_from([0.01, 0.4, 9.0, 70.0, INFINITE]), min_size=1, max_size=5))
def test_who_is_dismissed_is_not_probed(steps: list[Step], ends: list[float]) -> None:
    """Containers come and go, ends of probes are lost, others probe as well: only those admitted are started (`Host`
    checks that), and once everything has ended, nothing is left of those that are gone."""
    lots = random.Random(1)
    host = Host(2, always(0.05), lambda _: lots.choice(ends))
    for step, name, wait in steps:
        if step == "admit":
            host.admit(name, 0.5)
        elif step == "dismiss":
            host.dismiss(name)
        elif name not in host._under_way:
            host.schedule.ended(name, host.now)
        host.run(wait)
    for name in names(5):
        host.dismiss(name)
    host.run(2 * DEADLINE)
    assert (host.schedule.under_way, len(host.schedule)) == (0, 0)
    assert host.schedule.wake(host.now) == INFINITE


def test_those_that_wait_are_in_nobodys_way() -> None:
    """30 commands that hang for 30 s: others at 2 s are as good as on time, on one processor."""
    hanging = {f"slow{number}" for number in range(30)}
    host = Host(1, always(0.01), lambda name: 30.0 if name in hanging else 0.05)
    for name in hanging:
        host.admit(name, 30.0)
    for name in names(4):
        host.admit(name, 2.0)
    host.run(600)
    late = sorted(pause - 2.0 for name in names(4) for pause in host.pauses(name))
    assert late[len(late) // 2] < 0.6
    assert host.most > 10


def test_waiting_is_bounded_too() -> None:
    """300 commands that hang: `MOST` at a time, and all have their turn."""
    host = Host(8, always(0.001), always(30.0))
    for name in names(300):
        host.admit(name)
    host.run(400)
    assert host.most == MOST
    assert len(host.taken) == 300


def test_half_of_the_processors_time() -> None:
    """More to do than can be done: a slot rests as long as it was held."""
    host = Host(2, always(0.02), always(0.08))
    for name in names(250):
        host.admit(name)
    host.run(100)
    assert sum(map(len, host.ends.values())) == pytest.approx(1000, rel=0.02)
    counts = [len(host.ends[name]) for name in names(250)]
    assert max(counts) - min(counts) <= 1


def test_systemd_that_does_not_answer_is_not_asked_more() -> None:
    """A slot stays held until it has."""
    schedule = Schedule(2, lambda: 0.0)
    for name in names(9):
        schedule.admit(name, 1.0, 0.0)
    assert schedule.take(0.0) == ("c0", "c1")
    assert schedule.take(50.0) == ()
    assert schedule.wake(50.0) == INFINITE
    schedule.answered("c0", 50.0)
    assert schedule.wake(50.0) == 100.0 + 2 * QUIET


# what goes wrong


def test_a_lost_end_holds_nothing_for_long() -> None:
    """It is asked for again after `DEADLINE`, unless it is not to be probed any more."""
    host = Host(2, always(0.01), always(INFINITE))
    for name in names(MOST + 10):
        host.admit(name)
    host.schedule.ended("stranger", host.now)
    host.run(DEADLINE - 10)
    assert len(host.taken) == MOST
    host.dismiss("c3")
    host.run(3 * DEADLINE)
    for name in set(host.taken) - {"c3"}:
        assert len(host.taken[name]) >= 3
        assert all(b - a >= DEADLINE - ROUNDING for a, b in pairwise(host.taken[name]))
    assert len(host.taken["c3"]) == 1


def test_refusals_are_repeated_more_and_more_slowly() -> None:
    """1, 2, 4 … seconds at an interval of 0.2 s, up to a minute; a probe that ended makes it forget."""
    schedule = Schedule(1, lambda: 0.0)
    schedule.admit("db", 0.2, 0.0)
    now, pauses = 0.0, []
    for _ in range(9):
        assert schedule.take(now) == ("db",)
        schedule.refused("db", now)
        pauses.append(schedule.wake(now) - now)
        now = schedule.wake(now)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_BACKOFF, LONGEST_BACKOFF, LONGEST_BACKOFF]
    assert schedule.take(now) == ("db",)
    schedule.ended("db", now)
    assert schedule.wake(now) == now + 0.2
    assert schedule.take(now + 0.2) == ("db",)
    schedule.refused("db", now)
    assert schedule.wake(now) == pytest.approx(now + 1.0)


def test_what_is_forgiven_is_due_in_its_interval() -> None:
    """However often it was refused; the first refusal after that counts as one, and nobody waits for longer than he
    would have."""
    schedule, now = Schedule(2, lambda: 0.5), 0.0
    schedule.admit("db", 2.0, now)
    schedule.admit("web", 10_000.0, now)
    for _ in range(6):
        now = schedule.wake(now)
        assert schedule.take(now) == ("db",)
        schedule.refused("db", now)
    assert schedule.wake(now) == now + LONGEST_BACKOFF
    schedule.forgive(now)
    now += 1.0
    assert schedule.take(now) == ("db",)
    schedule.refused("db", now)
    schedule.forgive(now + 1.9)
    assert schedule.wake(now + 1.9) == now + 2.0
    schedule.dismiss("db")
    assert schedule.wake(now) == 5000.0


def test_refusals_never_shorten_an_interval() -> None:
    """Of an hour, say."""
    schedule = Schedule(1, lambda: 0.0)
    schedule.admit("db", 3600.0, 0.0)
    assert schedule.take(0.0) == ("db",)
    schedule.refused("db", 0.0)
    assert schedule.wake(0.0) == 3600.0


def test_stale_entries_do_not_pile_up() -> None:
    """A container that is paused and resumed all the time."""
    schedule = Schedule(1, lambda: 0.5)
    for number in range(10_000):
        schedule.admit("db", 3600.0, float(number))
        schedule.dismiss("db")
    assert len(schedule._queue) < 100
