"""The parser reads systemd.syntax(7), and reports every mistake of a file with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.unitfile import MAX_LINE, Assignment, UnitFile, parse


def messages(text: str | bytes) -> list[str]:
    return [str(problem) for problem in parse("a.container", text).problems]


def pairs(text: str | bytes) -> list[tuple[str, str, int]]:
    return [(a.key, a.value, a.line) for a in parse("a.container", text).assignments]


def test_sections_and_assignments_keep_their_lines() -> None:
    """A value knows its section and its line; whitespace around '=' does not count."""
    file = parse("a.container", "# one\n\n[Unit]\nAfter = x y \n; two\n[Container]\nImage=\tx=y\n")
    assert file.assignments == (Assignment("Unit", "After", "x y", 4), Assignment("Container", "Image", "x=y", 7))
    assert [(section.name, section.line) for section in file.sections] == [("Unit", 3), ("Container", 6)]
    assert file.problems == ()


def test_a_section_that_appears_twice_is_one_section() -> None:
    """systemd.syntax(7): repeated sections are merged."""
    file = parse("a.container", "[Unit]\nA=1\n[Service]\nB=2\n[Unit]\nA=3\n")
    assert [a.value for a in file.of("Unit")] == ["1", "3"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[C]\nA=1 \\\n2\n", "1 2"),
        ("[C]\nA=1\\\n    2\n", "12"),
        ("[C]\nA=1 \\\n# comment\n; comment\n2\n", "1 2"),
        ("[C]\nA=1 \\\n  # comment \\\n2\n", "1 2"),
        ("[C]\nA=1 \\\n\n  2=3\n", "1 2=3"),
        ("[C]\nA=1 \\ \t\n2\n", "1 2"),
        ("[C]\nA=1\\", "1"),
        ("[C]\nA=1 \\\n\n", "1"),
        ("[C]\nA=1\\\\\n", "1\\\\"),
        ("[C]\r\nA=1 \\\r\n2\r\n", "1 2"),
        ("\ufeff[C]\nA=1", "1"),
        ("[C]\nA=", ""),
        ("[C]\n  A=1 # 2", "1 # 2"),
    ],
)
def test_continuation_and_comments(text: str, value: str) -> None:
    """A backslash at the end of a line joins the next, as podman does it; comments and blank lines in between drop."""
    assert pairs(text)[0] == ("A", value, 2)
    assert messages(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[C]\nno value\n", "a.container:2: 'no value' has no '='; write Key=value, or begin the line with '#'"),
        ("[C]\n=x\n", "a.container:2: '=x' has no key before '='; write Key=value"),
        ("[C]\n" + "x" * 101 + "=1", f"a.container:2: '{'x' * 59}…' is longer than any key; write Key=value"),
        ("A=1\n", "a.container:1: 'A=' stands before any section; write [Container] above it"),
        ("[C\n", "a.container:1: '[C' is not a section; write [Name]"),
        ("[]\n", "a.container:1: '[]' is not a section; write [Name]"),
        (
            "[C]\nA=1 \\\n\nB=2\n",
            "a.container:2: ends in a backslash, which would join line 4 to it; remove the backslash",
        ),
        (
            "[C]\nA=\0\n",
            "a.container:2: the line holds the control character U+0000; remove it, or write it as an escape",
        ),
        (b"[C]\nA=\xff\n", "a.container:2: the line is not valid UTF-8; save the file as UTF-8"),
        ("[C]\nA=\ud800\n", "a.container:2: the line is not valid UTF-8; save the file as UTF-8"),
        (
            f"[C]\nA={'x' * MAX_LINE}\n",
            f"a.container:2: the line has {MAX_LINE + 2} characters; {MAX_LINE} are the limit (systemd.syntax(7))",
        ),
        (
            "[C]\nA=" + "x\\\n" * MAX_LINE + "x\n",
            f"a.container:2: the line has {MAX_LINE + 3} characters; {MAX_LINE} are the limit (systemd.syntax(7))",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str | bytes, message: str) -> None:
    """Each kind of broken line has its own message, that says what to do."""
    assert messages(text) == [message]


def test_all_mistakes_of_a_file_are_reported_and_the_rest_is_read() -> None:
    """One mistake hides no other, nor what is right."""
    file = parse("a.container", b"x\n[C]\nA=1\ny\nB=\xfe\nC=2\n[\n")
    assert [problem.line for problem in file.problems] == [1, 4, 5, 7]
    assert [a.key for a in file.assignments] == ["A", "C"]


def check(file: UnitFile, lines: int) -> None:
    assert all(1 <= problem.line <= lines for problem in file.problems)
    assert all(1 <= a.line <= lines and a.section and a.key for a in file.assignments)
    assert all("\n" not in a.key + a.value and "\r" not in a.key + a.value for a in file.assignments)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    """Whatever the bytes, each problem has a line, and no value holds a line end that could forge another setting."""
    check(parse("a.container", data), data.count(b"\n") + data.count(b"\r") + 1)


@given(st.lists(st.sampled_from(["[", "C", "]", "=", "\\", "\n", "\r", " ", "\t", "#", ";", "\0", "é"]), max_size=40))
def test_any_arrangement_of_syntax_is_read_without_an_exception(pieces: list[str]) -> None:
    """The same, for text made of nothing but the characters that mean something."""
    text = "".join(pieces)
    check(parse("a.container", text), text.count("\n") + text.count("\r") + 1)
