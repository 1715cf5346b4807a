"""ctr-metrics(8) documents every metric, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.metrics.families import metrics
from supervisor.metrics.snapshot import Snapshot

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = CHECKOUT.joinpath("contrib", "man", "ctr-metrics.8").read_text()
TEXT = re.sub(r"\\f.", "", PAGE).replace("\\-", "-")
METRICS = {one.name + ("_total" if one.type == "counter" else ""): one.documentation for one in metrics(Snapshot())}


def test_every_metric_is_there() -> None:
    """By its full name."""
    assert set(re.findall(r"\bctr_[a-z_]+", TEXT)) == set(METRICS)


def test_it_is_explained_as_on_the_page() -> None:
    """With its help text; slices share that of containers."""
    for name, text in METRICS.items():
        if not name.startswith("ctr_slice_"):
            assert re.search(rf"(?m)^\.B {name}\b.*\n{re.escape(text)}$", TEXT), name


def test_address_and_title() -> None:
    """The port is the socket's; the title leads to the file's place."""
    unit = CHECKOUT.joinpath("units", "ctr-metrics.socket").read_text()
    (address,) = re.findall(r"(?m)^ListenStream=(\S+)$", unit)
    assert f"http://{address}/metrics" in TEXT
    assert re.search(r"(?m)^\.TH CTR\\-METRICS 8 ", PAGE)
    known = {"TH", "SH", "SS", "TP", "IP", "PP", "B", "BR", "RB", "IR", "br", "EX", "EE", '\\"'}
    assert {line[1:].split()[0] for line in PAGE.splitlines() if line[:1] in (".", "'")} <= known
