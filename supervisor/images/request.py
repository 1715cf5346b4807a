"""ctrctl's side of pull, load and import: hand the work to ctr-store@.service and wait for it.

The caller never touches image content itself; it writes the request, starts the unit, passes on lines of progress and
turns the worker's result into an image or an error.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from supervisor.errors import HostError, UserError
from supervisor.images import oneshot, work
from supervisor.images.store import Store
from supervisor.images.work import Request, Result
from supervisor.paths import Layout
from supervisor.spec.image import Image
from supervisor.spec.sourcing import Fetch
from supervisor.systemd.manager import Manager

_COPY = 1 << 20

OnLine = oneshot.OnLine


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What the caller may choose."""

    fetch: Fetch = field(default_factory=lambda: Fetch(retries=0))
    names: tuple[str, ...] = ()
    """Names to give instead of the source's own."""
    layer_kind: str = ""
    """'erofs' or 'directory' instead of what fits the host."""


def request_pull(reference: str, manager: Manager, layout: Layout, options: PullOptions, on_line: OnLine) -> Image:
    """Fetch the image *reference* names (see `reference.parse_source`; paths absolute) and return it, the first of
    several.

    *on_line* gets progress for people. Raises `UserError`, `NotFoundError`, `HostError` in the worker's own words.
    """
    return request(_request("pull", reference, options), manager, layout, on_line)[0]


def request_load(
    path: str, manager: Manager, layout: Layout, options: PullOptions, on_line: OnLine
) -> tuple[Image, ...]:
    """Load every image of the archive or OCI layout at the absolute *path*. Raises as `request_pull`."""
    return request(_request("load", path, options), manager, layout, on_line)


def request_import(
    path: str, changes: tuple[str, ...], manager: Manager, layout: Layout, options: PullOptions, on_line: OnLine
) -> Image:
    """Make an image of the root file system tar at the absolute *path*. Raises as `request_pull`."""
    return request(_request("import", path, options, changes), manager, layout, on_line)[0]


@contextlib.contextmanager
def spooled(stream: IO[bytes], layout: Layout) -> Iterator[str]:
    """*stream* as a file the worker can read; gone at the end. Raises `HostError` when the disk is full."""
    with Store(layout).workspace() as directory:
        path = f"{directory}/stdin.tar"
        try:
            with open(path, "xb") as file:
                shutil.copyfileobj(stream, file, _COPY)
        except OSError as error:
            raise HostError(f"standard input: {layout.images}: {error.strerror}; free some space") from error
        yield path


def request(what: Request, manager: Manager, layout: Layout, on_line: OnLine) -> tuple[Image, ...]:
    """Have the worker do *what* and wait for it; an interrupt stops the worker."""
    with _directory(what.source, layout) as (directory, instance):
        work.write(f"{directory}/request.json", what)
        unit = f"ctr-store@{instance}.service"
        with oneshot.limited(unit, what.fetch.timeout, layout):
            why = oneshot.run(unit, manager, f"{directory}/progress", on_line)
        result = work.read(Result, f"{directory}/result.json")
        if result is None:
            raise HostError(f"{what.source}: {what.verb}: {oneshot.explain(unit, why, what.fetch.timeout)}")
        result.raise_error()
        store = Store(layout)
        return tuple(store.find(image) for image in result.images)


def _request(verb: str, source: str, options: PullOptions, changes: tuple[str, ...] = ()) -> Request:
    return Request(verb, source, options.names, changes, options.fetch, options.layer_kind)


@contextlib.contextmanager
def _directory(source: str, layout: Layout) -> Iterator[tuple[str, str]]:
    """A locked request directory and its instance; the name says in `systemctl status` what is fetched."""
    words = re.sub(r"[^a-z0-9]+", "-", source.lower().rsplit("/", 1)[-1]).strip("-")[:40]
    instance = f"{words or 'image'}-{secrets.token_hex(4)}"
    path = work.directory(layout, instance)
    try:
        os.makedirs(path, mode=0o700)
    except PermissionError as error:
        raise UserError(f"{source}: {error.strerror}; images are changed by root") from error
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        _sweep(work.requests(layout), instance)
        yield path, instance
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep(requests: str, own: str) -> None:
    """Remove the directories of ctrctl processes that were killed."""
    for name in os.listdir(requests):
        if name == own:
            continue
        with contextlib.suppress(OSError):
            lock = os.open(f"{requests}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Made a moment ago and not locked yet: its owner is alive.
                if os.path.exists(f"{requests}/{name}/request.json"):
                    shutil.rmtree(f"{requests}/{name}", ignore_errors=True)
            finally:
                os.close(lock)
