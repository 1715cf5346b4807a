"""NAME=VALUE words, as labels and annotations have them. Pure."""

from __future__ import annotations

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.errors import UserError


def labels(lines: Lines, key: str, findings: Findings) -> tuple[tuple[str, str], ...]:
    """The pairs, the last one of a name. A word without '=' behind one with it is a value that someone forgot to
    quote."""
    found: list[tuple[str, str]] = []
    complete: set[str] = set()
    for at, word in lines.words(key, str, unescape=True):
        try:
            if "=" not in word and at.where in complete:
                raise UserError(
                    f"{values.short(word)} has no '='; quote the whole of what it belongs to: \"NAME=VALUE\""
                )
            found.append(values.label(word))
            complete.add(at.where)
        except UserError as error:
            findings.refuse(at, error)
    return tuple(dict(found).items())
