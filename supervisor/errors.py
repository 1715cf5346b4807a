"""The error tree, split by who must act: the user, a retry, or us.

Messages are lower case: object first, then cause, then what to do, as in
``web.container:14: PublishPort=: '80:x' is not a port; use HOST:CONTAINER``.
This module knows no exit codes; `supervisor.cli` maps errors to them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class CtrError(Exception):
    """Root of every error this project raises on purpose."""


class UserError(CtrError):
    """The caller's input or the host's set-up is wrong; trying again changes nothing."""

    asked: tuple[str, ...] = ()
    """As of a `Problem`."""

    def asked_by(self, keys: str, *words: str) -> Self:
        """The same, knowing which *keys* of a definition (one, or several with spaces between) ask for what cannot be,
        and *words* of their values. Whoever raised it knows best."""
        self.asked = self.asked or (keys, *words)
        return self


class NotFoundError(UserError):
    """A container, image or file that was named does not exist."""


class ConflictError(UserError):
    """What was asked for collides with something that exists."""


class Problem:
    """One mistake in a definition: where it is and what to do about it.

    A plain class, not a dataclass: `errors` is imported by the launcher, where every import counts.
    """

    __slots__ = ("asked", "file", "key", "line", "message")

    def __init__(self, file: str, line: int, key: str, message: str, asked: tuple[str, ...] = ()) -> None:
        """*asked*: while *line* is unknown, the keys that may be to blame, in one string, and words of their values."""
        self.file = file
        self.line = line
        self.key = key
        self.message = message
        self.asked = asked

    @classmethod
    def of(cls, file: str, error: UserError, message: str = "") -> Problem:
        """What *error*, or what it was made of, says about *file*, by default in its own words."""
        cause: BaseException | None = error
        while cause and not getattr(cause, "asked", ()):
            cause = cause.__cause__
        return cls(file, 0, "", message or str(error), getattr(cause, "asked", ()))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}=: {self.message}" if self.key else f"{where}: {self.message}"

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class DefinitionError(UserError):
    """One or more definitions are invalid; carries every problem found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class RetryError(CtrError):
    """The host was busy or in transition (a daemon-reexec, a name still in use); trying again may work."""


class HostError(CtrError):
    """systemd, the kernel or a program we call refused; the message carries its own words."""


class UnreachableError(HostError):
    """A registry does not answer, or asks to come later; trying again may work."""


class InternalError(CtrError):
    """A defect of ours: a state that the code rules out."""
