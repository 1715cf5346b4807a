"""The metrics: names, help texts, labels, and where each value comes from. Pure.

Owns what people write into their queries, so a name that changes here breaks dashboards. Naming follows Prometheus'
own advice (prometheus.io/docs/practices/naming and /docs/instrumenting/writing_exporters). Label values are names of
containers, projects and slices and words from fixed sets, so the number of series is bounded by that of containers.

Counters of a project's containers are not added up here: when one of them restarts the sum falls, which rate() would
take for a reset of all. PromQL does it right: ``sum by (project) (rate(ctr_container_cpu_seconds_total[5m]))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client.core import Metric

from supervisor.metrics.snapshot import Facts, Service, Snapshot
from supervisor.stats.usage import SECOND, Interface, Pressure, Usage

T = TypeVar("T")
Number = int | float | None
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric, and its value for a subject: a container, a control group, or everything."""

    name: str
    """Without what `metrics` puts before it."""
    help: str
    of: Callable[[T], Number | Mapping[str, Number]]
    """The value, by value of *label* if there is one; None: no sample."""
    label: str = ""

    def under(self, prefix: str, subjects: Iterable[tuple[Labels, T]]) -> Metric:
        """The metric ``PREFIX_NAME`` with the samples of all *subjects*, which have their labels before them."""
        full = f"{prefix}_{self.name}"
        name = full.removesuffix("_total")  # prometheus-client writes it behind a counter's name again
        metric = Metric(name, self.help, "gauge" if name == full else "counter")
        for labels, subject in subjects:
            value = self.of(subject)
            if isinstance(value, Mapping):
                for word, number in value.items():
                    if number is not None:
                        metric.add_sample(full, {**labels, self.label: word}, number)
            elif value is not None:
                metric.add_sample(full, dict(labels), value)
        return metric


def metrics(snapshot: Snapshot) -> Iterator[Metric]:
    """Every metric, in a fixed order; those without samples too, so that a reader sees what there is."""
    labels = {one.name: {"container": one.name, "project": one.project} for one in snapshot.containers}
    facts = [(labels[one.name], one) for one in snapshot.containers]
    usage = [(labels[name], one) for name, one in snapshot.usage.items() if name in labels]
    slices = [({"slice": unit}, one) for unit, one in snapshot.slices.items()]
    services = [({"service": unit}, one) for unit, one in snapshot.services.items()]
    info = ((labels | {"image": one.image, "image_digest": one.image_digest}, one) for labels, one in facts)
    yield INFO.under("ctr_container", info)
    yield from (family.under("ctr_container", facts) for family in CONTAINER)
    yield from (family.under("ctr_container", usage) for family in (*USAGE, *NETWORK))
    yield from (family.under("ctr_slice", slices) for family in USAGE)
    yield from (family.under("ctr_supervisor", [({}, snapshot)]) for family in SUPERVISOR)
    yield from (family.under("ctr_service", services) for family in SERVICE)
    yield from (family.under("ctr", [({}, snapshot)]) for family in SCRAPE)


def _seconds(microseconds: int | None) -> Number:
    return None if microseconds is None else microseconds / SECOND


def _time(microseconds: int) -> Number:
    return microseconds / SECOND if microseconds else None


def _start_duration(one: Facts) -> Number:
    return (one.ready_at - one.starting_at) / SECOND if one.ready_at >= one.starting_at > 0 else None


def _health(one: Facts) -> Mapping[str, Number]:
    return {state: int(state == one.health) for state in HEALTHS} if one.health else {}


def _failed(one: Facts) -> Number:
    return None if one.failed is None else int(one.failed)


def _exits(one: Facts) -> Mapping[str, Number]:
    # A series that begins with 1 is no increase to PromQL: those that have not happened are there with 0.
    return {} if one.exits is None else {**dict.fromkeys(REASONS, 0), **one.exits}


HEALTHS = ("starting", "healthy", "unhealthy")
#: The keys of `supervisor.lifecycle.model.Container.exits`.
REASONS = ("success", "exit-code", "signal", "core-dump", "oom", "unknown")

INFO: Family[Facts] = Family("info", "Always 1; its labels tell the container's image.", lambda one: 1)

CONTAINER: tuple[Family[Facts], ...] = (
    Family("up", "1 while the container's unit is active, else 0.", lambda one: int(one.active)),
    Family("failed", "1 while the container's unit is failed, else 0.", _failed),
    Family(
        "phase",
        "Always 1; the label tells where the container is in its life: created, starting, running, paused, restarting,"
        " stopping, exited or failed.",
        lambda one: {one.phase: 1} if one.phase else {},
        "phase",
    ),
    Family(
        "health", "1 for the health that it has, 0 for the other two; none without a health check.", _health, "health"
    ),
    Family(
        "start_time_seconds", "When its processes were started, since the epoch.", lambda one: _time(one.started_at)
    ),
    Family("start_duration_seconds", "From its last start until it was ready.", _start_duration),
    Family("restarts_total", "Restarts by systemd itself (Restart=).", lambda one: one.restarts),
    Family("exits_total", "How often its main process ended, by reason.", _exits, "reason"),
    Family(
        "last_exit_code",
        "How its last run ended, as a shell tells it: 128 plus the signal.",
        lambda one: one.last_exit_code,
    ),
    Family("last_exit_time_seconds", "When its last run ended, since the epoch.", lambda one: _time(one.last_exit_at)),
    Family("probe_duration_seconds", "How long its last health probe took.", lambda one: _time(one.probe_time)),
)


def _stalls(pick: Callable[[Pressure], Number]) -> Callable[[Usage], Mapping[str, Number]]:
    def stalls(usage: Usage) -> Mapping[str, Number]:
        found = (("cpu", usage.cpu_pressure), ("memory", usage.memory_pressure), ("io", usage.io_pressure))
        return {resource: pick(pressure) for resource, pressure in found if pressure}

    return stalls


_some = _stalls(lambda pressure: pressure.some.total / SECOND)
_full = _stalls(lambda pressure: pressure.full.total / SECOND if pressure.full else None)

USAGE: tuple[Family[Usage], ...] = (
    Family("cpu_seconds_total", "Processor time used.", lambda one: _seconds(one.cpu.usage) if one.cpu else None),
    Family(
        "cpu_throttled_seconds_total",
        "Time in which its limit held it back.",
        lambda one: _seconds(one.cpu.throttled) if one.cpu else None,
    ),
    Family(
        "cpu_limit_cores",
        "Cores it may use at most; none without a limit.",
        lambda one: one.cpu.limit if one.cpu else None,
    ),
    Family(
        "memory_bytes",
        "Memory charged to it, page cache included.",
        lambda one: one.memory.current if one.memory else None,
    ),
    Family(
        "memory_working_set_bytes",
        "Memory without the page cache that the kernel drops first.",
        lambda one: one.memory.working_set if one.memory else None,
    ),
    Family("memory_swap_bytes", "Swap used.", lambda one: one.memory.swap if one.memory else None),
    Family("memory_peak_bytes", "Most memory it had at once.", lambda one: one.memory.peak if one.memory else None),
    Family(
        "memory_limit_bytes",
        "Memory it may have; none without a limit.",
        lambda one: one.memory.limit if one.memory else None,
    ),
    Family(
        "memory_limit_hits_total",
        "How often its limit was reached and memory had to be reclaimed.",
        lambda one: one.memory.limit_hits if one.memory else None,
    ),
    Family(
        "oom_kills_total",
        "Processes of it that the OOM killer ended, as the kernel counts; begins anew with every run.",
        lambda one: one.memory.oom_kills if one.memory else None,
    ),
    Family("io_read_bytes_total", "Bytes read from block devices.", lambda one: one.io.read_bytes if one.io else None),
    Family(
        "io_written_bytes_total",
        "Bytes written to block devices.",
        lambda one: one.io.written_bytes if one.io else None,
    ),
    Family("io_reads_total", "Read operations on block devices.", lambda one: one.io.reads if one.io else None),
    Family("io_writes_total", "Write operations on block devices.", lambda one: one.io.writes if one.io else None),
    Family("tasks", "Processes and threads.", lambda one: one.pids.current if one.pids else None),
    Family(
        "tasks_limit",
        "Processes and threads it may have; none without a limit.",
        lambda one: one.pids.limit if one.pids else None,
    ),
    Family(
        "pressure_waiting_seconds_total",
        "Time in which some task waited for the resource (PSI, some).",
        _some,
        "resource",
    ),
    Family("pressure_stalled_seconds_total", "Time in which every task waited for it (PSI, full).", _full, "resource"),
)


def _network(name: str, text: str, pick: Callable[[Interface], int]) -> Family[Usage]:
    def total(usage: Usage) -> Number:
        return None if usage.interfaces is None else sum(map(pick, usage.interfaces))

    return Family(f"network_{name}_total", f"{text} on its own interfaces, loopback left out.", total)


NETWORK: tuple[Family[Usage], ...] = (
    _network("receive_bytes", "Bytes received", lambda one: one.received_bytes),
    _network("receive_packets", "Packets received", lambda one: one.received_packets),
    _network("receive_errors", "Receive errors", lambda one: one.received_errors),
    _network("receive_drops", "Packets dropped on receipt", lambda one: one.received_drops),
    _network("transmit_bytes", "Bytes sent", lambda one: one.sent_bytes),
    _network("transmit_packets", "Packets sent", lambda one: one.sent_packets),
    _network("transmit_errors", "Transmit errors", lambda one: one.sent_errors),
    _network("transmit_drops", "Packets dropped on transmission", lambda one: one.sent_drops),
)


def _counter(name: str, text: str, key: str, divisor: int = 1) -> Family[Snapshot]:
    def value(snapshot: Snapshot) -> Number:
        found = snapshot.counters.get(key)
        return found / divisor if found is not None and divisor > 1 else found

    return Family(name, text, value)


SUPERVISOR: tuple[Family[Snapshot], ...] = (
    Family("up", "1 when the supervisor answers, else 0.", lambda one: int(bool(one.supervisor_version))),
    Family(
        "info",
        "Always 1; the label tells the supervisor's version.",
        lambda one: {one.supervisor_version: 1} if one.supervisor_version else {},
        "version",
    ),
    _counter("loop_lag_seconds", "How late its event loop last was.", "loop_lag_usec", SECOND),
    _counter("loop_lag_max_seconds", "How late its event loop was at worst in a minute.", "loop_lag_max_usec", SECOND),
    _counter("signals_total", "D-Bus signals about containers that it took.", "signals"),
    _counter("jobs_total", "Jobs it asked systemd for.", "jobs"),
    _counter("reconnects_total", "How often it had to connect to the bus anew.", "reconnects"),
    _counter("journal_records_total", "Records it read from the journal.", "journal_records"),
    _counter("events_total", "Events it told.", "events"),
    _counter("events_lost_total", "Events it could not write to the journal.", "events_lost"),
    _counter("probes_started_total", "Health probes it had started.", "probes_started"),
    _counter("probes_failed_total", "Health probes that could not be carried out.", "probes_failed"),
    _counter("probes_refused_total", "Health probes that systemd refused to start.", "probes_refused"),
    _counter("probes_under_way", "Health probes under way.", "probes_under_way"),
)

SERVICE: tuple[Family[Service], ...] = (
    Family("cpu_seconds_total", "Processor time used by this service of ctr.", lambda one: _seconds(one.cpu)),
    Family("resident_memory_bytes", "Resident memory of this service of ctr.", lambda one: one.resident),
)

SCRAPE: tuple[Family[Snapshot], ...] = (
    Family(
        "systemd_up", "1 when the supervisor or systemd answers; 0: only the kernel does.", lambda one: int(one.systemd)
    ),
    Family("scrape_duration_seconds", "How long each source of this page took.", lambda one: one.seconds, "source"),
)
