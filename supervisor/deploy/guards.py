"""What surrounds every change: one writer at a time, undo on failure, the file system's refusals in words."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from supervisor.deploy.write import Changes
from supervisor.errors import HostError
from supervisor.paths import Layout


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """One writer at a time; a second one waits."""
    os.makedirs(layout.runtime, 0o755, exist_ok=True)
    # Not readable by others: whoever can open it can hold the lock.
    lock = os.open(f"{layout.runtime}/deploy.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def undone_on_failure(changes: Changes) -> Iterator[None]:
    """Whatever goes wrong inside, an interrupt included, takes *changes* back; errors of that are reported too."""
    try:
        yield
    except BaseException as error:
        if problems := changes.undo():
            raise HostError("\n".join((words(error), *problems))) from error
        raise


@contextmanager
def host_errors() -> Iterator[None]:
    """The file system's refusals as `HostError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; nothing was changed; free some space and try again" if full else ""
        raise HostError(words(error) + advice) from error


def words(error: BaseException) -> str:
    """*error* for people: what, then why."""
    if not isinstance(error, OSError):
        return str(error)
    return f"{error.filename or 'file system'}: {(error.strerror or str(error)).lower()}"
