"""What a probe has to know, as one ``key=value`` text: `supervisor.render.health` writes it, a probe reads it.

Pure. Plain classes and lines rather than dataclasses and JSON: a probe is a process of its own, and importing either
costs more than everything else it does (10 and 23 ms beside 8 for the bare interpreter). What the command is stands in
``health-process.json`` beside it, in the runtime's own format, so that a probe reads neither.
"""

from __future__ import annotations

from supervisor.errors import InternalError

VERSION = "1"
#: Names in the container's version directory (see `supervisor.deploy.state`).
FILE, PROCESS, STARTUP_PROCESS = "health", "health-process.json", "startup-process.json"


class Startup:
    """The startup probe's numbers; see `supervisor.spec.health.StartupProbe`."""

    __slots__ = ("interval", "retries", "successes", "timeout")

    def __init__(self, interval: float, timeout: float, retries: int, successes: int) -> None:
        self.interval = interval
        self.timeout = timeout
        self.retries = retries
        self.successes = max(1, successes)


class Plan:
    """The health check's numbers; see `supervisor.spec.health.HealthCheck`. Durations are seconds."""

    __slots__ = (
        "action",
        "interval",
        "log_count",
        "log_size",
        "retries",
        "runtime",
        "start_interval",
        "start_period",
        "startup",
        "timeout",
    )

    def __init__(
        self,
        *,
        interval: float = 30.0,
        timeout: float = 30.0,
        retries: int = 3,
        start_period: float = 0.0,
        start_interval: float = 5.0,
        action: str = "none",
        log_count: int = 5,
        log_size: int = 500,
        runtime: str = "crun",
        startup: Startup | None = None,
    ) -> None:
        self.interval = interval
        self.timeout = timeout
        self.retries = max(1, retries)
        self.start_period = start_period
        self.start_interval = start_interval
        self.action = action
        self.log_count = log_count
        self.log_size = log_size
        self.runtime = runtime
        self.startup = startup

    @property
    def spacing(self) -> float:
        """The time between two probes that count; without probes of its own accord, of two that a gate makes."""
        return self.interval or self.start_interval or 1.0


def dumps(plan: Plan) -> str:
    """*plan* as text."""
    lines = [f"ctr-health={VERSION}"]
    lines += [f"{key}={getattr(plan, key)}" for key in Plan.__slots__ if key != "startup"]
    if plan.startup:
        lines += [f"startup-{key}={getattr(plan.startup, key)}" for key in Startup.__slots__]
    return "\n".join(lines) + "\n"


def loads(text: str) -> Plan:
    """Inverse of `dumps`. Raises `InternalError` for a text that is none of ours."""
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    if values.get("ctr-health") != VERSION:
        raise InternalError(f"health plan: version '{values.get('ctr-health')}' is not {VERSION}; run 'ctrctl apply'")
    startup = None
    if "startup-interval" in values:
        startup = Startup(
            float(values["startup-interval"]),
            float(values["startup-timeout"]),
            int(values["startup-retries"]),
            int(values["startup-successes"]),
        )
    return Plan(
        interval=float(values["interval"]),
        timeout=float(values["timeout"]),
        retries=int(values["retries"]),
        start_period=float(values["start_period"]),
        start_interval=float(values["start_interval"]),
        action=values["action"],
        log_count=int(values["log_count"]),
        log_size=int(values["log_size"]),
        runtime=values["runtime"],
        startup=startup,
    )
