"""The root cause of a failed start: from the victim through what it needs to the units that failed by themselves. Pure.

A unit that could not start because another failed is a victim too, and what it says is of no use to anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def roots(
    victim: str, needs: Mapping[str, Collection[str]], failed: Mapping[str, float]
) -> tuple[tuple[str, ...], ...]:
    """The ways from *victim* to every root cause, each a tuple of unit names that begins with *victim* and ends with
    the cause; sorted by when the causes failed.

    *needs*: what each unit needs, and is not up; may have cycles. *failed*: the units that failed by themselves, with
    the time. A root cause is one of *failed* that needs no other one of them, directly or not; of several that need
    each other, the first to fail. *victim* itself is the cause when it failed and nothing it needs did.
    """
    ways = _ways(victim, needs)
    reached = {unit for unit in ways if unit in failed}
    beyond = {unit: _reachable(unit, needs) & reached - {unit} for unit in reached}
    found = [unit for unit in reached if _is_root(unit, beyond, failed)]
    return tuple(ways[unit] for unit in sorted(found, key=lambda unit: (failed[unit], unit)))


def _is_root(unit: str, beyond: Mapping[str, Collection[str]], failed: Mapping[str, float]) -> bool:
    """Whether everything that failed beyond *unit* also depends on it, and failed later."""
    return all(unit in beyond[other] and (failed[unit], unit) < (failed[other], other) for other in beyond[unit])


def _ways(start: str, needs: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """The shortest way from *start* to everything that can be reached."""
    ways: dict[str, tuple[str, ...]] = {start: (start,)}
    waiting = [start]
    for unit in waiting:
        for other in sorted(needs.get(unit, ())):
            if other not in ways:
                ways[other] = (*ways[unit], other)
                waiting.append(other)
    return ways


def _reachable(start: str, needs: Mapping[str, Collection[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(needs.get(start, ()))
    while waiting:
        unit = waiting.pop()
        if unit not in seen:
            seen.add(unit)
            waiting += needs.get(unit, ())
    return seen
