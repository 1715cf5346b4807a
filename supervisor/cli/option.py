"""An option's text into a value, so that every complaint begins with the option. Pure.

The readers themselves are `supervisor.definitions`': a command line and a ``.container`` file understand the same
words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from supervisor.definitions import values
from supervisor.errors import UserError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


@contextmanager
def named(option: str) -> Iterator[None]:
    """A `UserError` from inside names *option*."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{option}: {error}") from error


def read(option: str, reader: Callable[[str], T], text: str) -> T:
    """*text*, as *reader* understands it. Raises `UserError` that names *option*."""
    with named(option):
        return reader(text)


def one(option: str, reader: Callable[[str], T], text: str | None) -> T | None:
    """None where the option was not given."""
    return None if text is None else read(option, reader, text)


def default(option: str, reader: Callable[[str], T], text: str | None, otherwise: T) -> T:
    """*otherwise* where the option was not given."""
    return otherwise if text is None else read(option, reader, text)


def each(option: str, reader: Callable[[str], T], texts: Iterable[str] | None) -> tuple[T, ...]:
    """Of an option that may be given several times."""
    return tuple(read(option, reader, text) for text in texts or ())


def word(option: str, kind: type[E], text: str | None, otherwise: E) -> E:
    """The member of *kind* whose value was written."""
    if text is None:
        return otherwise
    for member in kind:
        if member.value == text:
            return member
    raise UserError(f"{option}: {values.short(text)} is unknown; use {', '.join(str(m.value) for m in kind)}")
