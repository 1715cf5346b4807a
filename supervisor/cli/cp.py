"""``ctrctl cp``: files into and out of a container, with the rules of docker-cp(1) for what lands where.

Owns the two sides and the meaning of their paths. The container's side is opened by way of `inside`, so no link in it
leads to the host; the trees are moved by `transfer`.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from supervisor.cli.console import Console
from supervisor.cli.exec import running_init
from supervisor.cli.inside import Inside
from supervisor.cli.transfer import Item, Path, Writer, read_tar, read_tree, write_tar
from supervisor.errors import NotFoundError, UserError
from supervisor.names import is_name
from supervisor.runtime.foreign import FilesAs, Numbers

EXAMPLES = {
    "cp": (
        "ctrctl cp web:/etc/nginx/nginx.conf .",
        "ctrctl cp ./site/. web:/usr/share/nginx/html     the contents of site",
        "ctrctl cp web:/var/log - | tar -t                a tar archive on stdout",
        "tar -c data | ctrctl cp - web:/srv               a tar archive from stdin",
    ),
}

_STREAM = "-"
#: On the host no file of a container becomes set-user-ID or set-group-ID; it would be so for the caller, who is root.
_HOST_MODES = 0o1777
_CONTAINER_MODES = 0o7777

Open = Callable[[str, int], int]


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a copy: *path* as written, and the container it is in (empty: the host)."""

    container: str
    path: str

    @property
    def is_contents(self) -> bool:
        """Whether what is in the directory is meant, not the directory (docker-cp(1), ``SRC_PATH/.``)."""
        return self.path == "." or self.path.endswith("/.") or not self.base

    @property
    def base(self) -> str:
        """The last name of the path; empty for the root."""
        return os.path.basename(os.path.abspath(self.path))


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options as docker-cp(1) names them."""
    parser.add_argument("-a", "--archive", action="store_true", help="keep user and group ids")
    parser.add_argument("-L", "--follow-link", action="store_true", help="copy what a symbolic link SOURCE points to")
    parser.add_argument("source", metavar="SOURCE", help="NAME:PATH, a path of this host, or - for a tar archive")
    parser.add_argument("target", metavar="TARGET", help="the same")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Copy; nothing is printed."""
    console.need_root(verb)
    source, target = side(args.source), side(args.target)
    if bool(source.container) == bool(target.container):
        raise UserError("cp: one of SOURCE and TARGET is in a container, as NAME:PATH, and the other is not")
    name = source.container or target.container
    with ExitStack() as stack:
        init = running_init(name, console.layout, paused=True)
        numbers = Numbers(init)
        inside = stack.enter_context(Inside(init))
        open_source = inside.open if source.container else os.open
        open_target = inside.open if target.container else os.open
        if not source.container and source.path == _STREAM:
            items: Iterable[Item] = read_tar(sys.stdin.buffer, console.warn)
            place, mask = _directory(target, open_target), _CONTAINER_MODES
            stack.callback(os.close, place)
            stack.enter_context(FilesAs(*numbers.root))
            _write(_renumbered(items, numbers.outside), place, None, mask)
            return 0
        place = _source_place(source, open_source, args.follow_link)
        stack.callback(os.close, place)
        if not target.container and target.path == _STREAM:
            items = read_tree(place, (source.base,) if source.base else (), console.warn)
            write_tar(_renumbered(items, numbers.inside), sys.stdout.buffer)
            return 0
        is_directory = stat.S_ISDIR(os.fstat(place).st_mode)
        directory, root = destination(source, target, is_directory, open_target)
        stack.callback(os.close, directory)
        owner = None if args.archive else numbers.root if target.container else (os.geteuid(), os.getegid())
        mask = _CONTAINER_MODES if target.container else _HOST_MODES
        items = read_tree(place, (), console.warn)
        if owner is None:
            items = _renumbered(items, numbers.inside if source.container else numbers.outside)
        if target.container:
            stack.enter_context(FilesAs(*numbers.root))
        _write(_below(items, root), directory, owner, mask)
    return 0


def side(text: str) -> Side:
    """NAME:PATH, or a path of the host; one with a colon is written ``./a:b`` (docker-cp(1))."""
    name, colon, path = text.partition(":")
    if colon and is_name(name):
        # A relative path in a container counts from its root.
        return Side(name, "/" + path.lstrip("/"))
    if not text:
        raise UserError("cp: an empty path; write NAME:PATH, a path of this host, or -")
    return Side("", text)


def destination(source: Side, target: Side, is_directory: bool, open_target: Open) -> tuple[int, Path]:
    """Where docker-cp(1) puts *source*: a descriptor of an existing directory, and the name to give it there.

    No name: the contents of *source* go into the directory itself.
    """
    try:
        place = open_target(target.path, os.O_PATH)
    except FileNotFoundError:
        if target.path.endswith("/") and not is_directory:
            raise NotFoundError(f"{target.path}: no such directory; create it, or leave out the final '/'") from None
        return _parent(target, open_target), (target.base,)
    try:
        if stat.S_ISDIR(os.fstat(place).st_mode):
            found = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            return found, () if is_directory and source.is_contents else (source.base,)
        if is_directory:
            raise UserError(f"{target.path}: a file, which a directory cannot replace; name a directory")
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise UserError(f"{target.path}: not a regular file; name another")
        return _parent(target, open_target), (target.base,)
    finally:
        os.close(place)


def _parent(target: Side, open_target: Open) -> int:
    parent = os.path.dirname(os.path.normpath(target.path)) or "."
    return _directory(Side(target.container, parent), open_target)


def _directory(where: Side, open_side: Open) -> int:
    try:
        return open_side(where.path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise NotFoundError(f"{where.path}: no such directory; create it first") from error
    except NotADirectoryError as error:
        raise UserError(f"{where.path}: not a directory; name one") from error


def _source_place(source: Side, open_source: Open, follow: bool) -> int:
    through = follow or source.path.endswith(("/", "/."))
    try:
        return open_source(source.path, os.O_PATH if through else os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        where = f" in container '{source.container}'" if source.container else ""
        raise NotFoundError(f"{source.path}: no such file{where}") from error


def _below(items: Iterable[Item], root: Path) -> Iterator[Item]:
    return (replace(item, path=(*root, *item.path)) for item in items)


def _renumbered(items: Iterable[Item], change: Callable[[int, int], tuple[int, int]]) -> Iterator[Item]:
    """*items* with owners as the other side knows them."""
    for item in items:
        uid, gid = change(item.uid, item.gid)
        yield replace(item, uid=uid, gid=gid)


def _write(items: Iterable[Item], place: int, owner: tuple[int, int] | None, mask: int) -> None:
    with Writer(place, owner=owner, mask=mask) as writer:
        for item in items:
            writer.write(item)
