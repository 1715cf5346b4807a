"""What keys do to the monitor's screen, and how keys come out of bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.cli.containers import Details, Listing
from supervisor.cli.monitor_keys import keys
from supervisor.cli.monitor_state import (
    LINE_LENGTH,
    LINES,
    Action,
    Line,
    Mode,
    Row,
    Screen,
    more,
    plain,
    press,
    select,
)
from supervisor.lifecycle.phase import Phase

KEYS = [*"abcdejklqrsty/?", "up", "down", "page up", "page down", "home", "end", "enter", "escape", "backspace"]


def _screen(*names: str, selected: str = "", **members: object) -> Screen:
    rows = tuple(Row(Listing(name, Phase.RUNNING, 1.0, None, Details())) for name in names)
    return select(Screen(rows=rows, selected=selected, **members))  # type: ignore[arg-type]


def _type(screen: Screen, *typed: str) -> tuple[Screen, list[Action]]:
    actions = []
    for key in typed:
        screen, action = press(screen, key)
        actions += [action] if action else []
    return screen, actions


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[1;5C\x1b[6~x", ["page up", "page down", "x"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[", []),
        (b"\x03\r\x7f\x00", ["interrupt", "enter", "backspace"]),
        ("ä漢".encode(), ["ä", "漢"]),
        (b"\xff\x9bA", ["A"]),
    ],
)
def test_keys_of_bytes(data: bytes, names: list[str]) -> None:
    """A sequence nobody knows is no key, and neither are its bytes."""
    assert list(keys(data)) == names


@given(st.binary(max_size=50))
def test_any_bytes_are_some_keys(data: bytes) -> None:
    """Whatever is pasted; a name, or one character that can be shown."""
    assert all(key in {"interrupt", "redraw", *KEYS} or (len(key) == 1 and key.isprintable()) for key in keys(data))


def test_the_selection_moves_and_stays_in_the_list() -> None:
    """With arrows or as in vi."""
    screen = _screen("a", "b", "c")
    assert screen.selected == "a"
    for typed, name in ((["up"], "a"), (["j"], "b"), (["down", "j"], "c"), (["end"], "c"), (["end", "k"], "b")):
        assert _type(screen, *typed)[0].selected == name


def test_the_selection_survives_what_goes() -> None:
    """A removed container hands it to the next by name, the last one to the one before."""
    assert _screen("a", "c", selected="b").selected == "c"
    assert _screen("a", "b", selected="c").selected == "b"
    assert _screen(selected="b").selected == "b"


@pytest.mark.parametrize(("key", "verb"), [("s", "start"), ("r", "restart"), ("e", "shell")])
def test_keys_that_act(key: str, verb: str) -> None:
    """On the selected container; on none, there is nothing to do."""
    assert _type(_screen("a", "b"), "j", key)[1] == [Action(verb, "b")]
    assert _type(_screen(), key)[1] == []


def test_stop_asks_first() -> None:
    """Only yes is yes, as the question says."""
    screen, actions = _type(_screen("a"), "t")
    assert (screen.mode, actions) == (Mode.CONFIRM, [])
    assert _type(screen, "y")[1] == [Action("stop", "a")]
    for key in ("n", "t", "escape", "q", "enter"):
        after, actions = _type(screen, key)
        assert (after.mode, actions) == (Mode.LIST, [])


@pytest.mark.parametrize("key", ["t", "l"])
def test_what_was_asked_about_may_go(key: str) -> None:
    """Neither the question nor the logs pass on to another container: the list comes back, and says why."""
    screen, _ = _type(_screen("a", "b"), "j", key)
    after = select(replace(screen, rows=screen.rows[:1]))
    assert (after.mode, after.selected, after.back) == (Mode.LIST, "a", 0)
    assert after.message is not None and after.message.text == "b is gone"
    assert _type(after, "y")[1] == []
    assert select(replace(screen, rows=())).mode is Mode.LIST


def test_a_filter_is_typed() -> None:
    """Letters that are keys elsewhere; Enter keeps it, Escape takes it away."""
    screen = _screen("web", "db", "webhook")
    filtered, actions = _type(screen, "/", "w", "q", "backspace", "e", "enter")
    assert (filtered.mode, filtered.filter, actions) == (Mode.LIST, "we", [])
    assert [row.name for row in filtered.shown] == ["web", "webhook"]
    assert filtered.selected == "web"
    assert _type(filtered, "escape")[0].filter == ""


def test_nothing_is_done_to_what_the_filter_hides() -> None:
    """The selected name is still in mind, but nobody sees it."""
    screen, actions = _type(_screen("web"), "/", "x", "enter", "t", "s", "e")
    assert (screen.mode, actions) == (Mode.LIST, [])


def test_logs_are_scrolled_and_left() -> None:
    """Back from the end, never past the first line."""
    screen = _screen("a", logs=tuple(Line(1.0, str(n)) for n in range(20)))
    screen, _ = _type(screen, "l", "k", "k", "j")
    assert (screen.mode, screen.back) == (Mode.LOGS, 1)
    assert _type(screen, "home")[0].back == 19
    assert _type(screen, "end")[0].back == 0
    screen, actions = _type(screen, "q")
    assert (screen.mode, screen.back, actions) == (Mode.LIST, 0, [])


def test_ctrl_c_always_quits() -> None:
    """In every mode; 'q' where it is no letter of a filter."""
    for typed in ([], ["/"], ["t"], ["?"], ["l"]):
        assert _type(_screen("a"), *typed, "interrupt")[1] == [Action("quit")]
    assert _type(_screen("a"), "q")[1] == [Action("quit")]


#: What is there when the list is read anew.
_NAMES = st.lists(st.sampled_from("abc"), unique=True)


#: Mostly what leads to a stop.
_STEPS = st.sampled_from([*KEYS, "interrupt", "redraw"]) | st.just("t") | st.sampled_from(["y", "y", "enter"]) | _NAMES


@settings(max_examples=300)
@given(st.lists(_STEPS), _NAMES)
def test_no_keys_break_the_screen(steps: list[str | list[str]], names: list[str]) -> None:
    """Whatever is typed while containers come and go: what is selected is shown, if anything is, and only what was
    asked about is stopped, by a yes."""
    screen = _screen(*names, logs=(Line(1.0, "x"),) * 3)
    asked = ""
    for step in steps:
        if isinstance(step, list):
            screen = select(replace(screen, rows=_screen(*sorted(step)).rows))
            continue
        after, action = press(screen, step)
        if action and action.verb == "stop":
            assert (screen.mode, step, action.name) == (Mode.CONFIRM, "y", asked)
        assert after.rows == screen.rows
        assert after.row is not None or not after.shown
        assert 0 <= after.back < 3
        asked = after.selected if (screen.mode, after.mode) == (Mode.LIST, Mode.CONFIRM) else asked
        screen = after


@given(st.text(max_size=200))
def test_plain_text_cannot_drive_a_terminal(text: str) -> None:
    """No control character, no direction mark, no line break comes through."""
    assert plain(text).isprintable()


def test_what_is_remembered_is_limited() -> None:
    """Lines of a pane, characters of a line."""
    assert len(plain("x" * 10**7)) == LINE_LENGTH + 1
    assert len(more((Line(1.0, "a"),) * LINES, (Line(2.0, "b"),))) == LINES
    assert plain("a\tb\x1b[2J\u202e") == "a    b\\x1b[2J\\u202e"
