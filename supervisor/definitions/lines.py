"""Reading the keys of one section by the rules of the coverage table: which line counts, how it splits, where it fails.

Pure. Knows the shape of values (one, one each line, words), never their meaning: that is in the function each caller
gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from supervisor.definitions import coverage, specifiers
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.definitions.words import split_words, unquoted
from supervisor.errors import UserError

T = TypeVar("T")

#: Keys that are set once and are words of a command line, where an empty word is one.
_ARGUMENTS = frozenset({"Exec", "ReloadCmd"})


class Lines:
    """The assignments of *section*. What the table refuses or does not know is reported here, once, and then gone.

    *stem* is what ``%N`` is (`kinds.unit_stem`), *unit* what ``%n`` is.
    """

    def __init__(self, file: UnitFile, section: str, findings: Findings, *, stem: str, unit: str) -> None:
        self._section = section
        self._findings = findings
        self._stem = stem
        self._unit = unit
        self._more = file.specifiers
        self.begin = file.begin(section)
        self._lines: dict[str, list[Assignment]] = {}
        for assignment in file.of(section):
            self._take(assignment)

    def _take(self, at: Assignment) -> None:
        key = coverage.find(self._section, at.key)
        if key is None:
            self._findings.refuse(at, coverage.explain(self._section, at.key))
        elif key.state is coverage.State.REFUSED:
            self._findings.refuse(at, key.reason)
        elif key.state is coverage.State.NO_EFFECT:
            self._findings.warn(at, f"has no effect: {key.reason}")
        elif not at.value or (not key.repeatable and _is_empty(at)):
            self._lines.pop(at.key, None)  # systemd.syntax(7): an empty assignment resets what came before
        elif key.repeatable:
            self._lines.setdefault(at.key, []).append(at)
        else:
            for earlier in self._lines.get(at.key, ()):
                if earlier.path != at.path:
                    continue  # what drop-ins are for
                self._findings.warn(earlier, f"has no effect: {at.where} sets it again; remove one of the two")
            self._lines[at.key] = [at]

    def of(self, key: str) -> tuple[Assignment, ...]:
        """The lines that count for *key*."""
        return tuple(self._lines.get(key, ()))

    def one(self, key: str, convert: Callable[[str], T]) -> T | None:
        """The value of a key that is set once, or None."""
        found = self.each(key, convert)
        return found[-1][1] if found else None

    def get(self, key: str, convert: Callable[[str], T], default: T) -> T:
        """As `one`, with *default* for a key that is not there."""
        value = self.one(key, convert)
        return default if value is None else value

    def each(self, key: str, convert: Callable[[str], T]) -> tuple[tuple[Assignment, T], ...]:
        """One value for each line, whole."""
        found: list[tuple[Assignment, T]] = []
        for at in self.of(key):
            self._add(found, at, unquoted(at.value), convert)
        return tuple(found)

    def words(self, key: str, convert: Callable[[str], T], *, unescape: bool) -> tuple[tuple[Assignment, T], ...]:
        """One value for each word of each line."""
        found: list[tuple[Assignment, T]] = []
        for at in self.of(key):
            try:
                words = split_words(at.value, unescape=unescape)
            except UserError as error:
                self._findings.refuse(at, error)
                continue
            for word in words:
                self._add(found, at, word, convert)
        return tuple(found)

    def _add(self, found: list[tuple[Assignment, T]], at: Assignment, word: str, convert: Callable[[str], T]) -> None:
        try:
            text = specifiers.expand(word, stem=self._stem, unit=self._unit, more=self._more)
            found.append((at, convert(text)))
        except UserError as error:
            self._findings.refuse(at, error)


def _is_empty(at: Assignment) -> bool:
    """Whether a key that is set once is not set by *at*: podman passes nothing on for ``HostName=""``. What an option
    says is said, empty or not (``PodmanArgs=--entrypoint=``)."""
    return not at.argument and at.key not in _ARGUMENTS and not unquoted(at.value)
