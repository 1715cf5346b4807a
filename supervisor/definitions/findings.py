"""What a compiler has to say about one file, gathered while it goes on. Pure.

Mutable on purpose, and used inside one compilation only: every part of a compiler adds to it, none looks back.
"""

from __future__ import annotations

from supervisor.definitions.unitfile import Assignment
from supervisor.errors import Problem


class Findings:
    """Problems and warnings of the file *path*."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def refuse(self, at: Assignment, message: object) -> None:
        """*at* is a mistake: nothing will be deployed."""
        self._problems.append(Problem(self.path, at.line, at.key, str(message)))

    def warn(self, at: Assignment, message: object) -> None:
        """*at* does not do what its author may expect."""
        self._warnings.append(Problem(self.path, at.line, at.key, str(message)))

    def refuse_file(self, line: int, message: str) -> None:
        """A mistake that belongs to no key; *line* is 0 for the file as a whole."""
        self._problems.append(Problem(self.path, line, "", message))

    def warn_file(self, message: str) -> None:
        self._warnings.append(Problem(self.path, 0, "", message))

    def add(self, problems: tuple[Problem, ...]) -> None:
        """Take over what the parser found."""
        self._problems.extend(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In file order."""
        return tuple(sorted(self._problems, key=lambda problem: problem.line))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._warnings, key=lambda problem: problem.line))
