"""``ctrctl diagnose``: one page about one container, with what is wrong with it and what to do on top.

Owns the page; `supervisor.cli.examination` looks, `supervisor.cli.verdict` concludes. Works for anybody, in any state;
who may not read the journal or /var/lib/ctr sees less.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from supervisor.cli.console import Console, printable
from supervisor.cli.containers import check_deployed, is_deployed
from supervisor.cli.deps import called, state
from supervisor.cli.examination import Examination, examine
from supervisor.cli.ps import rfc3339
from supervisor.cli.symptoms import Level, Verdict, counted
from supervisor.cli.verdict import verdict
from supervisor.errors import NotFoundError
from supervisor.graph.waiting import label, why
from supervisor.names import check_name, service_unit
from supervisor.systemd.manager import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLES = {
    "diagnose": (
        "ctrctl diagnose web",
        "ctrctl diagnose --format json web | jq -r .verdict.cause",
    )
}

_STYLES = {Level.OK: "green", Level.BUSY: "yellow", Level.IDLE: "dim", Level.WARNING: "yellow", Level.FAILED: "red"}
_INDENT = 12
_LINES = 10
_LONGEST = 400


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``diagnose``."""
    parser.add_argument("name", metavar="NAME", help="a container's name")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="what to print (default: text)")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the page; the exit code is 0 when the page could be made, however the container is."""
    name = check_name(args.name)
    definition = f"{console.layout.definitions}/{name}.container"
    if not is_deployed(name, console.layout) and os.path.exists(definition):
        raise NotFoundError(f"{name}: {definition} is not deployed; 'ctrctl apply' does that, or says why not")
    check_deployed([name], console.layout)
    with Manager.open() as manager:
        found = examine(name, manager, console.layout)
    concluded = verdict(found.seen)
    if args.format == "json":
        console.json(document(found, concluded))
        return 0
    show(found, concluded, console)
    if os.geteuid() != 0 and not found.lines:
        console.note("(only root and the group systemd-journal may read logs and exits)")
    return 0


def show(found: Examination, concluded: Verdict, console: Console) -> None:
    """The page as text."""
    name = found.seen.name
    cause = console.color(_STYLES[concluded.level], printable(concluded.cause))
    console.line(f"{console.color('bold', name)}: {cause}")
    if concluded.advice:
        console.line(f"{' ' * len(name)}  {console.color('bold', 'do:')} {printable(concluded.advice)}")
    console.line()
    for title, lines in sections(found):
        for number, line in enumerate(lines):
            head = console.color("dim", f"{title:<{_INDENT}}") if not number else " " * _INDENT
            text = printable(line)
            console.line(f"{head}{text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}".rstrip())


def sections(found: Examination) -> Iterator[tuple[str, list[str]]]:
    """Titles, and the lines of each."""
    card, seen = found.card, found.seen
    yield "definition", [card.definition or str(found.unit["SourcePath"]) or "-"]
    yield "image", [card.image or "-", *([card.image_digest] if card.image_digest else [])]
    if card.project:
        yield "project", [card.project]
    yield "unit", [unit_line(found)]
    jobs = [f"{'   ' * depth}{label(job.unit)}: {job.type} {job.state}, {why(job)}" for depth, job in seen.jobs]
    yield "jobs", jobs or ["none"]
    yield "health", list(health_lines(found))
    yield "exits", [f"{moment(ending.at)}   {ending.words}" for ending in reversed(found.exits)] or ["none known"]
    yield "limits", list(limit_lines(found.limits)) or ["none known" if not found.limits else "none hit"]
    needs = [
        f"{called(found.graph.nodes[edge.target])}: {state(found.graph.nodes[edge.target])} ({edge.words})"
        for edge in found.graph.edges
        if edge.source == service_unit(seen.name) and edge.is_need
    ]
    yield "needs", needs or ["nothing"]
    causes = [f"{' → '.join(map(label, culprit.way))}: {culprit.words}" for culprit in seen.culprits]
    if causes:
        yield "root cause", causes
    yield "log", list(found.lines[-_LINES:]) or ["no lines"]
    yield "more", [f"journalctl -u {service_unit(seen.name)}", f"ctrctl deps {seen.name}"]


def unit_line(found: Examination) -> str:
    """State, result, restarts, and when it was started."""
    unit, service = found.unit, found.service
    words = [f"{service_unit(found.seen.name)}: {unit['ActiveState']} ({unit['SubState']})"]
    if unit["LoadState"] != "loaded":
        words.append(f"load state {unit['LoadState']}")
    if service["Result"] != "success":
        words.append(f"result {service['Result']}")
    if service["NRestarts"]:
        words.append(f"{service['NRestarts']} restart{'' if service['NRestarts'] == 1 else 's'}")
    words.append(f"Restart={service['Restart']}")
    if unit["ActiveEnterTimestamp"]:
        words.append(f"last started {moment(unit['ActiveEnterTimestamp'] / 1e6)}")
    return ", ".join(words)


def health_lines(found: Examination) -> Iterator[str]:
    """State, and the last probes."""
    seen, probes = found.seen, found.probes
    known = seen.health or (probes.status if probes else "")
    yield (known or "no health check is running") + (f", {seen.streak} failures in a row" if seen.streak > 1 else "")
    for result in reversed(probes.results[-3:] if probes else ()):
        yield f"{moment(result.end)}   exit {result.code}   {' '.join(result.output.split())}".rstrip()


def limit_lines(limits: dict[str, int]) -> Iterator[str]:
    """Use and limits where there is a limit or a hit."""
    if "memory" in limits and (limits.get("memory_max") or limits.get("memory_high")):
        which = limits.get("memory_max") or limits["memory_high"]
        yield f"memory {size(limits['memory'])} of {size(which)}"
    if "pids" in limits and "pids_max" in limits:
        yield f"processes {limits['pids']} of {limits['pids_max']}"
    words = {
        "memory_max_hits": "memory limit hit {}",
        "memory_high_hits": "slowed down for memory (MemoryHigh=) {}",
        "oom_kills": "processes ended for lack of memory: {}",
        "pids_hits": "limit of processes hit {}",
        "throttled_percent": "held back by the CPU quota in {} % of its periods",
    }
    for key, text in words.items():
        if limits.get(key):
            yield text.format(counted(limits[key]) if key.endswith("_hits") else limits[key])


def size(count: int) -> str:
    """Bytes for people, in powers of 1024."""
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def moment(seconds: float) -> str:
    """A time in the host's own time zone, and how far that is from UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def document(found: Examination, concluded: Verdict) -> dict[str, Any]:
    """The same for programs; times are RFC 3339 in UTC, or null."""
    seen, probes = found.seen, found.probes
    return {
        "name": seen.name,
        "verdict": {"level": concluded.level.value, "cause": concluded.cause, "advice": concluded.advice or None},
        "definition": found.card.definition or None,
        "image": {"reference": found.card.image or None, "id": found.card.image_digest or None},
        "project": found.card.project or None,
        "phase": seen.phase.value,
        "unit": {
            "name": service_unit(seen.name),
            "state": found.unit["ActiveState"],
            "sub_state": found.unit["SubState"],
            "load_state": found.unit["LoadState"],
            "result": found.service["Result"],
            "restarts": found.service["NRestarts"],
        },
        "jobs": [
            {"depth": depth, "id": job.id, "unit": job.unit, "type": job.type, "state": job.state, "why": why(job)}
            for depth, job in seen.jobs
        ],
        "health": {
            "status": seen.health or None,
            "failing_streak": seen.streak,
            "log": [
                {"at": rfc3339(result.end), "exit_code": result.code, "output": result.output}
                for result in (probes.results if probes else ())
            ],
        },
        "exits": [
            {"at": rfc3339(e.at), "code": e.code, "status": e.status, "result": e.result, "oom": e.oom}
            for e in found.exits
        ],
        "limits": found.limits,
        "root_causes": [{"unit": c.unit, "way": list(c.way), "words": c.words} for c in seen.culprits],
        "log": list(found.lines),
    }
