"""``ctrctl healthcheck run``, and what ``ctrctl start --wait`` waits for.

Probing is `supervisor.probe`'s; this asks for it and says what came of it.
"""

from __future__ import annotations

import os

from supervisor.errors import HostError, UserError
from supervisor.names import health_timer, healthy_unit, service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from supervisor.cli.console import Console
    from supervisor.paths import Layout
    from supervisor.systemd.manager import Manager

EXAMPLES = {
    "healthcheck": (
        "ctrctl healthcheck run db && echo well       one probe now; it counts like any other",
        "systemctl status ctr-healthy@db              active exactly while db is healthy",
    )
}

_UNHEALTHY = 1
_START_SECONDS = 10.0


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The one sub-verb."""
    below = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_ = below.add_parser("run", description="Probe a container now and print what the probe wrote.", help="probe it")
    run_.add_argument("name", metavar="NAME", help="a container's name")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Probe once; 0 when the probe passed, 1 when it failed."""
    from supervisor.cli.console import printable
    from supervisor.cli.containers import check_deployed
    from supervisor.health.record import TIMED_OUT
    from supervisor.probe.attempt import attempt
    from supervisor.probe.run import Run

    console.need_root(verb)
    check_deployed((args.name,), console.layout)
    try:
        with Run(args.name, console.layout) as running:
            running.wait_for_start(_START_SECONDS)
            result = attempt(running).result
    except (UserError, HostError) as error:
        raise UserError(f"{args.name}: {error}") from error
    if result is None:
        raise UserError(f"{args.name}: cannot be probed while it is paused, starting or stopping; try again")
    for line in result.output.splitlines():
        console.line(printable(line))
    if result.passed:
        return 0
    if result.code != TIMED_OUT:
        console.note(f"the probe exited with {result.code}")
    return _UNHEALTHY


def has_health_check(name: str, layout: Layout) -> bool:
    """Whether container *name* was deployed with one; everybody may ask."""
    return os.path.isdir(f"{layout.units}/{health_timer(name)}.d")


def wait(manager: Manager, names: Sequence[str], layout: Layout) -> dict[str, str]:
    """Wait until each of the running containers *names* is healthy; those that are not, with the reason.

    One without a health check need only be running.
    """
    jobs = [manager.enqueue("start", healthy_unit(name)) for name in names if has_health_check(name, layout)]
    results = manager.wait(jobs)
    return {
        name: _reason(manager, name)
        for name in names
        if results.get(healthy_unit(name), "done") != "done"
    }


def _reason(manager: Manager, name: str) -> str:
    """Why the gate of *name* failed: its own words, or those for the container's end."""
    from supervisor.cli.failure import explain, last_lines

    unit = healthy_unit(name)
    invocation = bytes(manager.properties(unit, "Unit", "InvocationID")["InvocationID"]).hex()
    words = [text for text, _ in last_lines(invocation) if text.startswith(f"{name}: ")] if invocation else []
    if words:
        return words[-1].removeprefix(f"{name}: ")
    if manager.properties(service_unit(name), "Unit", "ActiveState")["ActiveState"] != "active":
        return f"ended before it was healthy: {explain(manager, name, 'start', 'failed').reason}"
    return f"see 'systemctl status {unit}'"
