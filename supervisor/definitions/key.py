"""One row of the coverage table: a key that Quadlet or Compose knows, and what becomes of it here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """What happens to a key that someone writes."""

    DONE = "done"
    REFUSED = "refused"
    """An error that names the reason and what to use instead."""
    NO_EFFECT = "accepted, no effect here"
    """A warning that says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """*name* in *section*. *reason* says why a key is refused or without effect, and what to write instead."""

    section: str
    name: str
    state: State
    meaning: str
    """One line, for the man page and ``ctrctl check``."""
    reason: str = ""
    repeatable: bool = False
    """Whether several lines of one key add up; otherwise the last one wins."""


def done(section: str, name: str, meaning: str, *, repeatable: bool = False) -> Key:
    return Key(section, name, State.DONE, meaning, repeatable=repeatable)


def refused(section: str, name: str, meaning: str, reason: str, *, repeatable: bool = False) -> Key:
    return Key(section, name, State.REFUSED, meaning, reason, repeatable)


def no_effect(section: str, name: str, meaning: str, reason: str) -> Key:
    return Key(section, name, State.NO_EFFECT, meaning, reason, repeatable=True)
