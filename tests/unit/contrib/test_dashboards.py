"""The Grafana dashboard and the Prometheus rules speak of metrics that exist, as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.metrics.families import REASONS, metrics
from supervisor.metrics.snapshot import Snapshot

CONTRIB = Path(__file__).resolve().parents[3] / "contrib"
DASHBOARD = json.loads(CONTRIB.joinpath("grafana", "ctr.json").read_text())
RULES = CONTRIB.joinpath("alerts", "ctr.rules.yml").read_text()
TESTS = CONTRIB.joinpath("alerts", "ctr.test.yml").read_text()
COUNTERS = {f"{one.name}_total" for one in metrics(Snapshot()) if one.type == "counter"}
NAMES = COUNTERS | {one.name for one in metrics(Snapshot()) if one.type != "counter"}


def expressions(value: Any) -> Iterator[str]:
    """Every PromQL expression and variable query below *value*."""
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key in ("expr", "definition") and isinstance(text, str))
        for member in value.values():
            yield from expressions(member)
    elif isinstance(value, list):
        for member in value:
            yield from expressions(member)


def names(text: str) -> set[str]:
    """The metrics that *text* speaks of; of a recording rule's name, what is between the colons."""
    return set(re.findall(r"(?<![\w:])ctr_\w+", text))


@pytest.mark.parametrize("expression", sorted(set(expressions(DASHBOARD))))
def test_the_dashboard_asks_for_what_is_there(expression: str) -> None:
    """Its metrics exist."""
    assert names(expression)
    assert names(expression) <= NAMES


@pytest.mark.parametrize("text", [RULES, TESTS], ids=["rules", "tests"])
def test_the_rules_ask_for_what_is_there(text: str) -> None:
    """Their metrics exist, and so do the reasons of exits."""
    found = names("\n".join(line for line in text.splitlines() if "ctr_" in line and "- name:" not in line))
    assert found
    assert found <= NAMES
    assert set(re.findall(r'reason="([^"]+)"', text)) <= set(REASONS)


@pytest.mark.parametrize("text", [RULES, *expressions(DASHBOARD)])
def test_counters_are_used_as_counters(text: str) -> None:
    """rate(), increase() and changes() of counters only; and of a counter nothing else but its value in a table."""
    rated = set(re.findall(r"(?:rate|increase|changes)\((ctr_\w+)", text))
    assert rated <= COUNTERS
    assert (names(text) & COUNTERS) - rated <= {"ctr_container_restarts_total"}


def test_every_alert_is_tried() -> None:
    """Each one, firing and not."""
    alerts = set(re.findall(r"- alert: (\w+)", RULES))
    assert alerts
    for alert in alerts:
        assert re.search(rf"\{{eval_time: \d+m, alertname: {alert}\}}", TESTS), alert
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:", TESTS), alert


def test_panels_neither_overlap_nor_share_a_number() -> None:
    """In a grid 24 columns wide."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
