"""Credits and places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.limits import ALL_PLACES, BURST, PATIENCE, PLACES, RATE, Credits, Places, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_is_served_then_refused_then_dropped() -> None:
    """Exactly as often as the numbers say; another caller has its own credits."""
    credits = Credits(Clock())
    verdicts = [credits.judge("a") for _ in range(int(BURST + PATIENCE) + 100)]
    assert verdicts.count(Verdict.SERVE) == BURST
    assert verdicts.count(Verdict.REFUSE) == PATIENCE
    assert verdicts[-1] is Verdict.DROP
    assert credits.judge("b") is Verdict.SERVE


def test_credits_come_back_with_time() -> None:
    """So many a second, and not more than one may save up."""
    clock = Clock()
    credits = Credits(clock)
    while credits.judge("a") is not Verdict.DROP:
        pass
    clock.now += PATIENCE / RATE + 0.1
    assert [credits.judge("a") for _ in range(int(RATE / 10) + 1)].count(Verdict.SERVE) == RATE / 10
    clock.now += 1e9
    assert [credits.judge("a") for _ in range(int(BURST) + 1)].count(Verdict.SERVE) == BURST


@given(st.integers(0, 10**9))
def test_a_long_answer_never_makes_the_next_call_dropped(size: int) -> None:
    """It is refused at worst: the caller hears of it."""
    credits = Credits(Clock())
    credits.judge("a")
    credits.charge("a", size)
    assert credits.judge("a") is (Verdict.SERVE if size >> 8 < BURST - 1 else Verdict.REFUSE)


def test_the_memory_of_callers_is_bounded() -> None:
    """Connections are cheap to make and have a new name each."""
    credits = Credits(Clock())
    for number in range(10_000):
        credits.judge(str(number))
    assert len(credits._accounts) < 5000


@given(st.lists(st.sampled_from("abcdefghijkl"), max_size=100))
def test_places_are_given_back(callers: list[str]) -> None:
    """Of one caller and of all, never more than there are."""
    places = Places()
    taken = [caller for caller in callers if places.take(caller)]
    fair = all(taken.count(caller) == min(PLACES, callers.count(caller)) for caller in callers)
    assert fair or len(taken) == ALL_PLACES
    for caller in taken:
        places.leave(caller)
    assert all(places.take("z") for _ in range(PLACES))
    assert not places.take("z")
