"""Draws a `Screen` as lines of rich text. Pure: state in, exactly as many lines as the terminal has out.

Lines are put together here rather than by rich's tables and layouts: a frame costs a tenth, and nothing of what a
container wrote is ever read as markup.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.text import Text

from supervisor.cli.monitor_state import HISTORY, Level, Line, Mode, Row, Screen, plain
from supervisor.cli.ps import status
from supervisor.cli.stats import binary, decimal
from supervisor.lifecycle.phase import Phase

BARS = " ▁▂▃▄▅▆▇█"
_WIDE = 132
_MESSAGE_SECONDS = 8.0
_UNKNOWN = "-"
_DIM, _RULE = "bright_black", "blue"

_PHASES = {
    Phase.RUNNING: "green",
    Phase.PAUSED: "cyan",
    Phase.STARTING: "yellow",
    Phase.RESTARTING: "yellow",
    Phase.STOPPING: "yellow",
    Phase.FAILED: "bold red",
    Phase.EXITED: _DIM,
    Phase.CREATED: _DIM,
}
_LEVELS = {Level.PLAIN: "", Level.GOOD: "green", Level.WARNING: "yellow", Level.BAD: "red"}

_KEYS = (
    *(("s", "start"), ("t", "stop"), ("r", "restart"), ("e", "shell"), ("l", "logs"), ("/", "filter")),
    *(("?", "help"), ("q", "quit")),
)
_HELP = (
    ("up, down, k, j", "select a container; also Page Up, Home and so on"),
    ("s", "start it"),
    ("t", "stop it; what depends on it is left alone"),
    ("r", "restart it, or start it"),
    ("e", "a shell in it (ctrctl exec -it NAME sh); back when it ends"),
    ("l, Enter", "its logs on all of the screen; l goes back"),
    ("/", "show only names with a text in them; Escape shows all again"),
    ("Ctrl-L", "draw the screen anew"),
    ("q, Ctrl-C", "quit"),
)


def draw(screen: Screen, width: int, height: int) -> list[Text]:
    """*height* lines of *width* cells."""
    if screen.mode is Mode.HELP:
        body = _help(width, height - 2)
    elif screen.mode is Mode.LOGS:
        body = _pane(f"logs of {screen.selected}", _logs(screen, width, height - 3), width, height - 2)
    else:
        body = _panes(screen, width, height - 2)
    lines = [_header(screen), *body, _footer(screen)]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis", pad=True)
    return lines[:height]


def _panes(screen: Screen, width: int, height: int) -> list[Text]:
    """The list above, events and logs below: beside each other where there is room."""
    wide = width >= _WIDE
    lower = max(4, height * 2 // 5) if wide else max(6, height // 2)
    # The list needs a line for each container and its headers; the panes get what it leaves.
    upper = max(3, min(height - lower, len(screen.shown) + 2))
    lower = height - upper
    listed = _pane(_title(screen), _list(screen, width, upper - 1), width, upper)
    if wide:
        left = (width - 1) * 2 // 5
        right = width - 1 - left
        events = _pane("events", _events(screen, left, lower - 1), left, lower)
        logs = _pane(f"logs of {screen.selected}", _logs(screen, right, lower - 1), right, lower)
        return listed + [Text.assemble(one, " ", other) for one, other in zip(events, logs, strict=True)]
    few = min(max(2, lower * 2 // 5), max(2, len(screen.events) + 1)) if lower >= 4 else 0
    events = _pane("events", _events(screen, width, few - 1), width, few) if few else []
    rest = lower - few
    return listed + events + _pane(f"logs of {screen.selected}", _logs(screen, width, rest - 1), width, rest)


def _pane(title: str, lines: Sequence[Text], width: int, height: int) -> list[Text]:
    """A rule with *title* in it, and *lines* below it, all cut and filled to *width*."""
    rule = Text.assemble(("── ", _RULE), (title, "bold"), (" " + "─" * width, _RULE))
    drawn = [rule, *lines, *(Text() for _ in range(height))][: max(0, height)]
    for line in drawn:
        line.truncate(width, overflow="crop" if line is rule else "ellipsis", pad=True)
    return drawn


def _header(screen: Screen) -> Text:
    up = sum(row.is_up for row in screen.rows)
    bad = sum(_is_bad(row) for row in screen.rows)
    text = Text.assemble((" ctr monitor ", "bold reverse"), f"  {up} of {len(screen.rows)} up")
    if bad:
        text.append(f", {bad} in trouble", "bold red")
    cpu = sum(row.cpu[-1] for row in screen.rows if row.cpu)
    memory = sum(row.memory[-1] for row in screen.rows if row.memory)
    text.append(f"   cpu {cpu:.0%}", "cyan")
    if memory:
        text.append(f"   mem {binary(memory)} of {binary(screen.memory_total)}", "magenta")
    text.append(time.strftime("   %H:%M:%S", time.localtime(screen.now)), _DIM)
    return text


def _is_bad(row: Row) -> bool:
    """Whether a person should look at it."""
    listing = row.listing
    return listing.phase in (Phase.FAILED, Phase.RESTARTING) or listing.health == "unhealthy"


def _footer(screen: Screen) -> Text:
    if screen.mode is Mode.CONFIRM:
        return Text(f" stop {screen.selected}? y: yes, any other key: no", "bold yellow")
    if screen.mode is Mode.FILTER:
        return Text.assemble(" filter: ", (plain(screen.filter), "bold"), ("▏", "blink"), ("  Enter keeps it", _DIM))
    if screen.mode is Mode.HELP:
        return Text(" any key goes back", _DIM)
    if screen.mode is Mode.LOGS:
        more = f"  {screen.back} lines further down" if screen.back else "  following"
        return Text.assemble((" l", "bold"), (" back  ", _DIM), ("up, down", "bold"), (" scroll", _DIM), (more, _DIM))
    if screen.message and screen.now - screen.message.at < _MESSAGE_SECONDS:
        return Text(f" {plain(screen.message.text)}", _LEVELS[screen.message.level])
    return Text(" ") + Text("  ").join(Text.assemble((key, "bold"), (f" {word}", _DIM)) for key, word in _KEYS)


def _title(screen: Screen) -> str:
    return f"containers with '{plain(screen.filter)}' in their names" if screen.filter else "containers"


Column = tuple[str, int, Callable[[Row], Text]]
"""Header, width in cells, and the cell of a row."""


def _list(screen: Screen, width: int, height: int) -> list[Text]:
    if not screen.shown:
        return [Text("   none", _DIM)]
    columns = _columns(screen, width)
    header = Text("  ") + Text("  ").join(_cell(Text(title, "bold"), size) for title, size, _ in columns)
    lines = [header]
    for row in _window(screen, height - 1):
        chosen = row.name == screen.selected
        line = Text.assemble(("▌ " if chosen else "  ", "bold blue"))
        line.append_text(Text("  ").join(_cell(draw_cell(row), size) for _, size, draw_cell in columns))
        if chosen:
            line.truncate(width, pad=True)
            line.stylize("on grey23")
        lines.append(line)
    return lines


def _columns(screen: Screen, width: int) -> list[Column]:
    """What fits: names and words first, then numbers, and sparklines take the rest."""
    longest = max((len(row.name) for row in screen.shown), default=0)
    names = max(8, min(longest, 14 if width < 100 else 32))
    # Without the memory controller nobody's is known.
    memory = any(row.memory for row in screen.rows)
    columns: list[Column] = [
        ("NAME", names, lambda row: Text(row.name, "bold")),
        ("STATUS", 40 - names if width < 100 else 37, lambda row: _status(row, screen.now)),
        ("   CPU", 6, lambda row: _right(f"{row.cpu[-1]:.1%}" if row.cpu and row.is_up else _UNKNOWN, 6)),
    ]
    if memory:
        columns.append(("    MEM", 7, _memory))
    columns.append(("RST", 3, lambda row: _right(str(row.restarts or _UNKNOWN), 3, "yellow" if row.restarts else _DIM)))
    if width >= _WIDE:
        columns.append((" PIDS", 5, lambda row: _right(_UNKNOWN if row.pids is None else str(row.pids), 5)))
        columns.append((" NET IN", 7, lambda row: _traffic(row.received)))
        columns.append(("OUT B/s", 7, lambda row: _traffic(row.sent)))
    left = width - 2 - sum(size + 2 for _, size, _ in columns)
    spark = min(HISTORY, left // (1 + memory) - 2 * memory)
    if spark >= 3:
        # Before the number, so that the newest bar stands beside it.
        columns.insert(2, ("", spark, lambda row: Text(sparkline(row.cpu, spark, 0.1), "cyan")))
        if memory:
            columns.insert(4, ("", spark, lambda row: Text(memory_line(row, spark), "magenta")))
    return columns


def _status(row: Row, now: float) -> Text:
    listing = row.listing
    style = _PHASES[listing.phase]
    if listing.health in ("starting", "unhealthy"):
        style = "yellow" if listing.health == "starting" else "bold red"
    if listing.phase is Phase.EXITED and listing.exit and listing.exit.number:
        style = "red"
    return Text(status(listing, now), style)


def _memory(row: Row) -> Text:
    return _right(binary(row.memory[-1]) if row.memory and row.is_up else _UNKNOWN, 7)


def _traffic(rate: float | None) -> Text:
    return _right(_UNKNOWN if rate is None else decimal(rate), 7)


def sparkline(values: Sequence[float], width: int, least: float) -> str:
    """The last *width* of *values*, right-aligned: bars from 0 to their maximum, or to *least* if that is more."""
    seen = values[-width:]
    top = max(least, *seen) if seen else least
    bars = "".join(BARS[max(1, min(8, round(value / top * 8)))] for value in seen)
    return f"{bars:>{width}}"


def memory_line(row: Row, width: int) -> str:
    """Memory is measured against its limit; without one, the most that is seen stands at three quarters."""
    top = row.memory_limit or max(1, *row.memory, 0) * 4 / 3
    return sparkline(row.memory, width, top)


def _window(screen: Screen, height: int) -> Sequence[Row]:
    """As many rows as fit, the selected one among them."""
    rows = screen.shown
    at = next((at for at, row in enumerate(rows) if row.name == screen.selected), 0)
    first = max(0, min(at - height // 2, len(rows) - height))
    return rows[first : first + max(0, height)]


def _events(screen: Screen, width: int, height: int) -> list[Text]:
    if not screen.events:
        return [Text(f"   {screen.events_note}", _DIM)]
    return [_stamped(line, width) for line in screen.events[len(screen.events) - max(0, height) :]] if height else []


def _logs(screen: Screen, width: int, height: int) -> list[Text]:
    if not screen.logs:
        return [Text(f"   {screen.logs_note}", _DIM)]
    end = max(min(height, len(screen.logs)), len(screen.logs) - screen.back)
    return [_stamped(line, width) for line in screen.logs[max(0, end - max(0, height)) : end]]


def _stamped(line: Line, width: int) -> Text:
    stamp = time.strftime("%H:%M:%S", time.localtime(line.at))
    # Cut before rich looks at it: a line may be long, and its characters wide.
    return Text.assemble((f"   {stamp} ", _DIM), (plain(line.text[: width * 2]), _LEVELS[line.level]))


def _help(width: int, height: int) -> list[Text]:
    lines = [Text()]
    lines += [Text.assemble((f"   {keys:<16}", "bold"), meaning) for keys, meaning in _HELP]
    lines += [Text(), Text("   CPU: percent of one core. MEM: without the page cache that is dropped first.", _DIM)]
    lines += [Text("   RST: restarts by systemd itself since somebody last started it.", _DIM)]
    return _pane("keys", lines, width, height)


def _cell(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _right(text: str, width: int, style: str = "") -> Text:
    return Text(f"{text:>{width}}", _DIM if text == _UNKNOWN else style)
