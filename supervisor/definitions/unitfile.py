"""The file format of systemd.syntax(7), which Quadlet files share: sections, assignments and their line numbers. Pure.

It knows no key and no section by name; what a value means is decided by the compilers. Every mistake becomes a
`Problem` and reading goes on, so that one run shows all mistakes of a file.

Lines go on as podman's own parser (pkg/systemd/parser) joins them, because the files are written for it: the backslash
goes, nothing takes its place (systemd puts a space there), whitespace may follow it, and comments and blank lines in
between are passed over. In one thing it follows systemd: a backslash behind another one is that one's escape, and joins
nothing; podman would join there too, and no value that anybody means ends so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from supervisor.errors import Problem

#: systemd.syntax(7): "The limit on line length is very large (currently 1 MB)"; continued lines count together.
MAX_LINE = 1024 * 1024

#: Longer than any key of systemd or Quadlet; what is longer is text that lost its key, and would flood a message.
MAX_KEY = 100

_LINE_END = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BEGINS = re.compile(r"\[|[A-Z][A-Za-z0-9]*[ \t]*=")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One ``key=value``. *line* is where it begins, from 1."""

    section: str
    key: str
    value: str
    line: int
    argument: str = ""
    """The option that says so, where the line itself is a ``PodmanArgs=`` or ``GlobalArgs=``."""
    path: str = ""
    """The drop-in or template it was read from; empty for the definition's own file."""

    @property
    def where(self) -> str:
        """The line, for a message about another line of the same definition."""
        return f"{self.path}:{self.line}" if self.path else f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Section:
    """A section header; a section that appears twice is listed twice, and its assignments belong together."""

    name: str
    line: int
    path: str = ""
    """As of an `Assignment`."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """What could be read of one file, and what could not."""

    path: str
    sections: tuple[Section, ...]
    assignments: tuple[Assignment, ...]
    problems: tuple[Problem, ...]
    specifiers: Mapping[str, str] = field(default_factory=dict)
    """What ``%`` letters stand for beside those that follow from the file's name: facts of the host."""

    def of(self, section: str) -> tuple[Assignment, ...]:
        """The assignments of *section*, in file order."""
        return tuple(a for a in self.assignments if a.section == section)

    def begin(self, section: str) -> Section:
        """Where *section* begins, for what concerns it as a whole; the file's first line when it does not."""
        return next((one for one in self.sections if one.name == section), Section(section, 1))


@dataclass(frozen=True, slots=True)
class _Line:
    """A logical line: what is left after comments are dropped and continuations joined."""

    number: int
    text: str
    complaint: str = ""


def parse(path: str, text: str | bytes) -> UnitFile:
    """Read *text*, the content of the file *path*. Never raises, whatever the bytes."""
    sections: list[Section] = []
    assignments: list[Assignment] = []
    problems: list[Problem] = []
    # surrogateescape keeps what is not UTF-8 visible, so that the line it stands in can be named.
    decoded = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    for line in _logical_lines(decoded.removeprefix("\ufeff")):
        problem = line.complaint or _unreadable(line.text)
        if problem:
            problems.append(Problem(path, line.number, "", problem))
        elif line.text.startswith("["):
            section = _section(line)
            if section is None:
                problems.append(Problem(path, line.number, "", f"'{_short(line.text)}' is not a section; write [Name]"))
            else:
                sections.append(section)
        else:
            found = _assignment(line, sections[-1].name if sections else "")
            if isinstance(found, str):
                problems.append(Problem(path, line.number, "", found))
            else:
                assignments.append(found)
    return UnitFile(path, tuple(sections), tuple(assignments), tuple(problems))


def _logical_lines(text: str) -> Iterator[_Line]:
    pieces: list[str] = []
    start = 0
    blank = False
    for number, raw in enumerate(_LINE_END.split(text), start=1):
        # Only blanks and tabs: str.strip() would also take away characters that the value is made of.
        line = raw.strip(" \t")
        if not line or line[0] in "#;":
            blank = blank or not line
            continue
        if pieces and blank and _BEGINS.match(line):
            yield _Line(start, "", f"ends in a backslash, which would join line {number} to it; remove the backslash")
            pieces = []
        if not pieces:
            start, blank = number, False
        if _continues(line):
            pieces.append(line[:-1])
            continue
        yield _Line(start, "".join([*pieces, line]))
        pieces = []
    if joined := "".join(pieces).strip(" \t"):
        yield _Line(start, joined)


def _continues(line: str) -> bool:
    # An even number of backslashes is so many escaped ones.
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unreadable(text: str) -> str:
    """Why *text* cannot be taken as it is, or the empty string."""
    if len(text) > MAX_LINE:
        return f"the line has {len(text)} characters; {MAX_LINE} are the limit (systemd.syntax(7))"
    if control := _CONTROL.search(text):
        return f"the line holds the control character U+{ord(control[0]):04X}; remove it, or write it as an escape"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "the line is not valid UTF-8; save the file as UTF-8"
    return ""


def _section(line: _Line) -> Section | None:
    name = line.text[1:-1]
    if not line.text.endswith("]") or not name or "[" in name or "]" in name:
        return None
    return Section(name, line.number)


def _assignment(line: _Line, section: str) -> Assignment | str:
    """The assignment in *line*, or what is wrong with it."""
    key, equals, value = line.text.partition("=")
    key = key.rstrip(" \t")
    if not equals:
        return f"'{_short(line.text)}' has no '='; write Key=value, or begin the line with '#'"
    if not key:
        return f"'{_short(line.text)}' has no key before '='; write Key=value"
    if len(key) > MAX_KEY:
        return f"'{_short(key)}' is longer than any key; write Key=value"
    if not section:
        return f"'{_short(key)}=' stands before any section; write [Container] above it"
    return Assignment(section, key, value.strip(" \t"), line.number)


def _short(text: str) -> str:
    text = text if len(text) <= 60 else text[:59] + "…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
