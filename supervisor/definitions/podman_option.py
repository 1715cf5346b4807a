"""One option of podman's command line, and what becomes of it here. Pure; the tables are `podman_run` and its like."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from supervisor.definitions.key import State
from supervisor.errors import UserError


class Takes(Enum):
    """What stands behind an option's name."""

    FLAG = "flag"
    """Nothing, or ``=true`` or ``=false``."""
    VALUE = "value"
    LIST = "list"
    """Values separated by commas, as CSV quotes them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The option says what ``key=value`` says; the section is the option's, unless another is named."""

    key: str
    value: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """The option says what no key can: a member of `podman_args.Extras`."""

    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing happens, and *reason* is why nothing has to."""

    reason: str


Effect = Setting | Member | Ignored

#: From a value to what it means. Raises `UserError` for one that cannot be.
Meaning = Callable[[str], tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Option:
    """*names*: the long one first, then short and older ones."""

    names: tuple[str, ...]
    takes: Takes
    state: State
    says: str
    """DONE: where the same is said without the option (``Volume=``); else the reason."""
    meaning: Meaning | None = None
    """None exactly when it is refused."""
    default: str = "true"
    """FLAG: what the option alone means."""

    @property
    def name(self) -> str:
        return self.names[0]

    def values(self, text: str) -> tuple[str, ...]:
        """The single values in *text*."""
        if self.takes is not Takes.LIST:
            return (text,)
        try:
            return tuple(next(csv.reader([text], strict=True), ()))
        except csv.Error as error:
            raise UserError(f"not values separated by commas: {error}") from error


def key(names: str, name: str, takes: Takes = Takes.VALUE, section: str = "") -> Option:
    """An option with a key *name* whose values are the same."""
    return does(names, f"{name}=", lambda text: (Setting(name, text, section),), takes)


def does(names: str, says: str, meaning: Meaning, takes: Takes = Takes.VALUE) -> Option:
    """An option whose values are translated."""
    return Option(tuple(names.split()), takes, State.DONE, says, meaning)


def nothing(names: str, reason: str, takes: Takes = Takes.VALUE) -> Option:
    """An option without effect here."""
    return Option(tuple(names.split()), takes, State.NO_EFFECT, reason, lambda _: (Ignored(reason),))


def refused(names: str, reason: str, takes: Takes = Takes.VALUE) -> Option:
    """An option that is a mistake here; *reason* says what to write instead."""
    return Option(tuple(names.split()), takes, State.REFUSED, reason)


def named(table: tuple[Option, ...]) -> dict[str, Option]:
    """By each of its names."""
    return {name: option for option in table for name in option.names}
