"""Words split as systemd splits them, and quoting undoes splitting."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.words import quote, split_words
from supervisor.errors import UserError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  ", ()),
        ("a  b\tc", ("a", "b", "c")),
        ("'a b' \"c d\"", ("a b", "c d")),
        ("a'b 'c", ("ab c",)),
        ("' a' \"\t\"", (" a", "\t")),
        ("'' \"\"", ("", "")),
        (r"\x41\101\u00e9\U0001F600", ("AAé😀",)),
        (r"\xc3\xa9", ("é",)),
        (r"a\sb\tc\n", ("a b\tc\n",)),
        (r"\"x\' '\'' \\", ("\"x'", "'", "\\")),
        ("\"it's\" '\"'", ("it's", '"')),
        ("a\u00a0b", ("a\u00a0b",)),
    ],
)
def test_split(text: str, words: tuple[str, ...]) -> None:
    """Quotes join, escapes are replaced, only blank, tab and line end separate."""
    assert split_words(text) == words


def test_split_without_escapes_keeps_backslashes() -> None:
    """In plain lists (capabilities, devices) a backslash is an ordinary character, as in systemd."""
    assert split_words(r"a\x20b 'c\ d' \ ", unescape=False) == (r"a\x20b", r"c\ d", "\\")


@pytest.mark.parametrize(
    "text",
    [
        "'",
        '"a',
        "'a\\'",
        "\\",
        "a\\",
        r"\q",
        r"\x0",
        r"\x00",
        r"\400",
        r"\000",
        r"\uD800",
        r"\U00110000",
        r"\xff",
        r"\u12",
    ],
)
def test_what_cannot_be_split_is_refused(text: str) -> None:
    """Unbalanced quotes and unknown escapes are errors: systemd would log them and guess."""
    with pytest.raises(UserError):
        split_words(text)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_quoted_words_split_into_themselves(words: list[str]) -> None:
    """Any words at all survive being quoted and split."""
    assert split_words(" ".join(map(quote, words))) == tuple(words)


@given(st.text(), st.booleans())
def test_split_raises_nothing_else(text: str, unescape: bool) -> None:
    """Any text is split or refused with `UserError`; no word holds NUL unless the text did."""
    with contextlib.suppress(UserError):
        words = split_words(text, unescape=unescape)
        assert "\0" in text or not any("\0" in word for word in words)
