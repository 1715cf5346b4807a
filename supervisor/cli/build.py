"""``ctrctl build``: have the image of a ``.build`` file built now, whether anything changed or not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from supervisor.cli.console import Console
from supervisor.definitions.load import Loaded
from supervisor.errors import DefinitionError, NotFoundError, UserError

EXAMPLES = {
    "build": (
        "ctrctl build                 every .build file in /etc/ctr",
        "ctrctl build shop            /etc/ctr/shop.build",
        "ctrctl build ./shop.build    a file anywhere",
    )
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("build", nargs="*", metavar="NAME", help="name of a .build file in /etc/ctr, or a file's path")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the image ids only")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Returns 0. Raises `DefinitionError`, or what `supervisor.images.building.request_build` raises."""
    from supervisor.cli.apply import load_definitions
    from supervisor.cli.fetching import Fetching, ordered
    from supervisor.systemd.manager import Manager

    console.need_root("build")
    files = [os.path.abspath(word) for word in args.build if _is_path(word)]
    directory = console.layout.definitions
    only_files = bool(files) and len(files) == len(args.build)
    loaded, problems = load_definitions(files if only_files else [*files, directory], console)
    wanted = _wanted(loaded, args.build, directory)
    if missing := [file for file in sorted(wanted) if not os.path.exists(file)]:
        raise NotFoundError(f"{missing[0]}: does not exist")
    # Mistakes elsewhere are of no concern here.
    if found := tuple(problem for problem in problems if problem.file in wanted):
        raise DefinitionError(found)
    builds = [build for build in loaded.builds if build.source in wanted]
    if not builds:
        raise UserError(f"{directory}: has no .build file; write one, or name a file")
    with Manager.open() as manager:
        fetching = Fetching(loaded, manager, _Silent(console) if args.quiet else console)
        for build in ordered(builds):
            console.line(fetching.build(build).id)
    return 0


def _is_path(word: str) -> bool:
    return "/" in word or os.path.exists(word)


def _wanted(loaded: Loaded, words: Sequence[str], directory: str) -> frozenset[str]:
    """The files that are meant."""
    if not words:
        return frozenset(build.source for build in loaded.builds)
    return frozenset(
        os.path.abspath(word) if _is_path(word) else f"{directory}/{word.removesuffix('.build')}.build"
        for word in words
    )


class _Silent(Console):
    """Passes on nothing but errors and warnings."""

    def __init__(self, console: Console) -> None:
        super().__init__(console.stdin, console.stdout, console.stderr, console.environ, console.layout)

    def note(self, text: str) -> None:
        """Progress, which nobody wants."""
