"""The one coverage table: every key of Quadlet and every attribute of Compose, with what becomes of it.

It drives the parser, and whoever lists keys for people (``ctrctl check``, the man page, the tests) reads it here. The
rows are data in `quadlet_keys` and `compose_keys`; this module only looks them up.
"""

from __future__ import annotations

import difflib

from supervisor.definitions import resources, section_keys
from supervisor.definitions.compose_keys import COMPOSE
from supervisor.definitions.key import Key, State, done, no_effect, refused
from supervisor.definitions.quadlet_keys import ANY, QUADLET
from supervisor.errors import UserError

__all__ = ["ANY", "QUADLET", "TABLE", "Key", "State", "explain", "find", "keys", "lookup"]

TABLE: tuple[Key, ...] = QUADLET + COMPOSE

_INDEX = {(key.section, key.name): key for key in TABLE}

#: Sections in which the keys of section `ANY` may stand.
_OWN_SECTIONS = frozenset({"Container", "Pod", "Network", "Volume", "Image", "Build", "Kube"})


def find(section: str, name: str) -> Key | None:
    """The row for *name* in *section* ('Container', 'Install', 'compose service', ...), or None for an unknown key."""
    return _INDEX.get((section, name)) or (_INDEX.get((ANY, name)) if section in _OWN_SECTIONS else None)


def keys(section: str) -> tuple[Key, ...]:
    """Every row that applies to *section*, those of all sections last."""
    own = tuple(key for key in TABLE if key.section == section)
    return own + tuple(key for key in TABLE if key.section == ANY and section in _OWN_SECTIONS)


def explain(section: str, name: str) -> str:
    """Why *name*, which is no key of *section*, is refused: a message that names the nearest key where there is one."""
    for other in ("Unit", "Service"):
        if other != section and section in section_keys.KNOWN and name in section_keys.KNOWN[other]:
            return f"belongs into [{other}], and systemd would ignore it here; move the line there"
    known = [key.name for key in keys(section)] or [*section_keys.KNOWN.get(section, ())]
    return f"no such key in [{section}]; {nearest(name, known)}"


def lookup(text: str) -> tuple[Key, ...]:
    """The rows that a person means by *text*: ``Memory``, ``memory=``, ``Pod.Volume``; also of [Unit] and [Service].

    Raises `UserError` that names the nearest key.
    """
    section, dot, name = text.strip().removesuffix("=").rpartition(".")
    wanted = (section.strip("[]").lower(), name.lower())
    found = tuple(
        key
        for key in (*TABLE, *_systemd())
        if key.name.lower() == wanted[1] and (not dot or key.section.lower() in (wanted[0], ANY))
    )
    if not found:
        raise UserError(f"{text}: no such key; {nearest(name, [key.name for key in (*TABLE, *_systemd())])}")
    return found


def _systemd() -> tuple[Key, ...]:
    """What systemd's own sections may hold."""
    own = "goes through to the unit as it is"
    idle = section_keys.UNIT_NO_EFFECT
    unit = [done("Unit", name, f"systemd.unit(5); {own}") for name in sorted(section_keys.UNIT) if name not in idle]
    unit += [no_effect("Unit", name, "systemd.unit(5)", f"in a container, {why}") for name, why in idle.items()]
    unit += [refused("Unit", name, "systemd.unit(5)", why) for name, why in sorted(section_keys.UNIT_REFUSED.items())]
    service = [done("Service", name, f"systemd.service(5); {own}") for name in sorted(section_keys.SERVICE)]
    limits = "systemd.resource-control(5); set on ctr-NAME.scope, where the processes are"
    service += [done("Service", name, limits) for name in sorted(resources.KEYS)]
    service += [refused("Service", name, "", why) for name, why in sorted(section_keys.SERVICE_REFUSED.items())]
    return (*unit, *service)


def is_systemd(section: str, name: str) -> bool:
    """Whether *name* is a key of systemd in *section*, [Unit] or [Service]."""
    return name in section_keys.KNOWN.get(section, ())


def nearest(word: str, known: list[str]) -> str:
    """What to do about the misspelt *word*: 'did you mean X?' or a plain request to correct it."""
    # Compared in lower case: `image=` is the commonest way to misspell Image=.
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:80], folded, n=1, cutoff=0.7)
    return f"did you mean {folded[close[0]]}?" if close else "correct it or remove the line"
