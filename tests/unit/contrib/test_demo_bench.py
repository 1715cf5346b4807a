"""The bench's table and sampling: what the numbers are turned into."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "contrib" / "bench.d"
sys.path.insert(0, str(BENCH))

import measure  # noqa: E402
import table  # noqa: E402


def row(*budgets: measure.Budget | measure.Limit, unit: str = "s", **samples: float) -> measure.Row:
    return measure.Row("start", unit, {name: [value] for name, value in samples.items()}, budgets)


def test_a_budget_is_met_up_to_its_ratio() -> None:
    """The ratio of the medians is printed beside what was asked."""
    (verdict,) = table.verdicts(row(measure.Budget("podman", 0.5), ctr=0.05, podman=0.1))
    assert verdict == "0.50 of podman (at most 0.50: met)"
    missing = row(measure.Budget("podman", 0.5), ctr=0.051, podman=0.1)
    assert table.verdicts(missing) == ["0.51 of podman (at most 0.50: MISSED)"]
    assert table.missed(missing)


def test_a_peer_that_was_not_measured_is_not_compared_with() -> None:
    """Neither met nor missed: a dash in its column, no verdict."""
    assert table.verdicts(row(measure.Budget("podman", 0.5), ctr=0.05)) == []
    assert table.verdicts(row(measure.Budget("podman", 0.5), podman=0.05)) == []
    assert "-" in table.render([row(ctr=0.05)], ["ctr", "podman"]).splitlines()[-1]


def test_a_limit_may_be_a_floor() -> None:
    """All lines kept means at least that many."""
    assert table.verdicts(row(measure.Limit(400_000, at_least=True), unit="lines", ctr=399_999)) == [
        "399,999 (at least 400,000: MISSED)"
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0523, "s", "52 ms"), (2.3, "s", "2.30 s"), (0.1, "MB", "0.10 MB"), (1, "processes", "1"), (None, "s", "-")],
)
def test_values_are_printed_as_people_read_them(value: float | None, unit: str, text: str) -> None:
    """Milliseconds below a second."""
    assert table.amount(value, unit) == text


def test_peers_take_turns_and_the_first_round_is_not_kept() -> None:
    """A slow minute hits all alike, and caches are warm for all."""
    order: list[str] = []

    def taker(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = measure.Sampler().rounds(2, {"a": lambda: taker("a"), "b": lambda: taker("b")}).samples
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert samples == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_failed_command_is_reported_with_its_words() -> None:
    """The person sees what the peer said, not only that it failed."""
    with pytest.raises(measure.BenchError, match=r"exit status 3: no such thing"):
        measure.run(["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(measure.BenchError, match=r"exit status 4: nor this"):
        measure.timed(["sh", "-c", "echo nor this >&2; exit 4"])


def test_a_command_is_timed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps between two looks at it, which would be the precision of what is measured."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert measure.timed(["sleep", "0.1"]) >= 0.1
    assert slept == []
