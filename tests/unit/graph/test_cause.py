"""Root causes: whatever the dependencies look like, what is named failed by itself and has nothing failed to blame."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from supervisor.graph.cause import roots

UNITS = [f"u{number}" for number in range(8)]
NEEDS = st.dictionaries(st.sampled_from(UNITS), st.sets(st.sampled_from(UNITS), max_size=4))
FAILED = st.dictionaries(st.sampled_from(UNITS), st.floats(0, 9), max_size=6)


def reachable(start: str, needs: dict[str, set[str]]) -> set[str]:
    """What *start* needs, in the plainest way: as many steps as there are units."""
    found = set(needs.get(start, ()))
    for _ in UNITS:
        found |= {other for unit in found for other in needs.get(unit, ())}
    return found


def test_the_first_of_a_chain_is_named_not_the_last_victim() -> None:
    """db <- app <- web: db failed by itself; web and app only for lack of it."""
    needs = {"web": {"app"}, "app": {"db"}}
    assert roots("web", needs, {"db": 1.0}) == (("web", "app", "db"),)
    assert roots("app", needs, {"db": 1.0}) == (("app", "db"),)


def test_what_failed_by_itself_on_the_way_is_a_consequence_when_its_need_failed_too() -> None:
    """app gave up as it found no database: db is the cause of both."""
    needs = {"web": {"app"}, "app": {"db"}}
    assert roots("web", needs, {"db": 1.0, "app": 2.0}) == (("web", "app", "db"),)


def test_several_causes_come_in_the_order_in_which_they_failed() -> None:
    """Two needs failed independently of each other."""
    assert roots("web", {"web": {"a", "b"}}, {"a": 2.0, "b": 1.0}) == (("web", "b"), ("web", "a"))


def test_of_a_circle_the_first_to_fail_is_the_cause() -> None:
    """a and b need each other; b failed first."""
    needs = {"web": {"a"}, "a": {"b"}, "b": {"a"}}
    assert roots("web", needs, {"a": 2.0, "b": 1.0}) == (("web", "a", "b"),)


def test_a_victim_that_failed_by_itself_is_its_own_cause() -> None:
    """Unless what it needs failed."""
    assert roots("web", {"web": {"db"}}, {"web": 1.0}) == (("web",),)
    assert roots("web", {"web": {"db"}}, {"web": 1.0, "db": 2.0}) == (("web", "db"),)


@given(NEEDS, FAILED, st.sampled_from(UNITS))
def test_every_cause_failed_and_has_nothing_failed_to_blame(
    needs: dict[str, set[str]], failed: dict[str, float], victim: str
) -> None:
    """In any graph, circles included: each way is a way, each end failed, and what failed beyond it depends on it."""
    ways = roots(victim, needs, failed)
    for way in ways:
        assert way[0] == victim
        assert all(after in needs.get(before, ()) for before, after in itertools.pairwise(way))
        cause = way[-1]
        assert cause in failed
        beyond = reachable(cause, needs) & failed.keys() - {cause}
        assert all(cause in reachable(other, needs) and failed[cause] <= failed[other] for other in beyond)
    assert len({way[-1] for way in ways}) == len(ways)


@given(NEEDS, FAILED, st.sampled_from(UNITS))
def test_a_failure_within_reach_is_never_left_unexplained(
    needs: dict[str, set[str]], failed: dict[str, float], victim: str
) -> None:
    """There is a cause exactly when something failed; and everything that failed leads to one."""
    ends = {way[-1] for way in roots(victim, needs, failed)}
    within = (reachable(victim, needs) | {victim}) & failed.keys()
    assert bool(ends) == bool(within)
    assert all(unit in ends or reachable(unit, needs) & ends for unit in within)
