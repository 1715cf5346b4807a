"""What systemd would still change in a [Container] value under podman: ``%`` specifiers and ``$`` variables. Pure.

Quadlet copies such values into ``ExecStart=podman run ...``, so systemd expands specifiers (systemd.unit(5)) and
variables (systemd.service(5), "command lines") in them. Here no systemd sees them. What is the same on every host is
expanded now; what is not is refused by name, because leaving it as it stands would change the meaning silently.
"""

from __future__ import annotations

import re

from supervisor.errors import UserError

#: Values of the system manager, which is the one that runs containers.
_STATIC = {
    "%": "%",
    "C": "/var/cache",
    "E": "/etc",
    "G": "0",
    "L": "/var/log",
    "S": "/var/lib",
    "T": "/tmp",
    "U": "0",
    "V": "/var/tmp",
    "g": "root",
    "h": "/root",
    "t": "/run",
    "u": "root",
}
_HOST = "is known only on the running host; write the value itself"
_REFUSED = {
    **dict.fromkeys("aAbBHlmMoqvwW", _HOST),
    **dict.fromkeys("iI", "is the instance of a template, and templates are not supported yet; write %N for the name"),
    **dict.fromkeys("jJP", "is a part of the unit's name; write the text itself"),
    **dict.fromkeys("fyYDds", "has no meaning inside a container; write the path itself"),
}

_SPECIFIER = re.compile(r"%([%A-Za-z])")
_BRACED = re.compile(r"\$(?:(\$)|\{([^}]*)\})")


def expand(text: str, *, stem: str, unit: str) -> str:
    """*text*, one word, as podman would have received it.

    *stem* is the definition's file name without suffix (``%N``, ``%p``), *unit* the unit's full name (``%n``). As in
    systemd, ``$$`` is a dollar sign, ``${NAME}`` anywhere and ``$NAME`` as a whole word are variables, any other
    ``$`` is literal, and ``%`` before anything that is no specifier is literal. Raises `UserError` for what cannot be
    known here.
    """
    names = {**_STATIC, "N": stem, "p": stem, "n": unit}

    def specifier(match: re.Match[str]) -> str:
        letter = match[1]
        if letter in _REFUSED:
            raise UserError(f"%{letter} {_REFUSED[letter]}, or %%{letter} for a literal one")
        return names.get(letter, match[0])

    if re.match(r"\$[^${]", text):
        raise UserError(_variable(text))
    return _BRACED.sub(_dollar, _SPECIFIER.sub(specifier, text))


def _dollar(match: re.Match[str]) -> str:
    if match[1]:
        return "$"
    raise UserError(_variable(match[0]))


def _variable(text: str) -> str:
    text = text if len(text) <= 40 else text[:39] + "…"
    return (
        f"{text} would be replaced by systemd, from variables it has and ctr has not; "
        f"write the value itself, or ${text} to pass {text} on to the container"
    )
