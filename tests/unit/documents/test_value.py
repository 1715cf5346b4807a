"""Typed access says what is wrong where, and takes no word of YAML for something that its writer did not mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.documents.load import load
from supervisor.documents.value import Members
from supervisor.errors import UserError


def members(text: str, known: str = "a b c") -> Members:
    return load("/x.yaml", text).members(known)


@pytest.mark.parametrize(
    ("word", "text"),
    [("x", "x"), ("'on'", "on"), ("0", "0"), ("17", "17"), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"), ("''", "")],
)
def test_texts(word: str, text: str) -> None:
    """In quotes or not; a number is one when it is written as everybody writes it."""
    assert members(f"a: {word}")["a"].text() == text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("on", "is not a text: on is a truth value in YAML; put it in quotes"),
        ("No", "is not a text: No is a truth value in YAML; put it in quotes"),
        ("true", "is not a text: true is a truth value in YAML; put it in quotes"),
        ("0x10", "is not a text: 0x10 is a number in YAML; put it in quotes"),
        ("007", "is not a text: 007 is a number in YAML; put it in quotes"),
        ("1.10", "is not a text: 1.10 is a number in YAML; put it in quotes"),
        ("[x]", "is not a text"),
        ('"\\0"', "holds the character 0"),
        ("~", "is missing"),
    ],
)
def test_no_texts(word: str, message: str) -> None:
    """What YAML 1.1 makes of them is told, with the line."""
    with pytest.raises(UserError) as raised:
        members(f"b: 1\na: {word}")["a"].text()
    assert str(raised.value) in (f"/x.yaml:2: a: {message}", "/x.yaml:1: a: is missing")


def test_numbers() -> None:
    """A leading zero is for those who ask for it."""
    for word, number in (("0", 0), ("7", 7), ("007", 7), ("0o17", 15), ("0x1f", 31), ("4294967295", 4294967295)):
        assert members(f"a: {word}").number("a") == number
    assert members("a: 0660").number("a", octal=True) == 0o660
    with pytest.raises(UserError, match=r"^/x.yaml:1: a: is octal in YAML: 044 is 36; write 36, or 44$"):
        members("a: 044").number("a")
    for word in ("-1", "4294967296", "on", "1.0", "'1'", "1_000", "1:30", "[]"):
        with pytest.raises(UserError, match=r"^/x.yaml:1: a: is not a number from 0 to 4294967295$"):
            members(f"a: {word}").number("a")


WRONG: tuple[tuple[Callable[[], object], str], ...] = (
    (lambda: nested().texts("c"), "/x.yaml:4: a[1].c[1]: is not a text: on is"),
    (lambda: nested()["b"], "/x.yaml:4: a[1].b: is missing"),
    (lambda: nested()["c"].members(""), "/x.yaml:4: a[1].c: is not an object"),
    (lambda: nested().text("c", ""), "/x.yaml:4: a[1].c: is not a text"),
    (lambda: members("a: 1").items("a"), "/x.yaml:1: a: is not a list"),
    (lambda: members("a: 1\nd: ~"), "/x.yaml:2: d: is not known"),
    (lambda: members("- a"), "/x.yaml:1: the document: is not an object"),
    (lambda: members(""), "/x.yaml:1: the document: is not an object"),
    (lambda: load("/x.json", '{"a": 0}').members("a").text("a", ""), "/x.json: a: is not a text"),
)


@pytest.mark.parametrize(("act", "message"), WRONG)
def test_places(act: Callable[[], object], message: str) -> None:
    """Of what is nested, missing, unknown or of another kind."""
    with pytest.raises(UserError) as raised:
        act()
    assert str(raised.value).startswith(message)


def test_what_is_missing() -> None:
    """Has a value where one is given."""
    found = nested()
    assert (found.items("b"), found.text("b", "x"), found.number("b"), found.get("b")) == ((), "x", None, None)


def nested() -> Members:
    return members("a:\n- b: 1\n-\n  c: [x, on]\n  b: ~\n").items("a")[1].members("b c")
