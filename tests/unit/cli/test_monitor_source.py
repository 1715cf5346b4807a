"""What the monitor makes of readings and journal entries."""

from __future__ import annotations

from supervisor.cli.containers import Details, Listing
from supervisor.cli.monitor_source import event_lines, join, level, log_lines
from supervisor.cli.monitor_state import HISTORY, LINE_LENGTH, Level, Row
from supervisor.events import entry
from supervisor.events.event import Event, Kind
from supervisor.lifecycle.phase import Phase
from supervisor.stats.rates import Rates
from supervisor.stats.usage import Memory, Pids, Usage


def _listing(name: str, phase: Phase = Phase.RUNNING) -> Listing:
    return Listing(name, phase, 1.0, None, Details())


USAGE = Usage(1.0, 1, memory=Memory(current=100, limit=200, inactive_file=40), pids=Pids(3))


def test_histories_go_on() -> None:
    """A sample is added; of too many, the oldest goes; what is new begins."""
    before = [Row(_listing("web"), cpu=(0.5,) * HISTORY, memory=(1,))]
    rates = {"web": Rates(1.0, cpu=1.0), "db": None}
    web, db = join([_listing("web"), _listing("db")], {"web": USAGE, "db": USAGE}, rates, {"web": 4}, before)
    assert (len(web.cpu), web.cpu[-2:], web.memory, web.restarts) == (HISTORY, (0.5, 1.0), (1, 60), 4)
    assert (web.memory_limit, web.pids) == (200, 3)
    assert (db.cpu, db.memory, db.restarts) == ((0.0,), (60,), 0)


def test_a_container_that_is_down_uses_nothing() -> None:
    """It goes on with zero after a run, and has no history when it never ran."""
    before = [Row(_listing("web"), cpu=(0.5,), memory=(7,))]
    web, never = join([_listing("web", Phase.EXITED), _listing("never", Phase.CREATED)], {}, {}, {}, before)
    assert (web.cpu, web.memory) == ((0.5, 0.0), (7, 0))
    assert (never.cpu, never.memory) == ((), ())


def test_a_removed_container_goes() -> None:
    """Only what is found has a row."""
    assert join([], {"web": USAGE}, {}, {}, [Row(_listing("web"))]) == ()


def _entry(event: Event, user: int) -> dict[str, bytes]:
    return {key: value.encode() for key, value in {**entry.fields(event), "_UID": str(user)}.items()}


def test_events_are_told_in_words() -> None:
    """The sentence that the journal has; only from the one that writes events."""
    event = Event(Kind.EXITED, "web", 5_000_000, code="exited", status=3)
    (line,) = event_lines([_entry(event, 990), _entry(event, 1000), {"MESSAGE": b"x"}], 990)
    assert (line.at, line.text, line.level) == (5.0, "web: exited with status 3", Level.BAD)


def test_every_event_has_a_level() -> None:
    """What went well, what did not, and the rest."""
    levels = {kind: level(Event(kind, "web", 1)) for kind in Kind}
    assert levels[Kind.HEALTHY] is Level.GOOD
    assert levels[Kind.UNHEALTHY] is Level.WARNING
    assert levels[Kind.OOM] is Level.BAD
    assert levels[Kind.EXITED] is Level.PLAIN


def test_log_lines_are_cut_before_they_are_decoded() -> None:
    """10 MB in a line, or bytes that are no text; stderr stands out."""
    long, odd, error = log_lines(
        [
            {"MESSAGE": b"x" * 10**7, "__REALTIME_TIMESTAMP": b"2000000"},
            {"MESSAGE": b"\xff\x00", "_SOURCE_REALTIME_TIMESTAMP": b"1000000", "__REALTIME_TIMESTAMP": b"2"},
            {"CTR_STREAM": b"stderr", "__REALTIME_TIMESTAMP": b"nonsense"},
        ]
    )
    assert LINE_LENGTH < len(long.text) < 5 * LINE_LENGTH
    assert (long.at, odd.at, odd.text, odd.level) == (2.0, 1.0, "\ufffd\x00", Level.PLAIN)
    assert (error.at, error.text, error.level) == (0.0, "", Level.WARNING)
