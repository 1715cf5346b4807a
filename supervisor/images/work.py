"""What ctrctl and the store's writer say to each other: one directory per request in /run/ctr/images/requests.

    request.json   what to do (ctrctl writes it, then starts ctr-store@INSTANCE.service)
    progress       lines for people, appended by the writer
    result.json    how it ended; missing when the writer was killed

ctrctl holds a lock on the directory and removes it; the next request sweeps what a killed ctrctl left. No code here
acts on a request.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from supervisor.errors import (
    ConflictError,
    CtrError,
    HostError,
    NotFoundError,
    RetryError,
    UnreachableError,
    UserError,
)
from supervisor.names import is_name
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.sourcing import Fetch

_ERRORS: dict[str, type[CtrError]] = {
    kind.__name__: kind for kind in (UserError, NotFoundError, ConflictError, HostError, RetryError, UnreachableError)
}


@dataclass(frozen=True, slots=True)
class Request:
    """One job for the writer."""

    verb: str
    """'pull', 'load' or 'import'."""
    source: str
    """pull: a source as `reference.parse_source` takes it; load, import: an absolute path."""
    names: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    fetch: Fetch = field(default_factory=Fetch)
    layer_kind: str = ""
    """CTR_LAYER_KIND of whoever asked."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended: ids of the images, or an error of the tree in `supervisor.errors`."""

    images: tuple[str, ...] = ()
    kind: str = ""
    message: str = ""
    built: str = ""
    """What the builder calls the image it made."""

    @classmethod
    def of_error(cls, error: CtrError) -> Result:
        kind = type(error).__name__
        return cls(kind=kind if kind in _ERRORS else HostError.__name__, message=str(error))

    def raise_error(self) -> None:
        if self.kind:
            raise _ERRORS.get(self.kind, HostError)(self.message)


def requests(layout: Layout) -> str:
    """The directory of all requests."""
    return f"{layout.runtime}/images/requests"


def directory(layout: Layout, instance: str) -> str:
    """The directory of one request. Raises `UserError` when *instance* cannot be one."""
    if not is_name(instance):
        raise UserError(f"request '{instance}': is not an instance name of ctr-store@.service")
    return f"{requests(layout)}/{instance}"


def read(kind: type[codec.T], path: str) -> codec.T | None:
    """The value stored in *path*; None when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return codec.loads(kind, file.read())
    except FileNotFoundError:
        return None


def write(path: str, value: object) -> None:
    """Store *value* in *path*, complete or not at all."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(codec.dumps(value))
    os.rename(f"{path}.new", path)
