"""``ctrctl apply --keep-going``: deploy what is valid, and leave the rest as it is deployed.

For ctr-apply.service, which nobody watches: a mistake in one file must neither keep the others from being deployed nor
take its own container away. What changes while it works is not missed either.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

from supervisor.cli.apply import Application, load_definitions
from supervisor.definitions.load import Loaded
from supervisor.errors import DefinitionError, Problem

#: How often it reads again what goes on changing; whoever writes for longer is told of by the next change.
_ROUNDS = 20

_FIELDS = ("containers", "networks", "volumes", "pods", "images", "builds")


def apply_valid(
    application: Application,
    loaded: Loaded,
    problems: tuple[Problem, ...],
    paths: Sequence[str],
    args: argparse.Namespace,
) -> int:
    """Until nothing changes any more. Returns the exit code; raises `DefinitionError` with every problem, once the rest
    is deployed."""
    seen = frozenset(_state(paths))
    for _ in range(_ROUNDS):
        code, found = _once(application, loaded, problems, paths, args)
        application.watch()
        # As late as can be: systemd starts nothing for what changes while this runs.
        now = frozenset(_state(paths))
        if now == seen:
            break
        seen = now
        loaded, problems = load_definitions(paths, application.console)
    if found:
        raise DefinitionError(found)
    return code


def _once(
    application: Application,
    loaded: Loaded,
    problems: tuple[Problem, ...],
    paths: Sequence[str],
    args: argparse.Namespace,
) -> tuple[int, tuple[Problem, ...]]:
    """The exit code, and *problems* with what deploying added to them."""
    bad = {problem.file for problem in problems} | (set(loaded.sources) - _sources(loaded))
    while True:
        try:
            return application.apply(without(loaded, bad), paths, args, frozenset(bad)), problems
        except DefinitionError as error:
            new = tuple(problem for problem in error.problems if problem.file not in bad)
            if not new:
                raise
            problems += new
            bad |= {problem.file for problem in new}


def without(loaded: Loaded, files: Iterable[str]) -> Loaded:
    """*loaded* without what is defined in *files*."""
    left_out = frozenset(files)
    kept = {
        field: tuple(thing for thing in getattr(loaded, field) if thing.source not in left_out) for field in _FIELDS
    }
    return dataclasses.replace(loaded, **kept)


def _sources(loaded: Loaded) -> set[str]:
    """The definitions that are valid."""
    return {thing.source for field in _FIELDS for thing in getattr(loaded, field)}


def _state(paths: Iterable[str]) -> Iterator[tuple[str, int, int, int]]:
    """What tells whether a file below *paths* has changed."""
    for path in paths:
        for where, _, names in os.walk(path):
            yield from _stamps(f"{where}/{name}" for name in names)
        yield from _stamps((path,))


def _stamps(paths: Iterable[str]) -> Iterator[tuple[str, int, int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue  # gone meanwhile, or a link that leads nowhere
        yield path, status.st_mtime_ns, status.st_size, status.st_ino
