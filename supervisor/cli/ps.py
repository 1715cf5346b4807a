"""``ctrctl ps``: the containers as a table, as names or as JSON.

Reads through `supervisor.cli.containers`; owns which rows are shown and the words of the STATUS column. Fast on
purpose: a test asserts what it imports.
"""

from __future__ import annotations

import time

from supervisor.cli.containers import Listing, listings
from supervisor.cli.ports import column
from supervisor.errors import UserError
from supervisor.lifecycle.phase import Phase
from supervisor.names import service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from supervisor.cli.console import Cell, Console

EXAMPLES = {
    "ps": (
        "ctrctl ps                                  what is running",
        "ctrctl ps -a --filter status=exited        what has stopped, and how",
        "ctrctl ps -w                               with how often systemd restarted it by itself",
        "ctrctl ps -a --pod --filter pod=shop       what is in one pod",
        "ctrctl ps -q | xargs ctrctl stop           stop everything",
    )
}

_HEADERS = ("NAME", "IMAGE", "COMMAND", "STATUS", "PORTS")
_COMMAND_WIDTH = 30
_FILTERS = ("name", "status", "health", "label", "pod")
#: Those that need what only root may read.
_DETAILS = frozenset({"label", "pod"})

#: $SERVICE_RESULT of systemd.exec(5), where 'exited with …' does not say enough.
_RESULTS = {
    "timeout": "timed out",
    "protocol": "ended while starting",
    "resources": "could not start",
    "watchdog": "watchdog",
    "oom-kill": "out of memory",
    "start-limit-hit": "restarted too often",
    "exec-condition": "condition not met",
}

HEALTHS = ("starting", "healthy", "unhealthy", "none")
#: docker's words.
_HEALTH = {"starting": "health: starting"}

_STYLES = {Phase.RUNNING: "green", Phase.FAILED: "red", Phase.PAUSED: "yellow", Phase.RESTARTING: "yellow"}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``ps``."""
    parser.add_argument("-a", "--all", action="store_true", help="also those that do not run")
    parser.add_argument("-w", "--wide", action="store_true", help="also how often systemd restarted each by itself")
    parser.add_argument("-p", "--pod", action="store_true", help="also the pod that each is in")
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    parser.add_argument("--no-trunc", action="store_true", help="print commands in full")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only those whose name contains, whose status is, that carry the label, or are in the pod: name=web, "
        "status=running, health=unhealthy, label=tier or label=tier=front, pod=shop; the same key twice means either",
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the list; 0 also when it is empty."""
    from supervisor.systemd.manager import Manager

    wanted = parse_filters(args.filter)
    everything = args.all or "status" in wanted
    details = not args.quiet or not _DETAILS.isdisjoint(wanted)
    with Manager.open() as manager:
        found = listings(manager, console.layout, everything=everything, details=details)
        shown = tuple(item for item in found if matches(item, wanted))
        if not args.quiet and (args.wide or args.format == "json"):
            # A call for each: as much again as all the rest of ps, so the table has to be asked for it.
            for item in shown:
                properties = manager.properties(service_unit(item.name), "Service", "NRestarts")
                item.restarts = properties["NRestarts"]
    now = time.time()
    if args.quiet:
        for item in shown:
            console.line(item.name)
    elif args.format == "json":
        console.json([document(item, now) for item in shown])
    else:
        headers = (*_HEADERS, *(("POD",) if args.pod else ()), *(("RESTARTS",) if args.wide else ()))
        rows = (row(item, now, full=args.no_trunc, pod=args.pod, wide=args.wide) for item in shown)
        console.table(headers, rows)
        if any(not item.details.readable for item in shown):
            console.note("(-: only root may read it)")
    if not _DETAILS.isdisjoint(wanted) and any(not item.details.readable for item in found):
        console.warn("only root may read labels and pods; what is left out may fit, too")
    return 0


def parse_filters(texts: Iterable[str]) -> dict[str, list[str]]:
    """``KEY=VALUE`` words by key. Raises `UserError` for a key or a status that does not exist."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in _FILTERS or not equals:
            keys = "name=TEXT, status=STATUS, health=HEALTH, label=KEY[=VALUE] or pod=POD"
            raise UserError(f"filter '{text}': use {keys}")
        if key == "status" and value not in [phase.value for phase in Phase]:
            raise UserError(f"filter '{text}': status is one of {', '.join(phase.value for phase in Phase)}")
        if key == "health" and value not in HEALTHS:
            raise UserError(f"filter '{text}': health is one of {', '.join(HEALTHS)}")
        wanted.setdefault(key, []).append(value)
    return wanted


def matches(item: Listing, wanted: dict[str, list[str]]) -> bool:
    """Whether *item* fits: any value of a key, every key; labels all have to be there, as in docker-ps(1)."""
    labels = {*item.details.labels, *((key, "") for key, _ in item.details.labels)}
    return (
        ("name" not in wanted or any(text in item.name for text in wanted["name"]))
        and ("status" not in wanted or item.phase.value in wanted["status"])
        and ("health" not in wanted or (item.health or "none") in wanted["health"])
        and ("pod" not in wanted or item.details.pod in filter(None, wanted["pod"]))
        and all(_label(text) in labels for text in wanted.get("label", ()))
    )


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def row(
    item: Listing, now: float, *, full: bool = False, pod: bool = False, wide: bool = False
) -> tuple[Cell, ...]:
    """The cells of one line; *now* in seconds since the epoch."""
    command = " ".join(item.details.command)
    if not full and len(command) > _COMMAND_WIDTH:
        command = command[: _COMMAND_WIDTH - 1] + "…"
    failed = item.phase is Phase.EXITED and item.exit is not None and item.exit.number != 0
    style = "red" if failed else _STYLES.get(item.phase, "")
    # Of a container that is down no port leads anywhere.
    ports = column(item.details.ports) if item.phase.is_up else ""
    cells: tuple[Cell, ...] = (item.name, item.details.image or "-", command or "-", (style, status(item, now)), ports)
    if pod:
        cells += (item.details.pod if item.details.readable else "-",)
    return (*cells, str(item.restarts)) if wide else cells


def document(item: Listing, now: float) -> dict[str, object]:
    """One element of ``ps --format json``; times are RFC 3339 in UTC, or null."""
    return {
        "name": item.name,
        "image": item.details.image or None,
        "command": list(item.details.command),
        "pod": item.details.pod or None,
        "state": item.phase.value,
        "status": status(item, now),
        "health": item.health or None,
        "restarts": item.restarts,
        "exit_code": item.exit.number if item.exit else None,
        "oom_kills": item.exit.oom if item.exit else item.oom,
        "created_at": rfc3339(item.details.created),
        "started_at": rfc3339(item.started),
        "finished_at": rfc3339(item.exit.time) if item.exit else None,
        "labels": dict(item.details.labels),
        "ports": [port.document() for port in item.details.ports] if item.phase.is_up else [],
    }


def status(item: Listing, now: float) -> str:
    """The STATUS column: docker's words, plus what only systemd can say."""
    if item.phase in (Phase.RUNNING, Phase.PAUSED):
        up = f"Up {duration(now - item.started)}" if item.started is not None else "Up"
        remarks = ["Paused" if item.phase is Phase.PAUSED else _HEALTH.get(item.health, item.health)]
        remarks.append(f"oom {item.oom}" if item.oom else "")
        return f"{up} ({remark})" if (remark := ", ".join(filter(None, remarks))) else up
    last = item.exit
    ago = f" {duration(now - last.time)} ago" if last and last.time else ""
    ago += " (oom)" if last and last.oom else ""
    if item.phase is Phase.EXITED:
        return f"Exited ({last.number}){ago}" if last else "Exited"
    if item.phase is Phase.RESTARTING:
        return f"Restarting ({last.number}){ago}" if last else "Restarting"
    if item.phase is Phase.FAILED:
        return f"Failed ({_RESULTS.get(last.result, last.result)}){ago}" if last else "Failed"
    return str(item.phase.value).capitalize()


def duration(seconds: float) -> str:
    """*seconds* in one word and unit, as docker and podman round it (go-units HumanDuration)."""
    minutes, hours = seconds / 60, round(seconds / 3600)
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return _count(int(seconds), "second")
    if minutes < 60:
        return "about a minute" if int(minutes) == 1 else f"{int(minutes)} minutes"
    if hours < 48:
        return "about an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    for limit, size, unit in ((14, 1, "day"), (60, 7, "week"), (730, 30, "month")):
        if days < limit:
            return _count(days // size, unit)
    return _count(days // 365, "year")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def rfc3339(seconds: float | None) -> str | None:
    """*seconds* since the epoch as ``2026-01-31T09:30:00.250000Z``."""
    if not seconds:
        return None
    whole = int(seconds)
    return (
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{min(round((seconds - whole) * 1e6), 999999):06d}Z"
    )
