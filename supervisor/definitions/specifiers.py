"""What systemd would still change in a definition's values under podman: ``%`` specifiers and ``$`` variables. Pure.

Quadlet copies values of [Container] into ``ExecStart=podman run ...``, so systemd expands specifiers (systemd.unit(5))
and variables (systemd.service(5), "command lines") in them. Here no systemd sees them: what is known when definitions
are deployed is expanded now, and the rest is refused by name, because leaving it as it stands would change the meaning
silently. [Unit], [Service] and [Install] do reach a systemd, but in a unit of another name than podman's; so what
comes from the name is replaced there too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from supervisor.errors import UserError

#: Values of the system manager, which is the one that runs containers.
_STATIC = {
    "%": "%",
    "C": "/var/cache",
    "D": "/usr/share",
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
#: Letters whose value a caller takes from the host; each is the same after the next boot.
HOST = "ABHMWalmoqw"
_REFUSED = {
    **dict.fromkeys(HOST, "is known only on the running host; write the value itself"),
    **dict.fromkeys("bv", "is another one after the next boot, and definitions are read once; write the value itself"),
    **dict.fromkeys("iI", "is the instance of a template, and this file is none; write %N for the name"),
    "d": "is a directory of the service, and not there inside a container; write Secret= and /run/secrets",
    **dict.fromkeys("yYs", "has no meaning inside a container; write the path itself"),
}

_SPECIFIER = re.compile(r"%([%A-Za-z])")
_BRACED = re.compile(r"\$(?:(\$)|\{([^}]*)\})")
_ESCAPED = re.compile(rb"\\x((?!00)[0-9a-fA-F]{2})|(-)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def of_name(stem: str) -> dict[str, str]:
    """What the letters mean that come from a unit's name; *stem* is the name without ``.service``."""
    prefix, at, instance = stem.partition("@")
    last = prefix.rpartition("-")[2]
    found = {"N": stem, "p": prefix, "P": unescape(prefix), "j": last, "J": unescape(last)}
    found["f"] = f"/{unescape(instance or prefix)}"
    return found | ({"i": instance, "I": unescape(instance)} if at else {})


def unescape(text: str) -> str:
    """systemd-escape(1) ``--unescape``: '-' was a slash, ``\\xNN`` a byte. What is not UTF-8 then stays escaped."""
    data = _ESCAPED.sub(lambda match: b"/" if match[2] else bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))
    return data.decode("utf-8", "backslashreplace")


def expand(text: str, *, stem: str, unit: str, more: Mapping[str, str] | None = None) -> str:
    """*text*, one word, as podman would have received it.

    *stem* is the name of podman's unit without ``.service`` (``%N``), *unit* the name that the unit has here (``%n``),
    *more* what else is known, by letter. As in systemd, ``$$`` is a dollar sign, ``${NAME}`` anywhere and ``$NAME`` as
    a whole word are variables, any other ``$`` is literal, and ``%`` before anything that is no specifier is literal.
    Raises `UserError` for what cannot be known here.
    """
    if re.match(r"\$[^${]", text):
        raise UserError(_variable(text))
    if "%" in text:
        names = {**_STATIC, **of_name(stem), **(more or {}), "n": unit}

        def specifier(match: re.Match[str]) -> str:
            letter = match[1]
            if letter not in names and letter in _REFUSED:
                raise UserError(f"%{letter} {_REFUSED[letter]}, or %%{letter} for a literal one")
            return names.get(letter, match[0])

        text = _SPECIFIER.sub(specifier, text)
    return _BRACED.sub(_dollar, text)


def in_unit(text: str, stem: str) -> str:
    """*text* of [Unit], [Service] or [Install] for a unit that is not called *stem*: what comes from the name is
    replaced, for a unit of systemd to read; the rest is systemd's. ``%n`` stays: it is whatever the unit is called.
    Without an instance ``%i`` stays too, and is the container's name. Raises `UserError`."""
    if "%" not in text:
        return text
    names = {letter: value.replace("%", "%%") for letter, value in of_name(stem).items()}
    # Read from the left, two characters at a time: the second half of '%%' begins no specifier.
    text = _SPECIFIER.sub(lambda match: names.get(match[1], match[0]), text)
    if _CONTROL.search(text.replace("\t", " ")):
        raise UserError(f"the instance of '{stem}' has a control character, which no setting can hold; rename it")
    return text


def instance(text: str) -> str:
    """The letter of the first ``%i`` or ``%I`` in *text*; '' for none."""
    return next((match[1] for match in _SPECIFIER.finditer(text) if match[1] in "iI"), "")


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
