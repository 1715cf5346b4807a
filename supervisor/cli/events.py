"""``ctrctl events``: what happened to containers and images, from the journal.

Owns the matches that select the supervisor's events, and how one is printed. Asks no daemon: events are
journal entries, and stay when the supervisor is down.
"""

from __future__ import annotations

import math
import os
import re
import time

from supervisor.cli.console import printable
from supervisor.errors import HostError, UserError
from supervisor.events import entry
from supervisor.events.event import MESSAGE_IDS, Event, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from supervisor.cli.console import Console
    from supervisor.cli.journal import Entry

EXAMPLES = {
    "events": (
        "ctrctl events --since 1h                          what happened in the last hour",
        "ctrctl events -f --filter name=web                follow one container",
        "ctrctl events --filter event=exited --json        one JSON object for each end of a run",
        "journalctl -x CTR_CONTAINER=web                   the same entries, explained",
    )
}

#: Filter -> the journal's field.
_FILTERS = {"name": "CTR_CONTAINER", "container": "CTR_CONTAINER", "event": "CTR_EVENT", "project": "CTR_PROJECT"}
_STYLES = {
    Kind.READY: "green",
    Kind.HEALTHY: "green",
    Kind.UNHEALTHY: "yellow",
    Kind.RESTARTING: "yellow",
    Kind.PAUSED: "yellow",
    Kind.LOST: "yellow",
    Kind.OOM: "red",
    Kind.GIVEN_UP: "red",
}
_KIND_WIDTH = max(len(kind.value) for kind in Kind)


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``events``."""
    when = "a time span back from now (10m, 1h30m), RFC 3339, seconds since the epoch, or what journalctl understands"
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens from now on")
    parser.add_argument("-n", "--tail", metavar="EVENTS", default="all", help="only the last ones (default: all)")
    parser.add_argument("--since", metavar="TIME", help=f"only since: {when}")
    parser.add_argument("--until", metavar="TIME", help="only until then")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only those that fit: name=web, event=exited, project=shop; the same key twice means either",
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the events; 0 also when there are none."""
    from supervisor.cli.journal import read

    writer = uid()
    words = arguments(args.follow, args.tail, args.since, args.until, args.filter, writer)
    period = Period.of(args.since, args.until, time.time())
    if not os.path.lexists(f"{console.layout.root}/run/systemd/units/invocation:{entry.WRITER}.service"):
        console.note(f"({entry.WRITER}.service is not running; it tells what it missed when it runs again)")
    entries = read(words, entry.FIELDS, (lambda: not console.has_reader()) if args.follow else None)
    count = show(entries, console, writer, period, json=args.json)
    if not count and os.geteuid() != 0:
        console.note("(no events; only root and the group systemd-journal may read other users' journal entries)")
    return 0


def uid() -> int:
    """Of the user whose entries are events. Raises `HostError` when there is none."""
    from pwd import getpwnam

    try:
        return getpwnam(entry.WRITER).pw_uid
    except KeyError as error:
        raise HostError(f"user {entry.WRITER}: not found; run contrib/install again") from error


def arguments(
    follow: bool, tail: str, since: str | None, until: str | None, filters: Iterable[str], writer: int
) -> tuple[str, ...]:
    """The words for journalctl(1). Raises `UserError` for what makes no sense. Pure.

    Following alone begins now, as docker's does. The journal knows when an event was told; since that is not before it
    happened, it may leave out what was told earlier, but not what was told later (see `Period`).
    """
    from supervisor.cli.logs import moment

    if tail != "all" and not tail.isdigit():
        raise UserError(f"--tail '{tail}': not a number of events; use a number, or 'all'")
    count = "0" if follow and tail == "all" and since is None else tail
    return (
        *(("-n", count) if count != "all" or follow else ()),
        *(("-f",) if follow else ()),
        *((f"--since={moment(since)}",) if since is not None else ()),
        *((f"--until={moment(until)}",) if until is not None and seconds(until, 0.0) is None else ()),
        f"_UID={writer}",
        *(f"MESSAGE_ID={message_id}" for message_id in MESSAGE_IDS.values()),
        *map(_match, filters),
    )


class Period:
    """When an event has to have happened to be shown, in seconds since the epoch."""

    def __init__(self, since: float = -math.inf, until: float = math.inf) -> None:
        self.since = since
        self.until = until

    @classmethod
    def of(cls, since: str | None, until: str | None, now: float) -> Period:
        """From what was typed; times that only journalctl understands are left to it."""
        first, last = (seconds(text, now) if text is not None else None for text in (since, until))
        return cls(-math.inf if first is None else first, math.inf if last is None else last)

    def __contains__(self, at: float) -> bool:
        return self.since <= at <= self.until


def seconds(text: str, now: float) -> float | None:
    """The moment in seconds since the epoch; None when only journalctl knows ('yesterday'). Raises `UserError`."""
    from supervisor.cli.logs import moment

    words = moment(text)
    if words.startswith("@"):
        return float(words[1:])
    spans = _SPAN.findall(words) if words.startswith("-") else []
    return now - sum(float(number) * _UNITS[unit] for number, unit in spans) if spans else None


_SPAN = re.compile(r"([0-9.]+)(ms|[smhdw])")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ALWAYS = Period()


def show(
    entries: Iterable[Entry], console: Console, writer: int, period: Period = _ALWAYS, *, json: bool = False
) -> int:
    """Print *entries*, each at once; how many there were. *writer*: `uid`."""
    count = 0
    text: Callable[[Event], str] = _document if json else lambda event: _line(event, console)
    for raw in entries:
        fields = {key: value.decode("utf-8", "replace") for key, value in raw.items()}
        if (event := entry.event(fields, writer)) and event.at / 1e6 in period:
            count += 1
            console.line(text(event))
            console.stdout.flush()
    return count


def _match(text: str) -> str:
    key, equals, value = text.partition("=")
    if key not in _FILTERS or not equals:
        raise UserError(f"filter '{text}': use name=NAME, event=EVENT or project=PROJECT")
    known = [kind.value for kind in Kind]
    if key == "event" and value not in known:
        raise UserError(f"filter '{text}': event is one of {', '.join(known)}")
    return f"{_FILTERS[key]}={value}"


def _line(event: Event, console: Console) -> str:
    from supervisor.cli.ps import rfc3339

    is_exit = event.kind is Kind.EXITED
    said = printable(entry.message(event).removeprefix(f"{event.name}: ") if is_exit else event.detail)
    style = _STYLES.get(event.kind, "red" if is_exit and event.exit_code not in (0, 143) else "")
    kind = console.color(style, f"{event.kind.value:<{_KIND_WIDTH}}")
    return f"{rfc3339(event.at / 1e6)}  {kind}  {printable(event.name)}  {said}".rstrip()


def _document(event: Event) -> str:
    """One object; null where there is nothing to tell."""
    from json import dumps

    from supervisor.cli.ps import rfc3339

    exit = {"code": event.code, "status": event.status, "exit_code": event.exit_code}
    job = {"id": event.job.id, "type": event.job.type, "result": event.job.result}
    return dumps(
        {
            "time": rfc3339(event.at / 1e6),
            "event": event.kind.value,
            "name": event.name or None,
            "project": event.project or None,
            "invocation": event.invocation or None,
            "exit": exit if event.kind is Kind.EXITED else None,
            "detail": event.detail or None,
            "job": job if event.job.id else None,
        },
        ensure_ascii=False,
    )
