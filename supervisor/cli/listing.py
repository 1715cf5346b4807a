"""What ``ls`` of networks, volumes and secrets has in common: its options, filters, and three ways to print; and doing
something to each of several names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from supervisor.cli.console import Console, printable
from supervisor.errors import CtrError, UserError

_FAILED = 125

#: One thing as ``inspect`` prints it; it has at least a name.
Document = Mapping[str, Any]
Cell = str | tuple[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """How to print."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")


def configure_filters(parser: argparse.ArgumentParser, meaning: str) -> None:
    """``--filter``; *meaning*: its help."""
    parser.add_argument("-f", "--filter", action="append", default=[], metavar="KEY=VALUE", help=meaning)


def parse_filters(texts: Iterable[str], keys: Mapping[str, str]) -> dict[str, list[str]]:
    """``KEY=VALUE`` words by key. *keys*: each with an example. Raises `UserError` for a key that does not exist."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in keys or not equals or (key == "dangling" and value not in ("true", "false")):
            *some, last = keys.values()
            raise UserError(f"filter '{text}': use {', '.join(some)} or {last}")
        wanted.setdefault(key, []).append(value)
    return wanted


def matches(one: Document, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Whether *one* fits: any value of a key, every key; labels all have to be there. Other keys are members."""
    labels = {word for key, value in one["labels"].items() for word in (key, f"{key}={value}")}
    facts = {**one, "dangling": "false" if one["containers"] or one.get("pods") else "true"}
    return all(
        any(text in one["name"] for text in texts)
        if key == "name"
        else labels.issuperset(texts)
        if key == "label"
        else facts[key] in texts
        for key, texts in wanted.items()
    )


def show(
    found: Sequence[Document],
    args: argparse.Namespace,
    console: Console,
    header: tuple[str, ...],
    row: Callable[[Document], tuple[Cell, ...]],
) -> None:
    """Print *found* as *args* say."""
    if args.quiet:
        for one in found:
            console.line(one["name"])
    elif args.format == "json":
        console.json(found)
    else:
        console.table(header, map(row, found))


def each(names: Iterable[str], console: Console, action: Callable[[str], None]) -> int:
    """Do *action* to each name, once; 125 when it failed for one, which is said at once."""
    status = 0
    for name in dict.fromkeys(names):
        try:
            action(name)
        except CtrError as error:
            console.error(printable(str(error)))
            status = _FAILED
    return status
