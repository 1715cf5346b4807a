"""``ctrctl stats``: what containers use, as docker's users know the table, refreshed in place on a terminal.

Reads through `supervisor.stats`, so it needs no right and asks systemd nothing. Owns the words of the table, and when
it ends: after one reading, on Ctrl-C, or when nobody reads its output any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from supervisor.cli.console import printable
from supervisor.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from supervisor.cli.console import Console
    from supervisor.stats.rates import Rates
    from supervisor.stats.usage import Usage

    Sample = tuple[str, Usage | None, Rates | None]
    """A container's name, what it uses (None: it does not run), and since the last sample (None: it is new)."""

EXAMPLES = {
    "stats": (
        "ctrctl stats                            what runs, every second; Ctrl-C ends it",
        "ctrctl stats --no-stream web db         once",
        "ctrctl stats --format json | jq -c '.[] | [.name, .cpu_percent]'",
    )
}

_HEADERS = ("NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS", "PSI CPU / MEM / IO")
_UNKNOWN = "-"
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 86400
_GAP = "   "


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``stats``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these containers (default: all that run)")
    parser.add_argument("--no-stream", action="store_true", help="print one reading and end")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two readings (default: 1)"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="what to print (default: table); json, when it goes on: one list per line",
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print one reading after the other; 0 at the end, also by Ctrl-C, which is how it is meant to end."""
    from supervisor.cli.containers import check_deployed

    check_interval(args.interval, _LEAST_SECONDS)
    check_deployed(args.names, console.layout)
    try:
        for samples in _samples(tuple(dict.fromkeys(args.names)), args, console):
            _show(samples, args, console)
    except KeyboardInterrupt:
        console.line()
    return 0


def check_interval(seconds: float, least: float) -> None:
    """Raise `UserError` unless *least* <= *seconds* <= a day; clocks of the kernel end somewhere behind that."""
    if not seconds >= least:
        raise UserError(f"--interval {seconds:g}: too short; use {least} seconds or more")
    if seconds > _MOST_SECONDS:
        raise UserError(f"--interval {seconds:g}: too long; use {_MOST_SECONDS} seconds (a day) or less")


def _samples(names: Sequence[str], args: argparse.Namespace, console: Console) -> Iterator[tuple[Sample, ...]]:
    """A reading every interval, the first with rates from one that is not shown; one with ``--no-stream``."""
    from supervisor.stats.rates import Sampler
    from supervisor.stats.reader import containers

    sampler = Sampler()
    sampler.feed(containers(console.layout, names or None))
    while console.has_reader(args.interval):
        usages = containers(console.layout, names or None)
        rates = sampler.feed(usages)
        yield tuple((name, usages.get(name), rates.get(name)) for name in names or sorted(usages))
        if args.no_stream:
            return


def _show(samples: Sequence[Sample], args: argparse.Namespace, console: Console) -> None:
    if args.format == "json":
        import json

        documents = [document(*sample, memory_total()) for sample in samples]
        if args.no_stream:
            console.json(documents)
        else:
            console.line(json.dumps(documents, ensure_ascii=False))
    elif args.no_stream or not console.stdout.isatty():
        console.table(_HEADERS, [row(*sample, memory_total()) for sample in samples])
        if not args.no_stream:
            console.line()
    else:
        columns, lines = os.get_terminal_size(console.stdout.fileno())
        rows = [_HEADERS, *(row(*sample, memory_total()) for sample in samples)]
        console.stdout.write(screen(rows, columns, lines))
    console.stdout.flush()


def screen(rows: Sequence[Sequence[str]], columns: int, lines: int) -> str:
    """What draws *rows*, headers first, over what a terminal of that size shows. Pure."""
    kept = rows if len(rows) < lines else rows[: max(1, lines - 2)]
    # Room for what will be there in a moment: columns that jump cannot be read.
    widths = [max(len(printable(cell)) for cell in column) for column in zip(*rows, strict=True)]
    widths = [max(width, least) for width, least in zip(widths, _LEAST_WIDTHS, strict=True)]
    drawn = [
        _GAP.join(f"{printable(cell):<{width}}" for cell, width in zip(row_, widths, strict=True))[:columns]
        for row_ in kept
    ]
    if len(kept) < len(rows):
        drawn.append(f"… and {len(rows) - len(kept)} more"[:columns])
    return "\x1b[H" + "".join(f"{line.rstrip()}\x1b[K\r\n" for line in drawn) + "\x1b[J"


_LEAST_WIDTHS = (8, 7, 19, 6, 17, 17, 4, 18)


def row(name: str, usage: Usage | None, rates: Rates | None, total: int) -> tuple[str, ...]:
    """The cells of one container; *total*: bytes of memory of the host, which is the limit of what has none. Pure."""
    if usage is None:
        return (name, *[_UNKNOWN] * (len(_HEADERS) - 1))
    memory, limit = usage.memory, _limit(usage, total)
    return (
        name,
        _UNKNOWN if rates is None or rates.cpu is None else f"{rates.cpu:.2%}",
        f"{binary(memory.working_set)} / {binary(limit)}" if memory and limit else f"{_UNKNOWN} / {_UNKNOWN}",
        f"{memory.working_set / limit:.2%}" if memory and limit else _UNKNOWN,
        _pair(usage.received_bytes, usage.sent_bytes),
        _pair(usage.io.read_bytes, usage.io.written_bytes) if usage.io else _pair(None, None),
        str(usage.pids.current) if usage.pids else _UNKNOWN,
        " / ".join(
            _UNKNOWN if share is None else f"{share:.0%}"
            for share in (rates and rates.cpu_stall, rates and rates.memory_stall, rates and rates.io_stall)
        ),
    )


def document(name: str, usage: Usage | None, rates: Rates | None, total: int) -> dict[str, object]:
    """One element of ``--format json``: the members of `supervisor.stats.usage.Usage` as they are; null where the host
    does not tell. Bytes, microseconds, and in *rates* both per second. Pure."""
    from dataclasses import asdict

    found: Mapping[str, object] = {} if usage is None else asdict(usage)
    memory, limit = usage and usage.memory, _limit(usage, total)
    return {
        "name": name,
        "running": usage is not None,
        "cpu_percent": None if rates is None or rates.cpu is None else round(rates.cpu * 100, 2),
        "memory_percent": round(memory.working_set / limit * 100, 2) if memory and limit else None,
        "memory_working_set": memory.working_set if memory else None,
        **{key: found.get(key) for key in ("cpu", "memory", "io", "pids", "interfaces")},
        "pressure": {kind: found.get(f"{kind}_pressure") for kind in ("cpu", "memory", "io")},
        "rates": asdict(rates) if rates else None,
    }


def memory_total() -> int:
    """Bytes of memory of this host."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limit(usage: Usage | None, total: int) -> int:
    memory = usage and usage.memory
    return min(memory.limit, total) if memory and memory.limit is not None else total


def _pair(first: int | None, second: int | None) -> str:
    return " / ".join(_UNKNOWN if number is None else decimal(number) for number in (first, second))


def binary(number: float) -> str:
    """Bytes as docker writes memory: '1.5MiB'."""
    return _scaled(number, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def decimal(number: float) -> str:
    """Bytes as docker writes traffic: '1.5MB'."""
    return _scaled(number, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    at = 0
    while round(number, 1) >= step and at < len(units) - 1:
        number, at = number / step, at + 1
    return f"{number:.0f}{units[at]}" if not at or number >= 100 else f"{number:.3g}{units[at]}"
