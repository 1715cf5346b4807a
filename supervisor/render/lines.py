"""Values that end up on one line of a plan or a unit file: what they may hold, and how systemd wants them written."""

from __future__ import annotations

from supervisor.errors import UserError


def one_line(value: str, what: str) -> str:
    """Return *value* if it fits on a line; raise `UserError` naming *what* if it holds a control character.

    Neither format has an escape for a newline, so a value with one would add a setting of its own. Every character
    at which `str.splitlines` breaks counts, since that is how the plan is read.
    """
    for character in value:
        if ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u2029":
            raise UserError(f"{what} {value!r} holds the control character {character!r}; remove it")
        if 0xD800 <= ord(character) <= 0xDFFF:
            raise UserError(f"{what} {value!r} is not UTF-8 text; rename it")
    return value


def specifiers_escaped(value: str) -> str:
    """*value* with ``%`` doubled: systemd.unit(5) "Specifiers"."""
    return value.replace("%", "%%")


def quoted(value: str) -> str:
    """*value* as one word of a unit file's list: systemd.syntax(7) "Quoting", specifiers escaped."""
    escaped = specifiers_escaped(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if escaped != value or " " in value or "'" in value else value
