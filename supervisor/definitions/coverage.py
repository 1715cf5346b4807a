"""The one coverage table: every key of Quadlet and every attribute of Compose, with what becomes of it.

It drives the parser, and whoever lists keys for people (``ctrctl check``, the man page, the tests) reads it here. The
rows are data in `quadlet_keys` and `compose_keys`; this module only looks them up.
"""

from __future__ import annotations

import difflib

from supervisor.definitions.compose_keys import COMPOSE
from supervisor.definitions.key import Key, State
from supervisor.definitions.quadlet_keys import ANY, QUADLET

__all__ = ["ANY", "TABLE", "Key", "State", "explain", "find", "keys"]

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
    """Why *name*, which `find` does not know, is refused: a message that names the nearest key where there is one."""
    known = [key.name for key in keys(section)]
    return f"no such key in [{section}]; {nearest(name, known)}"


def nearest(word: str, known: list[str]) -> str:
    """What to do about the misspelt *word*: 'did you mean X?' or a plain request to correct it."""
    # Compared in lower case: `image=` is the commonest way to misspell Image=.
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:80], folded, n=1, cutoff=0.7)
    return f"did you mean {folded[close[0]]}?" if close else "correct it or remove the line"
