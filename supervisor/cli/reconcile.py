"""``ctrctl apply --keep-going``: deploy what is valid, and leave the rest as it is deployed.

For ctr-apply.service, which nobody watches: a mistake in one file must neither keep the others from being deployed nor
take its own container away. What changes while it works is not missed either.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from supervisor.cli.apply import Application, load_definitions, unused
from supervisor.definitions.asking import placed
from supervisor.definitions.load import Loaded
from supervisor.deploy.watched import directories
from supervisor.errors import CtrError, DefinitionError, Problem

#: How often it reads again what goes on changing; whoever writes for longer is told of by the next change.
_ROUNDS = 20

#: How many directories a warning names.
_NAMED = 10

_FIELDS = ("containers", "networks", "volumes", "pods", "images", "builds")


def apply_valid(
    application: Application,
    paths: Sequence[str],
    args: argparse.Namespace,
) -> int:
    """Load and apply until nothing changes any more. Returns the exit code; raises `DefinitionError` with every
    problem, once the rest is deployed."""
    unwatched: tuple[str, ...] = ()
    now = frozenset(_state(paths))
    for _ in range(_ROUNDS):
        seen = now
        code, problems = _once(application, *load_definitions(paths, application.console), paths, args)
        if args.dry_run:
            break
        unwatched = _watch(application)
        # As late as can be: systemd starts nothing for what changes while this runs.
        now = frozenset(_state(paths))
        if now == seen:
            break
    if unwatched:
        few = ", ".join(unwatched[:_NAMED]) + (f" and {more} more" if (more := len(unwatched) - _NAMED) > 0 else "")
        application.console.warn(f"too many directories, not watched: {few}; run 'ctrctl apply' after changes there")
    if problems:
        raise DefinitionError(problems)
    return code


def _watch(application: Application) -> tuple[str, ...]:
    """What is not watched. A failure is told, and must not hide what is wrong with definitions."""
    try:
        return application.watch()
    except CtrError as error:
        application.console.warn(str(error))
        return ()


def _once(
    application: Application,
    loaded: Loaded,
    problems: tuple[Problem, ...],
    paths: Sequence[str],
    args: argparse.Namespace,
) -> tuple[int, tuple[Problem, ...]]:
    """The exit code, and *problems* with what deploying added to them."""
    bad = {problem.file for problem in problems} | unused(loaded)
    while True:
        try:
            return application.apply(without(loaded, bad), paths, args, frozenset(bad)), problems
        except DefinitionError as error:
            new = tuple(problem for problem in error.problems if problem.file not in bad)
            if not new:
                raise
            problems += placed(new, loaded)
            bad |= {problem.file for problem in new}


def without(loaded: Loaded, files: Iterable[str]) -> Loaded:
    """*loaded* without what is defined in *files*."""
    left_out = frozenset(files)
    kept: dict[str, Any] = {
        field: tuple(thing for thing in getattr(loaded, field) if thing.source not in left_out) for field in _FIELDS
    }
    return dataclasses.replace(loaded, **kept)


def _state(paths: Iterable[str]) -> Iterator[tuple[str, int, int, int]]:
    """What tells whether a file below *paths* has changed."""
    for path in paths:
        yield from _stamps((path,))
        for where in (path, *directories(path)):
            try:
                names = os.listdir(where)
            except OSError:
                continue  # a file, or gone meanwhile
            yield from _stamps(f"{where}/{name}" for name in names)


def _stamps(paths: Iterable[str]) -> Iterator[tuple[str, int, int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue  # gone meanwhile, or a link that leads nowhere
        yield path, status.st_ctime_ns, status.st_size, status.st_ino
