"""Whether a build is as its sources are: one digest over its definition, its recipe and its context.

Files of the context count by what stat(2) says of them, as make(1) has it: reading gigabytes at every apply to find
nothing changed would be worse than a build too many, which the builder's own cache ends soon.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

from supervisor.errors import UserError
from supervisor.spec import codec
from supervisor.spec.sourcing import Build

#: What lies beside a definition without belonging to its context (``SetWorkingDirectory=unit``).
_DEFINITIONS = (".container", ".volume", ".network", ".pod", ".image", ".build", ".kube", ".d")
_RECIPES = ("Containerfile", "Dockerfile")
_MAX_RECIPE = 1 << 20


def recipe_path(build: Build) -> str:
    """The Containerfile. Raises `UserError` when there is none."""
    for path in (build.file,) if build.file else tuple(f"{build.context}/{name}" for name in _RECIPES):
        if os.path.isfile(path):
            return path
    if build.file:
        raise UserError(f"{build.source}: {build.file}: does not exist; correct File=")
    raise UserError(
        f"{build.source}: {build.context}: has neither Containerfile nor Dockerfile; write one, or its path as File="
    )


def recipe(build: Build) -> str:
    """The text of the Containerfile. Raises `UserError`."""
    path = recipe_path(build)
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_RECIPE).decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"{build.source}: {path}: {error.strerror}") from error


def fingerprint(build: Build) -> str:
    """The digest; the same as long as nothing changed. Raises `UserError` when the context cannot be read."""
    digest = hashlib.sha256()
    for part in _parts(build):
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()


def _parts(build: Build) -> Iterator[bytes]:
    yield codec.line(build).encode()
    yield recipe(build).encode()
    for path in filter(None, (build.ignore_file, *(_secret_path(secret) for secret in build.secrets))):
        # What a link leads to: that is what the builder reads.
        yield from _file(path, os.stat(path) if os.path.exists(path) else None)
    beside = build.context == os.path.dirname(build.source)
    try:
        yield from _directory(os.path.realpath(build.context), "", beside)
    except OSError as error:
        raise UserError(f"{build.source}: the context {error.filename}: {error.strerror}") from error


def _secret_path(secret: str) -> str:
    return secret.partition(",src=")[2]


def _directory(path: str, name: str, beside: bool) -> Iterator[bytes]:
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if beside and entry.name.endswith(_DEFINITIONS):
            continue
        below = f"{name}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            # Without its times, which change with the definitions and the entries that do not count.
            yield os.fsencode(below)
            yield repr((status.st_mode, status.st_uid, status.st_gid)).encode()
            yield from _directory(entry.path, below, False)
        else:
            yield from _file(below, entry.stat(follow_symlinks=False))
            if entry.is_symlink():
                yield os.fsencode(os.readlink(entry.path))


def _file(name: str, status: os.stat_result | None) -> Iterator[bytes]:
    yield os.fsencode(name)
    if status:
        # The time of the last change of its inode: a copy that keeps the file's own time is seen, too.
        facts = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ctime_ns)
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        yield repr((*facts, size)).encode()
