"""Which images a Containerfile starts from: text in, references out. Pure.

Reads just so much of containerfile(5) as that takes: comments, continued lines, here-documents, ARG before the first
FROM, FROM, ``COPY --from=`` and ``RUN --mount=from=``. The builder reads the rest, and judges all of it: what looks
wrong here is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[A-Za-z]+\s*=")
#: A word of its own: neither the shell's ``<<<word`` nor its ``1<<N``.
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?([\"']?)([A-Za-z_][A-Za-z0-9_.-]*)\1(?=\s|$)")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::([-+])([^}]*))?\})")
_MOUNT = re.compile(r"--mount=(\S+)")
#: containers-transports(5): what lies elsewhere is the builder's business.
_TRANSPORT = re.compile(r"[a-z-]+:(?://|/|\.)")


@dataclass(slots=True)
class _Stage:
    name: str
    base: str
    others: list[str] = field(default_factory=list)


def bases(text: str, arguments: Mapping[str, str], target: str = "") -> tuple[str, ...]:
    """The references, as written but with variables replaced, that building *target* (else the last stage) starts
    from or copies from; each once, in the order of the file."""
    stages = _stages(text, arguments)
    wanted = _reached(stages, target)
    found: dict[str, None] = {}
    for number, stage in enumerate(stages):
        for name in (stage.base, *stage.others) if number in wanted else ():
            earlier = stages[:number]
            if _number(name, earlier) is None and _is_reference(name):
                found[name] = None
    return tuple(found)


def _is_reference(name: str) -> bool:
    return name not in ("", "scratch") and not name.isdigit() and "@" not in name and not _TRANSPORT.match(name)


def _stages(text: str, arguments: Mapping[str, str]) -> list[_Stage]:
    stages: list[_Stage] = []
    known: dict[str, str] = {}
    for word, rest in _instructions(text):
        if word == "ARG" and not stages:
            for argument in rest.split():
                name, _, value = argument.partition("=")
                known[name] = arguments.get(name, _replaced(value.strip("\"'"), known))
        elif word == "FROM":
            words = [part for part in rest.split() if not part.startswith("--")]
            name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
            stages.append(_Stage(name.lower(), _replaced(words[0], known) if words else ""))
        elif stages and word in ("COPY", "ADD"):
            options = (part for part in rest.split() if part.startswith("--from="))
            stages[-1].others += [_replaced(option.removeprefix("--from="), known) for option in options]
        elif stages and word == "RUN":
            for mount in _MOUNT.findall(rest):
                parts = (part for part in mount.split(",") if part.startswith("from="))
                stages[-1].others += [_replaced(part.removeprefix("from="), known) for part in parts]
    return stages


def _reached(stages: list[_Stage], target: str) -> set[int]:
    """The stages that are built: *target*, or the last one, and what they need."""
    if not stages:
        return set()
    first = _number(target, stages) if target else None
    todo = [len(stages) - 1 if first is None else first]
    wanted: set[int] = set()
    while todo:
        number = todo.pop()
        if number in wanted:
            continue
        wanted.add(number)
        for name in (stages[number].base, *stages[number].others):
            if (other := _number(name, stages[:number])) is not None:
                todo.append(other)
    return wanted


def _number(name: str, stages: list[_Stage]) -> int | None:
    """Which of *stages* is called *name*."""
    for number, stage in reversed(list(enumerate(stages))):
        if name.lower() == stage.name and name:
            return number
    return int(name) if name.isascii() and name.isdigit() and int(name) < len(stages) else None


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Name in upper case and the rest of each instruction, without the text of its here-documents."""
    lines = iter(text.splitlines())
    escape = "\\"
    directives = True
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#"):
            if directives and (match := _ESCAPE.match(stripped)):
                escape = match[1]
            directives = directives and bool(_DIRECTIVE.match(stripped))
            continue
        directives = False
        while stripped.endswith(escape):
            more = next(lines, "").strip()
            # A comment in the middle of a continued line does not end it.
            stripped = stripped if more.startswith("#") else f"{stripped[:-1].rstrip()} {more}"
        word, rest = (*stripped.split(None, 1), "", "")[:2]
        if word.upper() in ("RUN", "COPY", "ADD"):
            for _, end in _HEREDOC.findall(rest):
                while (inside := next(lines, None)) is not None and inside.strip() != end:
                    pass
        if word:
            yield word.upper(), rest.strip()


def _replaced(text: str, known: Mapping[str, str]) -> str:
    """*text* with ``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}`` replaced."""

    def value(match: re.Match[str]) -> str:
        name, kind, word = match[1] or match[2], match[3], match[4] or ""
        present = known.get(name, "")
        if kind == "+":
            return word if present else ""
        return present or (word if kind == "-" else "")

    return _VARIABLE.sub(value, text.strip("\"'"))
