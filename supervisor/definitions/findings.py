"""What a compiler has to say about one file, gathered while it goes on. Pure.

Mutable on purpose, and used inside one compilation only: every part of a compiler adds to it, none looks back.
"""

from __future__ import annotations

from supervisor.definitions.unitfile import Assignment, Section
from supervisor.errors import Problem

#: Characters of a message; a longer one quotes a value that is longer than anybody means.
_LONGEST = 700


class Findings:
    """Problems and warnings of the file *path*."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def refuse(self, at: Assignment, message: object) -> None:
        """*at* is a mistake: nothing will be deployed."""
        self._problems.append(_problem(self.path, at, message))

    def warn(self, at: Assignment, message: object) -> None:
        """*at* does not do what its author may expect."""
        self._warnings.append(_problem(self.path, at, message))

    def refuse_file(self, line: int, message: str, path: str = "") -> None:
        """A mistake that belongs to no key; *path* is that of a drop-in."""
        self._problems.append(Problem(path or self.path, line, "", _fit(message)))

    def refuse_section(self, section: Section, message: object) -> None:
        """A mistake of *section* as a whole, or of a file that has none."""
        self.refuse_file(section.line, str(message), section.path)

    def warn_file(self, message: str) -> None:
        self._warnings.append(Problem(self.path, 0, "", _fit(message)))

    def add(self, problems: tuple[Problem, ...]) -> None:
        """Take over what the parser found."""
        self._problems.extend(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In file order, those of drop-ins last."""
        return tuple(sorted(self._problems, key=self._order))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._warnings, key=self._order))

    def _order(self, problem: Problem) -> tuple[bool, str, int]:
        return (problem.file != self.path, problem.file, problem.line)


def _problem(path: str, at: Assignment, message: object) -> Problem:
    """An argument is named as its author wrote it, not by the key that it became."""
    if not at.argument:
        return Problem(at.path or path, at.line, at.key, _fit(str(message)))
    key = "GlobalArgs" if at.key == "GlobalArgs" else "PodmanArgs"
    return Problem(at.path or path, at.line, key, _fit(f"{at.argument}: {message}"))


def _fit(message: str) -> str:
    """*message* fit for a terminal, whatever value it quotes; what to do stands at its end."""
    if not message.isprintable():
        message = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 200]} … {message[-200:]}"
