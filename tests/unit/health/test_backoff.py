"""How soon a container may be acted on again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.health import backoff
from supervisor.health.backoff import FORGOTTEN, LONGEST, SHORTEST, Acted

NOW = 1_700_000_000.0


def test_the_first_action_comes_at_once_and_the_others_wait() -> None:
    """5, 10, 20 … seconds after the last, up to 5 minutes."""
    acted, now, pauses = Acted(), NOW, []
    for _ in range(9):
        pause = backoff.left(acted, now)
        pauses.append(pause)
        now += pause
        assert backoff.left(acted, now) == 0
        acted = backoff.after(acted, now)
    assert pauses == [0, 5, 10, 20, 40, 80, 160, 300, 300]


def test_time_that_passes_counts() -> None:
    """A container that takes longer than the pause to become unhealthy does not wait on top of that."""
    assert backoff.left(Acted(3, NOW), NOW + 15) == 5
    assert backoff.left(Acted(3, NOW), NOW + 25) == 0


def test_it_is_forgotten() -> None:
    """After twice the longest pause, so never while one is waited for."""
    assert backoff.after(Acted(7, NOW), NOW + FORGOTTEN - 1).count == 8
    assert backoff.after(Acted(7, NOW), NOW + FORGOTTEN).count == 1
    assert FORGOTTEN > LONGEST


def test_a_clock_that_was_set_back_keeps_nobody_waiting() -> None:
    """The last action lies in the future then."""
    assert backoff.left(Acted(7, NOW), NOW - 1) == 0
    assert backoff.after(Acted(7, NOW), NOW - 1).count == 1


@given(st.lists(st.floats(0, 30), max_size=200))
def test_systemds_start_limit_is_not_reached(tries: list[float]) -> None:
    """Whenever a container becomes unhealthy again: no more than two actions in 10 s, so that restarts, each of which
    may count twice, and a first start stay within five."""
    acted, now, done = Acted(), NOW, []
    for wait in tries:
        now += wait
        if backoff.left(acted, now) == 0:
            acted = backoff.after(acted, now)
            done.append(now)
    assert all(third - first >= 10 for first, third in zip(done, done[2:], strict=False))
    assert SHORTEST * 3 >= 10


@given(st.integers(0, 10**6), st.floats(0, 1e12))
def test_text(count: int, last: float) -> None:
    """Round trip; what is no text of ours says nothing."""
    again = backoff.loads(backoff.dumps(Acted(count, last)))
    assert (again.count, again.last) == (count, last)
    for text in ("", "1", "1 x\n", "1 2 3", "\0"):
        assert backoff.loads(text).count == 0
