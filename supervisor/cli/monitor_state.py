"""What is on the monitor's screen, and what a key does to it. Pure: no terminal, no clock, no systemd.

`Screen` holds everything that is shown. `press` is the only thing that keys do: a new screen, and an `Action` for the
loop where the world has to change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from supervisor.cli.containers import Listing

#: Samples that a sparkline remembers.
HISTORY = 60
#: Lines that a pane remembers, and characters of a line.
LINES = 500
LINE_LENGTH = 1000


class Mode(Enum):
    """What keys mean."""

    LIST = "list"
    LOGS = "logs"
    FILTER = "filter"
    CONFIRM = "confirm"
    HELP = "help"


class Level(Enum):
    """How a line is meant."""

    PLAIN = "plain"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a pane; *at*: seconds since the epoch."""

    at: float
    text: str
    level: Level = Level.PLAIN


@dataclass(frozen=True, slots=True)
class Row:
    """One container. Histories: oldest first, at most `HISTORY`."""

    listing: Listing
    cpu: tuple[float, ...] = ()
    """Cores."""
    memory: tuple[int, ...] = ()
    """Bytes (`supervisor.stats.usage.Memory.working_set`)."""
    memory_limit: int | None = None
    pids: int | None = None
    received: float | None = None
    """Bytes per second."""
    sent: float | None = None
    restarts: int = 0

    @property
    def name(self) -> str:
        return self.listing.name

    @property
    def is_up(self) -> bool:
        return self.listing.phase.is_up


@dataclass(frozen=True, slots=True)
class Action:
    """What the loop has to do: 'start', 'stop', 'restart', 'shell' to *name*; 'quit'; 'redraw'."""

    verb: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything that is shown."""

    rows: tuple[Row, ...] = ()
    events: tuple[Line, ...] = ()
    logs: tuple[Line, ...] = ()
    selected: str = ""
    filter: str = ""
    mode: Mode = Mode.LIST
    back: int = 0
    """Lines of the logs below the window: 0 follows."""
    message: Line | None = None
    """What became of the last action."""
    events_note: str = ""
    """What an empty pane says."""
    logs_note: str = ""
    now: float = 0.0
    """Seconds since the epoch."""
    memory_total: int = 0

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows whose name has the filter in it."""
        return tuple(row for row in self.rows if self.filter in row.name)

    @property
    def row(self) -> Row | None:
        """The selected container."""
        return next((row for row in self.shown if row.name == self.selected), None)


_ACTIONS = {"s": "start", "r": "restart", "e": "shell"}
_MODES = {"/": Mode.FILTER, "?": Mode.HELP, "l": Mode.LOGS, "enter": Mode.LOGS, "t": Mode.CONFIRM}
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10, "home": -(10**6), "end": 10**6}


def press(screen: Screen, key: str) -> tuple[Screen, Action | None]:
    """What *key* (see `supervisor.cli.monitor_keys`) does."""
    if key in ("interrupt", "redraw"):
        return screen, Action("quit" if key == "interrupt" else key)
    if screen.mode is Mode.LIST:
        return _list(screen, key)
    if screen.mode is Mode.CONFIRM:
        stop = Action("stop", screen.selected) if key == "y" and screen.row else None
        return replace(screen, mode=Mode.LIST), stop
    if screen.mode is Mode.HELP:
        return replace(screen, mode=Mode.LIST), None
    return (_filter if screen.mode is Mode.FILTER else _logs)(screen, key), None


def _list(screen: Screen, key: str) -> tuple[Screen, Action | None]:
    if key == "q":
        return screen, Action("quit")
    if key in _ACTIONS and screen.row:
        return replace(screen, message=None), Action(_ACTIONS[key], screen.selected)
    if key in _STEPS:
        screen = _move(screen, _STEPS[key])
    elif key in _MODES and (screen.row or key in "/?"):
        screen = replace(screen, mode=_MODES[key], message=None, back=0)
    elif key == "escape":
        screen = select(replace(screen, filter="", message=None))
    return screen, None


def _logs(screen: Screen, key: str) -> Screen:
    if key in ("q", "l", "escape", "enter"):
        return replace(screen, mode=Mode.LIST, back=0)
    back = screen.back - _STEPS.get(key, 0)
    return replace(screen, back=max(0, min(back, len(screen.logs) - 1)))


def _filter(screen: Screen, key: str) -> Screen:
    if key == "enter":
        return replace(screen, mode=Mode.LIST)
    if key == "escape":
        return select(replace(screen, mode=Mode.LIST, filter=""))
    if key == "backspace":
        return select(replace(screen, filter=screen.filter[:-1]))
    return select(replace(screen, filter=screen.filter + key)) if len(key) == 1 else screen


def _move(screen: Screen, step: int) -> Screen:
    names = [row.name for row in screen.shown]
    if screen.selected not in names:
        return select(screen)
    at = max(0, min(len(names) - 1, names.index(screen.selected) + step))
    return select(replace(screen, selected=names[at]))


def select(screen: Screen) -> Screen:
    """*screen* with a container selected that is shown, if any is: the same, or the next by name.

    A question, or logs that fill the screen, are of one container: when that is gone, the list comes back.
    """
    names = [row.name for row in screen.shown]
    if screen.selected in names:
        return screen
    if screen.mode in (Mode.CONFIRM, Mode.LOGS):
        gone = Line(screen.now, f"{screen.selected} is gone", Level.WARNING)
        screen = replace(screen, mode=Mode.LIST, back=0, message=gone)
    if not names:
        return screen
    return replace(screen, selected=next((name for name in names if name >= screen.selected), names[-1]))


def more(lines: tuple[Line, ...], new: tuple[Line, ...]) -> tuple[Line, ...]:
    """*lines* with *new* ones behind, as many as are remembered."""
    return (*lines, *new)[-LINES:]


def plain(text: str) -> str:
    """*text* as one line that cannot drive a terminal: whatever is not printable, direction marks among it, is written
    as an escape; tabs are blanks; cut at `LINE_LENGTH`."""
    cut = text[:LINE_LENGTH].replace("\t", "    ")
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)
    return cut if len(text) <= LINE_LENGTH else cut + "…"
