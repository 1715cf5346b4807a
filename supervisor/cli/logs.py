"""``ctrctl logs``: what a container wrote, from the journal, stdout to stdout and stderr to stderr.

Owns the matches that select a container's own lines, the translation of docker's time words into journalctl's, and how
an entry is printed. Bytes stay as they were written; lines the relay had to split come out whole again.
"""

from __future__ import annotations

import os
import re

from supervisor.cli.containers import check_deployed, is_deployed
from supervisor.errors import UserError
from supervisor.names import scope_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from supervisor.cli.console import Console
    from supervisor.cli.journal import Entry

EXAMPLES = {
    "logs": (
        "ctrctl logs -f --tail 20 web                follow, from the last 20 lines on",
        "ctrctl logs --since 10m web 2>/dev/null     stdout only, of the last ten minutes",
        "journalctl -u ctr@web                       systemd's own words about it as well",
    )
}

FIELDS = (
    "MESSAGE",
    "CTR_STREAM",
    "CONTAINER_PARTIAL_MESSAGE",
    "CONTAINER_PARTIAL_ORDINAL",
    "_SOURCE_REALTIME_TIMESTAMP",
)

#: The only unit whose entries may claim to be a container's: anybody can send CONTAINER_NAME= to journald, and
#: podman does.
RELAY = "ctr-log.service"

_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(h|m|s|ms|d|w))+")
_UNIX = re.compile(r"[0-9]{9,}(\.[0-9]+)?")
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``logs``."""
    parser.add_argument("name", metavar="NAME", help="the container's name")
    configure_selection(parser, "container")
    parser.add_argument("--json", action="store_true", help="one JSON object with time, stream and message per line")


def configure_selection(parser: argparse.ArgumentParser, what: str) -> None:
    """Which lines of *what* there is a name of, and whether with their times."""
    when = "a time span back from now (10m, 1h30m), RFC 3339, seconds since the epoch, or what journalctl understands"
    parser.add_argument("-f", "--follow", action="store_true", help=f"go on until the {what} is removed")
    parser.add_argument("-n", "--tail", metavar="LINES", default="all", help="only the last lines (default: all)")
    parser.add_argument("--since", metavar="TIME", help=f"only lines since: {when}")
    parser.add_argument("--until", metavar="TIME", help="only lines until then")
    parser.add_argument("-t", "--timestamps", action="store_true", help="begin each line with its time")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the lines; 0 also when there are none."""
    from supervisor.cli.journal import read

    check_deployed([args.name], console.layout)
    selection = arguments((args.name,), args.follow, args.tail, args.since, args.until)

    def is_over() -> bool:
        return not is_deployed(args.name, console.layout) or not console.has_reader()

    entries = read(selection, FIELDS, is_over if args.follow else None)
    count = 0
    for error, data in rendered(entries, timestamps=args.timestamps, json=args.json):
        count += 1
        console.bytes(data, error=error)
    if not count and os.geteuid() != 0:
        console.note("(no lines; only root and the group systemd-journal may read other users' journal entries)")
    return 0


def arguments(
    names: Sequence[str], follow: bool, tail: str, since: str | None, until: str | None
) -> tuple[str, ...]:
    """The words for journalctl(1), for the lines of the containers *names*. Raises `UserError` for a count or a time
    that makes no sense. Pure."""
    if tail != "all" and not tail.isdigit():
        raise UserError(f"--tail '{tail}': not a number of lines; use a number, or 'all'")
    words = ["-n", tail] if tail != "all" or follow else []
    if follow:
        words.append("-f")
    if since is not None:
        words.append(f"--since={moment(since)}")
    if until is not None:
        words.append(f"--until={moment(until)}")
    for name in names:
        words += ["+", *matches(name)] if name != names[0] else matches(name)
    return tuple(words)


def matches(name: str) -> tuple[str, ...]:
    """journalctl's matches for the container's own lines: through the relay, or (passthrough) from its scope."""
    return f"CONTAINER_NAME={name}", f"_SYSTEMD_UNIT={RELAY}", "+", f"_SYSTEMD_UNIT={scope_unit(name)}"


def moment(text: str) -> str:
    """A time as docker and podman take it, in systemd.time(7)'s words: '-10m' for '10m', '@…' for RFC 3339 and Unix."""
    from datetime import datetime

    if _DURATION.fullmatch(text):
        return f"-{text}"
    if _UNIX.fullmatch(text):
        return f"@{text}"
    if _RFC3339.fullmatch(text):
        try:
            return f"@{datetime.fromisoformat(text).timestamp():.6f}"
        except ValueError as error:
            raise UserError(
                f"time '{text}': {error}; use 10m, 2026-01-31T09:30:00Z or seconds since the epoch"
            ) from error
    return text


def rendered(
    entries: Iterable[Entry],
    *,
    timestamps: bool = False,
    json: bool = False,
    prefix: Callable[[Entry], bytes] = lambda entry: b"",
) -> Iterator[tuple[bool, bytes]]:
    """Each entry as (whether it goes to stderr, bytes to write); *prefix*: what a line of it begins with. Pure."""
    if json:
        yield from _json(entries)
        return
    for entry in entries:
        more = entry.get("CONTAINER_PARTIAL_MESSAGE") == b"true"
        first = entry.get("CONTAINER_PARTIAL_ORDINAL", b"1") == b"1"
        stamp = f"{_time(entry)} ".encode() if timestamps and first else b""
        start = prefix(entry) + stamp if first else b""
        yield _is_error(entry), start + entry.get("MESSAGE", b"") + (b"" if more else b"\n")


def _json(entries: Iterable[Entry]) -> Iterator[tuple[bool, bytes]]:
    """One object per whole line, all on stdout; a message that is not UTF-8 is ``message_base64`` instead."""
    from base64 import b64encode
    from json import dumps

    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for entry in entries:
        pieces = parts[_is_error(entry)]
        pieces.append(entry.get("MESSAGE", b""))
        if entry.get("CONTAINER_PARTIAL_MESSAGE") == b"true":
            continue
        message = b"".join(pieces)
        pieces.clear()
        document = {"time": _time(entry), "stream": "stderr" if _is_error(entry) else "stdout"}
        try:
            document["message"] = message.decode()
        except UnicodeDecodeError:
            document["message_base64"] = b64encode(message).decode()
        yield False, f"{dumps(document, ensure_ascii=False)}\n".encode()


def _is_error(entry: Entry) -> bool:
    return entry.get("CTR_STREAM") == b"stderr"


def _time(entry: Entry) -> str:
    from supervisor.cli.ps import rfc3339

    microseconds = entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry.get("__REALTIME_TIMESTAMP") or b"0"
    return rfc3339(int(microseconds) / 1e6) or ""
