"""The ways podman writes which users of the host a container's users are (podman-run(1), ``--uidmap``, ``--userns``).
Pure.

For root the host's numbers are meant as they are, so '@' (a number of the parent namespace) changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from supervisor.definitions.values import short
from supervisor.errors import UserError
from supervisor.spec.userns import IdRange

#: user_namespaces(7): what the kernel takes at most, and the number that stands for none.
_MOST = 340
_END = 2**32 - 1

_FORM = "write CONTAINER:HOST:LENGTH, say 0:100000:65536"


def ranges(texts: Iterable[str], kind: str) -> tuple[IdRange, ...]:
    """The mapping that *texts* describe, in ascending order of the container's numbers, neighbours joined.

    *kind* is 'u' for users, 'g' for groups: a text with only the other's flag says nothing about it. '+' replaces what
    earlier ones say about the same numbers. Raises `UserError`.
    """
    found: list[IdRange] = []
    for text in texts:
        for triple in _triples(text):
            flags, mapped = _triple(triple, text)
            if kind not in (flags & {"u", "g"} or {kind}) or not mapped.length:
                continue
            if "+" in flags:
                found = [part for one in found for part in _without(one, mapped)]
            found.append(mapped)
    return checked(found)


def checked(found: Iterable[IdRange]) -> tuple[IdRange, ...]:
    """*found* in order, neighbours joined. Raises `UserError` when two of them map the same number, or to the same."""
    result: list[IdRange] = []
    for one in sorted(found, key=lambda r: r.container):
        last = result[-1] if result else IdRange(0, 0, 0)
        if one.container < last.container + last.length:
            raise UserError(f"number {one.container} in the container is mapped twice; correct one of the two")
        if result and (last.container + last.length, last.host + last.length) == (one.container, one.host):
            result[-1] = IdRange(last.container, last.host, last.length + one.length)
        else:
            result.append(one)
    by_host = sorted(result, key=lambda r: r.host)
    for before, after in pairwise(by_host):
        if after.host < before.host + before.length:
            raise UserError(f"number {after.host} of the host is mapped twice; correct one of the two")
    if len(result) > _MOST:
        raise UserError(f"has {len(result)} ranges, and the kernel takes {_MOST}; join some")
    return tuple(result)


def number(text: str) -> int:
    """A user's or group's number. Raises `UserError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _END):
        raise UserError(f"{short(text)} is not a number from 0 to {_END - 1}")
    return int(text)


def _triples(text: str) -> list[tuple[str, str, str]]:
    parts = text.split(":")
    if len(parts) == 2:
        parts.append("1")
    if len(parts) % 3:
        raise UserError(f"{short(text)} is not a mapping; {_FORM}")
    return [(parts[at], parts[at + 1], parts[at + 2]) for at in range(0, len(parts), 3)]


def _triple(triple: tuple[str, str, str], text: str) -> tuple[frozenset[str], IdRange]:
    """Flags and range; a length of 0 maps nothing, as with podman."""
    inside = triple[0].lstrip("+ug")
    flags = triple[0][: len(triple[0]) - len(inside)]
    if len(set(flags)) < len(flags):
        raise UserError(f"{short(text)}: has a flag twice; {_FORM}")
    try:
        first, host, length = number(inside), number(triple[1].removeprefix("@")), number(triple[2])
    except UserError as error:
        raise UserError(f"{short(text)}: {error}; {_FORM}") from error
    if first + length > _END or host + length > _END:
        raise UserError(f"{short(text)}: goes beyond {_END - 1}, the last number there is; make it shorter")
    return frozenset(flags), IdRange(first, host, length)


def _without(one: IdRange, taken: IdRange) -> list[IdRange]:
    """What is left of *one* when the numbers of *taken*, inside and outside, are not its any more."""
    cuts = sorted((start, start + taken.length) for start in (taken.container - one.container, taken.host - one.host))
    left, at = [], 0
    for first, end in (*cuts, (one.length, one.length)):
        start = min(max(first, 0), one.length)
        if start > at:
            left.append(IdRange(one.container + at, one.host + at, start - at))
        at = max(at, min(end, one.length))
    return left
