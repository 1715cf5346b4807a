"""What the page says: names, labels and values of the metrics."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from supervisor.metrics import families
from supervisor.metrics.snapshot import Facts, Service, Snapshot
from supervisor.stats.usage import Cpu, Interface, Io, Memory, Pids, Pressure, Stall, Usage

WEB = Facts(
    "web",
    project="shop",
    image="localhost/nginx:latest",
    image_digest="sha256:12",
    active=True,
    failed=False,
    phase="running",
    health="healthy",
    starting_at=10_000_000,
    started_at=10_500_000,
    ready_at=12_500_000,
    restarts=2,
    exits={"oom": 1, "signal": 1},
    last_exit_code=137,
    last_exit_at=9_000_000,
    probe_time=250_000,
)
USAGE = Usage(
    1.0,
    7,
    Cpu(1_500_000, 1, 1, 10, 2, 500_000, 0.5),
    Memory(1000, 2000, 4000, 0, 1, 1, 100, 1, 3),
    Io(1, 2, 3, 4),
    Pids(5, 100),
    Pressure(Stall(1_000_000), Stall(500_000)),
    Pressure(Stall(2_000_000)),
    None,
    (Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8), Interface("eth1", 10, 20, 30, 40, 50, 60, 70, 80)),
)
COUNTERS = {"signals": 4, "loop_lag_usec": 1500, "events_lost": 0}

Sample = tuple[str, frozenset[tuple[str, str]]]


def page(snapshot: Snapshot) -> str:
    """As it is served."""

    class Once(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return families.metrics(snapshot)

    return generate_latest(Once()).decode()


def samples(snapshot: Snapshot) -> dict[Sample, float]:
    """The page, read by prometheus-client."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(snapshot))
        for sample in family.samples
    }


def of(found: dict[Sample, float], name: str, **labels: str) -> float | None:
    """The value of one series."""
    return found.get((name, frozenset(labels.items())))


def test_a_container_in_base_units() -> None:
    """Microseconds become seconds, interfaces are added up, and every series names container and project."""
    found = samples(Snapshot((WEB,), {"web": USAGE}))
    web = {"container": "web", "project": "shop"}
    expected = {
        "up": 1,
        "failed": 0,
        "start_time_seconds": 10.5,
        "start_duration_seconds": 2.5,
        "restarts_total": 2,
        "last_exit_code": 137,
        "last_exit_time_seconds": 9,
        "probe_duration_seconds": 0.25,
        "cpu_seconds_total": 1.5,
        "cpu_throttled_seconds_total": 0.5,
        "cpu_limit_cores": 0.5,
        "memory_bytes": 1000,
        "memory_working_set_bytes": 900,
        "memory_peak_bytes": 2000,
        "memory_limit_bytes": 4000,
        "memory_limit_hits_total": 3,
        "oom_kills_total": 1,
        "io_read_bytes_total": 1,
        "io_written_bytes_total": 2,
        "io_reads_total": 3,
        "io_writes_total": 4,
        "tasks": 5,
        "tasks_limit": 100,
        "network_receive_bytes_total": 11,
        "network_receive_packets_total": 22,
        "network_receive_errors_total": 33,
        "network_receive_drops_total": 44,
        "network_transmit_bytes_total": 55,
        "network_transmit_packets_total": 66,
        "network_transmit_errors_total": 77,
        "network_transmit_drops_total": 88,
    }
    assert {name: of(found, f"ctr_container_{name}", **web) for name in expected} == expected
    assert of(found, "ctr_container_phase", **web, phase="running") == 1
    assert of(found, "ctr_container_pressure_waiting_seconds_total", **web, resource="memory") == 2
    assert of(found, "ctr_container_pressure_stalled_seconds_total", **web, resource="cpu") == 0.5
    assert of(found, "ctr_container_info", **web, image="localhost/nginx:latest", image_digest="sha256:12") == 1


def test_every_health_and_every_reason_has_a_series() -> None:
    """Also those that are 0: increase() does not see a series that begins with 1."""
    found = samples(Snapshot((WEB,)))
    web = {"container": "web", "project": "shop"}
    healths = {health: of(found, "ctr_container_health", **web, health=health) for health in families.HEALTHS}
    assert healths == {"starting": 0, "healthy": 1, "unhealthy": 0}
    exits = {reason: of(found, "ctr_container_exits_total", **web, reason=reason) for reason in families.REASONS}
    assert exits == {"success": 0, "exit-code": 0, "signal": 1, "core-dump": 0, "oom": 1, "unknown": 0}


def test_what_nobody_knows_has_no_sample() -> None:
    """Unknown is not 0: a host without controllers, a supervisor that is down, a container without a network."""
    found = samples(Snapshot((Facts("db"),), {"db": Usage(1.0, 7)}))
    about = {name for name, labels in found if ("container", "db") in labels}
    assert about == {"ctr_container_info", "ctr_container_up"}
    assert of(found, "ctr_supervisor_up") == 0


def test_use_of_what_is_no_container_is_not_told() -> None:
    """A scope that somebody else named as ours has no card, and gets no series."""
    assert not [labels for _, labels in samples(Snapshot((), {"stray": USAGE})) if ("container", "stray") in labels]


def test_the_supervisor_and_the_slices() -> None:
    """Under names of their own; counters that the supervisor does not have are left out."""
    shop = {"ctr-shop.slice": USAGE}
    found = samples(
        Snapshot((), {}, shop, {"ctr-log.service": Service(2_000_000, 4096)}, "1.2", COUNTERS, seconds={"kernel": 0.5})
    )
    assert of(found, "ctr_slice_cpu_seconds_total", slice="ctr-shop.slice") == 1.5
    assert of(found, "ctr_service_cpu_seconds_total", service="ctr-log.service") == 2
    assert of(found, "ctr_service_resident_memory_bytes", service="ctr-log.service") == 4096
    assert of(found, "ctr_supervisor_up") == 1
    assert of(found, "ctr_supervisor_info", version="1.2") == 1
    assert of(found, "ctr_supervisor_loop_lag_seconds") == 0.0015
    assert of(found, "ctr_supervisor_signals_total") == 4
    assert of(found, "ctr_supervisor_jobs_total") is None
    assert of(found, "ctr_scrape_duration_seconds", source="kernel") == 0.5


@pytest.mark.parametrize("metric", list(families.metrics(Snapshot())), ids=lambda metric: metric.name)
def test_names_and_help(metric) -> None:  # type: ignore[no-untyped-def]
    """Lower case, in base units, explained; a counter ends in _total exactly once on the page."""
    assert re.fullmatch(r"ctr_[a-z]+(_[a-z]+)+", metric.name)
    assert not metric.name.endswith("_total")
    assert not re.search(r"_(ms|us|usec|milliseconds|kb|mb|percent)(_|$)", metric.name)
    assert metric.documentation.endswith(".")


def test_no_name_twice() -> None:
    """Prometheus refuses a page with the same metric in two places."""
    names = [metric.name for metric in families.metrics(Snapshot())]
    assert len(names) == len(set(names))


@given(image=st.text(max_size=40), project=st.text(max_size=20))
def test_any_text_in_a_label_comes_back(image: str, project: str) -> None:
    """Quotes, backslashes, line breaks: nothing in an image's name makes a series of its own."""
    image = image.encode("utf-8", "replace").decode()
    project = project.encode("utf-8", "replace").decode()
    lines = page(Snapshot((Facts("web", project=project, image=image),))).split("\n")
    (info,) = (line for line in lines if line.startswith("ctr_container_info{"))
    values = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', info))
    assert {key: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value) for key, value in values.items()} == {
        "container": "web",
        "project": project,
        "image": image,
        "image_digest": "",
    }
