"""The monitor's screens: what is on them, and that nothing makes them wider or longer than the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.cli.containers import Details, Exit, Listing
from supervisor.cli.monitor_state import Level, Line, Mode, Row, Screen
from supervisor.cli.monitor_view import draw, memory_line, sparkline
from supervisor.lifecycle.phase import Phase

NOW = 1_700_000_000.0
MIB = 1 << 20

SIZES = [(80, 24), (200, 60), (131, 30), (132, 30), (40, 10), (20, 6)]


def _row(name: str, phase: Phase, *, health: str = "", exit: Exit | None = None, **members: object) -> Row:
    started = NOW - 300 if phase is Phase.RUNNING else None
    return Row(Listing(name, phase, started, exit, Details(), health), **members)  # type: ignore[arg-type]


SCREEN = Screen(
    rows=(
        _row("db", Phase.RUNNING, health="healthy", cpu=(0.0, 0.5, 1.0), memory=(50 * MIB, 60 * MIB), pids=7),
        _row("job", Phase.EXITED, exit=Exit("", "exit-code", "exited", 3, NOW - 60)),
        _row("web", Phase.RUNNING, health="unhealthy", cpu=(0.25,), memory=(10 * MIB,), restarts=12, received=1500.0),
    ),
    events=(Line(NOW, "web: unhealthy: connection refused", Level.WARNING),),
    logs=(Line(NOW - 1, "GET / 200"), Line(NOW, "GET / 500", Level.WARNING)),
    selected="web",
    now=NOW,
    memory_total=1024 * MIB,
)


def _text(screen: Screen, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in draw(screen, width, height)]


def test_a_screen_of_80_by_24() -> None:
    """Everything that a look is for: who, how, how much, what happened, what it says."""
    lines = _text(SCREEN)
    text = "\n".join(lines)
    assert lines[0].startswith(" ctr monitor   2 of 3 up, 1 in trouble   cpu 125%   mem 70MiB of 1GiB   ")
    (db,) = [line for line in lines if line.startswith("  db ")]
    assert "Up 5 minutes (healthy)" in db
    assert "100.0%" in db
    assert "60MiB" in db
    (web,) = [line for line in lines if line.startswith("▌ web ")]
    assert "Up 5 minutes (unhealthy)" in web
    assert web.rstrip().endswith("12")
    assert "Exited (3) about a minute" in text
    assert "web: unhealthy: connection refused" in text
    assert "── logs of web ──" in text
    assert "GET / 500" in text
    assert "q quit" in lines[-1]


def test_a_wide_screen_has_more() -> None:
    """Processes and network, and longer sparklines; events and logs stand beside each other."""
    lines = _text(SCREEN, 200, 60)
    assert any("PIDS" in line and "NET IN" in line for line in lines)
    assert any("1.5kB" in line for line in lines)
    assert any("events ──" in line and "logs of web ──" in line for line in lines)


def test_without_a_memory_controller_there_is_no_memory() -> None:
    """The processor's sparkline gets the room."""
    rows = tuple(replace(row, memory=()) for row in SCREEN.rows)
    assert "MEM" not in "\n".join(_text(replace(SCREEN, rows=rows)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", Mode)
def test_a_screen_fills_the_terminal_exactly(mode: Mode, size: tuple[int, int]) -> None:
    """Each line as wide as the terminal, and as many as it has."""
    lines = draw(replace(SCREEN, mode=mode), *size)
    assert [line.cell_len for line in lines] == [size[0]] * size[1]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (Mode.CONFIRM, "stop web? y: yes, any other key: no"),
        (Mode.FILTER, "filter:"),
        (Mode.HELP, "any key goes back"),
        (Mode.LOGS, "following"),
    ],
)
def test_the_last_line_says_what_keys_do_now(mode: Mode, words: str) -> None:
    """It is the only place that a person looks at for it."""
    assert words in _text(replace(SCREEN, mode=mode))[-1]


def test_a_message_goes_after_a_while() -> None:
    """The keys come back."""
    said = replace(SCREEN, message=Line(NOW, "web: stopped", Level.GOOD))
    assert _text(said)[-1].strip() == "web: stopped"
    assert "q quit" in _text(replace(said, now=NOW + 60))[-1]


def test_the_selected_row_is_always_there() -> None:
    """However many there are; also the first and the last."""
    rows = tuple(_row(f"c{number:04}", Phase.RUNNING) for number in range(1000))
    for name in ("c0000", "c0500", "c0999"):
        lines = _text(replace(SCREEN, rows=rows, selected=name))
        assert any(line.startswith(f"▌ {name}") for line in lines)


def test_the_marker_colours_nothing_but_itself() -> None:
    """A row's words keep the colours that mean something."""
    (line,) = [line for line in draw(SCREEN, 80, 24) if line.plain.startswith("▌")]
    assert not line.style
    assert "bold red" in [span.style for span in line.spans], "unhealthy"


def test_logs_scroll() -> None:
    """Back from the end, and the screen stays full at the beginning."""
    logs = tuple(Line(NOW, f"line {number}.") for number in range(100))
    screen = replace(SCREEN, mode=Mode.LOGS, logs=logs)
    assert "line 99." in _text(screen)[-2]
    assert "line 89." in _text(replace(screen, back=10))[-2]
    assert "line 0." in _text(replace(screen, back=99))[2]


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ((), "     "),
        ((0.0, 0.05, 0.1), "  ▁▄█"),
        ((1.0,) * 9, "█████"),
        ((9.0, 0.0, 1.0, 2.0, 3.0, 4.0), "▁▂▄▆█"),
    ],
)
def test_sparklines(values: tuple[float, ...], bars: str) -> None:
    """The newest at the right; what is small stays small; what is running is never blank."""
    assert sparkline(values, 5, 0.1) == bars


def test_memory_is_measured_against_its_limit() -> None:
    """Half of the limit is half a bar; without one, the most so far stands at three quarters."""
    row = _row("a", Phase.RUNNING, memory=(0, 50, 100))
    assert memory_line(replace(row, memory_limit=100), 3) == "▁▄█"
    assert memory_line(row, 3) == "▁▃▆"
    assert memory_line(replace(row, memory=(0, 0)), 3) == " ▁▁", "down for as long as is remembered"


HOSTILE = st.text(st.characters(), max_size=300) | st.just("漢" * 500) | st.just("e\u0301\u200d" * 100)


@settings(max_examples=60)
@given(HOSTILE, HOSTILE, st.sampled_from(SIZES), st.sampled_from(Mode))
def test_no_text_breaks_a_screen(log: str, event: str, size: tuple[int, int], mode: Mode) -> None:
    """Control characters, right-to-left marks, wide and combining characters, markup: each line keeps its width, and
    nothing in it can drive the terminal."""
    screen = replace(
        SCREEN, mode=mode, logs=(Line(NOW, log), Line(NOW, "[bold]x[/]")), events=(Line(NOW, event),), filter=log[:9]
    )
    lines = draw(screen, *size)
    assert [line.cell_len for line in lines] == [size[0]] * size[1]
    assert all(line.plain.isprintable() for line in lines)
