"""Text on a terminal: tables, colours and words that must not drive the terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.console import Console, printable
from supervisor.errors import UserError
from supervisor.paths import Layout


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _console(out: io.StringIO, environ: dict[str, str] | None = None) -> Console:
    return Console(io.StringIO(), out, io.StringIO(), environ or {}, Layout("/nowhere"))


def test_table_aligns_and_leaves_no_trailing_blanks() -> None:
    """Columns are as wide as their widest cell; lines end where their text ends."""
    out = io.StringIO()
    _console(out).table(("NAME", "STATUS"), [("web", ("green", "Up")), ("database", "")])
    assert out.getvalue() == "NAME       STATUS\nweb        Up\ndatabase\n"


@pytest.mark.parametrize(
    ("stream", "environ", "colored"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colours_only_where_wanted(stream: type[io.StringIO], environ: dict[str, str], colored: bool) -> None:
    """Colours need a terminal that is not dumb and no NO_COLOR."""
    assert ("\x1b" in _console(stream(), environ).color("red", "x")) is colored


def test_colours_do_not_disturb_columns() -> None:
    """A coloured cell takes the room of its text."""
    plain, bright = io.StringIO(), Terminal()
    for out in (plain, bright):
        _console(out).table(("A", "B"), [(("red", "x"), "y")])
    assert bright.getvalue().replace("\x1b[31m", "").replace("\x1b[0m", "") == plain.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b]0;t\x07", "\\x1b]0;t\\x07"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\x9b1m", "\\x9b1m"),
        ("gpj.\u202eexe\u2066", "gpj.\\u202eexe\\u2066"),
        ("\U000e0041\udc9b", "\\U000e0041\\x9b"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    """An image or a command cannot send escape sequences through our tables."""
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=60))
def test_what_is_printed_is_printable(text: str) -> None:
    """Whatever the words are; what is printable already stays as it is, so doing it twice is no harm."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert not text.isprintable() or printable(text) == text


def test_words_of_others_do_not_drive_the_terminal() -> None:
    """An archive names its members, an index its images: errors, warnings and progress show that as it is. Our own
    colour stays, and so do our line breaks."""
    err = Terminal()
    console = Console(io.StringIO(), io.StringIO(), err, {}, Layout("/nowhere"))
    console.error("tar: \x1b]0;owned\x07: no")
    console.warn("\x9b2J")
    console.note("layer \u202e\r\nnext")
    assert err.getvalue() == (
        "\x1b[31mctrctl:\x1b[0m tar: \\x1b]0;owned\\x07: no\n"
        "\x1b[33mctrctl: warning:\x1b[0m \\x9b2J\n"
        "layer \\u202e\\x0d\nnext\n"
    )


def test_bytes_keep_their_order_with_text() -> None:
    """Raw output comes after the text printed before it, unchanged."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    console = Console(io.StringIO(), out, io.StringIO(), {}, Layout("/nowhere"))
    console.line("first")
    console.bytes(b"\xff\x00")
    assert raw.getvalue() == b"first\n\xff\x00"


def test_root_is_asked_for_on_the_real_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below another root anybody may try; on the host only root may write."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    _console(io.StringIO()).need_root("rm")
    with pytest.raises(UserError, match=r"^rm: needs root"):
        Console(io.StringIO(), io.StringIO(), io.StringIO(), {}, Layout()).need_root("rm")
