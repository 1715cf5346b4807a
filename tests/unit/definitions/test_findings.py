"""What is said about a definition is fit for a terminal, whatever the definition holds."""

from __future__ import annotations

import pytest

from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import Assignment, parse

AT = Assignment("Container", "Key", "value", 3)


def said(message: str) -> str:
    findings = Findings("/etc/ctr/a.container")
    findings.refuse(AT, message)
    findings.warn(AT, message)
    (problem,), (warning,) = findings.problems, findings.warnings
    assert problem == warning
    return problem.message


def test_a_message_of_usual_length_stays_as_it_is() -> None:
    """Letters of every script are printed."""
    assert said("'é' is no port; write 80") == "'é' is no port; write 80"


def test_a_long_value_does_not_flood_the_terminal() -> None:
    """The middle is left out, because what to do stands at the end."""
    message = said(f"'{'x' * 100_000}' is no port; write one like 80")
    assert len(message) < 1000
    assert message.startswith("'xxx") and message.endswith("xxx' is no port; write one like 80")


@pytest.mark.parametrize("char", ["\n", "\x1b", "\x9b", "\u2028", "\ud800"])
def test_no_character_controls_the_terminal(char: str) -> None:
    """Neither escape sequences, of seven bits or eight, nor what cannot be encoded at all."""
    assert said(f"a{char}b").isprintable()


def test_neither_does_a_line_that_is_no_assignment() -> None:
    """The parser's own messages."""
    assert all(str(problem).isprintable() for problem in parse("x", "[C]\na\tb\nc\u2028d\n\x9b=1\n").problems)
