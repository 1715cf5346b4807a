"""Where the monitor's screen gets its words from: systemd and the kernel for the list, journalctl for the panes.

Owns the reading, in small portions, so that neither 1,000 containers nor one that floods keep the screen from being
drawn. Decides nothing about how it looks.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from supervisor.cli import logs
from supervisor.cli.containers import Listing, listings
from supervisor.cli.events import uid
from supervisor.cli.journal import Entry, ExportParser
from supervisor.cli.monitor_state import HISTORY, LINE_LENGTH, Level, Line, Row
from supervisor.errors import HostError
from supervisor.events import entry
from supervisor.events.event import MESSAGE_IDS, Event, Kind
from supervisor.lifecycle.phase import Phase
from supervisor.names import service_unit
from supervisor.paths import Layout
from supervisor.stats.rates import Rates, Sampler
from supervisor.stats.reader import containers
from supervisor.stats.usage import Usage
from supervisor.systemd.manager import Manager

#: systemd is asked for the restarts of so many containers in one sample at most.
_QUESTIONS = 50
_CHUNK = 1 << 18
_TAIL = "100"

_LEVELS = {
    **dict.fromkeys((Kind.READY, Kind.HEALTHY), Level.GOOD),
    **dict.fromkeys((Kind.RESTARTING, Kind.UNHEALTHY, Kind.LOST, Kind.PAUSED), Level.WARNING),
    **dict.fromkeys((Kind.OOM, Kind.GIVEN_UP), Level.BAD),
}


class Source:
    """Reads the list; remembers what rates and restarts need."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sampler = Sampler()
        self._restarts: dict[str, tuple[object, int]] = {}

    def rows(self, before: Sequence[Row]) -> tuple[Row, ...]:
        """Every container now, with the histories of *before*. Raises `CtrError` when systemd cannot be asked."""
        # A connection each time: down one that stays open PID 1 sends every signal, and nobody takes them.
        with Manager.open() as manager:
            found = listings(manager, self._layout, everything=True, details=False)
            self._ask(found, manager)
        usages = containers(self._layout)
        rates = self._sampler.feed(usages)
        restarts = {name: count for name, (_, count) in self._restarts.items()}
        return join(found, usages, rates, restarts, before)

    def _ask(self, found: Sequence[Listing], manager: Manager) -> None:
        """NRestarts= of what began a run since we asked last, some at a time: each costs a D-Bus call."""
        present = {item.name: _run(item) for item in found if item.phase.is_up or item.phase is Phase.FAILED}
        self._restarts = {name: known for name, known in self._restarts.items() if name in present}
        new = [name for name, run in present.items() if self._restarts.get(name, ("",))[0] != run]
        for name in new[:_QUESTIONS]:
            count = manager.properties(service_unit(name), "Service", "NRestarts")["NRestarts"]
            self._restarts[name] = (present[name], int(count))


def _run(item: Listing) -> object:
    """Something that is another in each run."""
    return item.phase, item.started, item.exit and item.exit.time


def join(
    found: Sequence[Listing],
    usages: Mapping[str, Usage],
    rates: Mapping[str, Rates | None],
    restarts: Mapping[str, int],
    before: Sequence[Row],
) -> tuple[Row, ...]:
    """One row for each of *found*. Histories go on over restarts, with zero for the samples between. Pure."""
    old = {row.name: row for row in before}
    rows = []
    for item in found:
        last = old.get(item.name) or Row(item)
        usage, rate = usages.get(item.name), rates.get(item.name)
        memory = usage.memory if usage else None
        cpu = (*last.cpu, rate.cpu if rate and rate.cpu is not None else 0.0) if usage or last.cpu else ()
        used = (*last.memory, memory.working_set if memory else 0) if memory or last.memory else ()
        rows.append(
            Row(
                item,
                cpu[-HISTORY:],
                used[-HISTORY:],
                memory.limit if memory else None,
                usage.pids.current if usage and usage.pids else None,
                rate.received_bytes if rate else None,
                rate.sent_bytes if rate else None,
                restarts.get(item.name, 0),
            )
        )
    return tuple(rows)


class Follow:
    """journalctl that follows; a descriptor to wait for, and entries."""

    def __init__(self, arguments: Sequence[str], fields: Sequence[str]) -> None:
        """Raises `HostError`."""
        words = ("-q", "--no-pager", "-o", "export", f"--output-fields={','.join(fields)}", "-f", "-n", _TAIL)
        try:
            self._child = subprocess.Popen(
                ("journalctl", *words, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pipesize=_CHUNK,
            )
        except OSError as error:
            raise HostError(f"journalctl: {error.strerror}") from error
        assert self._child.stdout
        self._fd = self._child.stdout.fileno()
        self._parser = ExportParser()
        self.is_full = False
        """Whether there was more to read than one read took: journalctl writes faster than we read."""

    def fileno(self) -> int:
        return self._fd

    def take(self) -> list[Entry] | None:
        """Entries that one read completes, for a descriptor that is readable; None: journalctl has ended."""
        data = os.read(self._fd, _CHUNK)
        self.is_full = len(data) == _CHUNK
        return self._parser.feed(data) if data else None

    def close(self) -> None:
        """End journalctl."""
        self._child.kill()
        with self._child:
            pass


def writer() -> int:
    """UID of the only one whose entries are events; -1, which is nobody, where there is no such user."""
    try:
        return uid()
    except HostError:
        return -1


def follow_events(writer: int) -> Follow:
    """The events of this boot that *writer* wrote."""
    ids = (f"MESSAGE_ID={number}" for number in MESSAGE_IDS.values())
    return Follow(("--boot", *ids, f"_UID={writer}"), entry.FIELDS)


def follow_logs(name: str) -> Follow:
    """What container *name* wrote."""
    return Follow(logs.matches(name), ("MESSAGE", "CTR_STREAM", "_SOURCE_REALTIME_TIMESTAMP"))


def event_lines(entries: Sequence[Entry], writer: int) -> tuple[Line, ...]:
    """A line for each entry that is an event of *writer*. Pure."""
    texts = ({key: value.decode("utf-8", "replace") for key, value in one.items()} for one in entries)
    found = (entry.event(text, writer) for text in texts)
    return tuple(Line(one.at / 1e6, entry.message(one), level(one)) for one in found if one)


def level(event: Event) -> Level:
    """How an event is meant. Pure."""
    if event.kind is Kind.EXITED:
        return Level.BAD if event.exit_code else Level.PLAIN
    return _LEVELS.get(event.kind, Level.PLAIN)


def log_lines(entries: Sequence[Entry]) -> tuple[Line, ...]:
    """A line for each entry, stderr as a warning; of a long one, the beginning. Pure."""
    return tuple(
        Line(
            moment(one),
            # Four bytes make a character at most; one more, so that what was cut off can be seen.
            one.get("MESSAGE", b"")[: 4 * (LINE_LENGTH + 1)].decode("utf-8", "replace"),
            Level.WARNING if one.get("CTR_STREAM") == b"stderr" else Level.PLAIN,
        )
        for one in entries
    )


def moment(one: Entry) -> float:
    """When it was written, in seconds since the epoch. Pure."""
    text = one.get("_SOURCE_REALTIME_TIMESTAMP") or one.get("__REALTIME_TIMESTAMP") or b"0"
    return int(text) / 1e6 if text.isdigit() else 0.0
