"""Image references and image sources: text in, normalized values out. Pure.

The grammar is that of the distribution project (reference.go, "Grammar"), with docker's defaults: no registry means
docker.io, one component on docker.io means library/, neither tag nor digest means ``latest``. Touches no registry and
no store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from supervisor.errors import UserError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_MAX_NAME = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """One full reference; ``str()`` writes it in its normal form."""

    registry: str
    """Host name with optional port, or ``localhost``."""
    path: str
    """Repository below the registry, e.g. ``library/nginx``."""
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_digest(text: str) -> bool:
    """Whether *text* is ``sha256:`` and 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def parse(text: str) -> Reference:
    """*text* as a full reference. Raises `UserError` that says which part is wrong."""
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise UserError(f"image '{text}': digest '{digest}' is not sha256: and 64 hexadecimal digits")
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    tag = rest[colon + 1 :] if colon >= 0 else ""
    name = rest[:colon] if colon >= 0 else rest
    if colon >= 0 and not _TAG.fullmatch(tag):
        raise UserError(f"image '{text}': tag '{tag}' is not valid; use letters, digits, '_', '.' and '-', at most 128")
    registry, path = _split_registry(name)
    if not _DOMAIN.fullmatch(registry):
        raise UserError(f"image '{text}': '{registry}' is not a registry; use HOST or HOST:PORT")
    if not path:
        raise UserError(
            f"image '{text}': has no repository name; use for example nginx, localhost/web or HOST:PORT/web"
        )
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise UserError(
                f"image '{text}': '{component}' is not a repository name; use lower-case letters and digits,"
                " with single '.', '_' or '-' between them"
            )
    if len(registry) + 1 + len(path) > _MAX_NAME:
        raise UserError(f"image '{text[:40]}…': the name has more than {_MAX_NAME} characters")
    return Reference(registry, path, tag or ("" if digest else DEFAULT_TAG), digest)


def normalize(text: str) -> str:
    """``nginx`` becomes ``docker.io/library/nginx:latest``. Raises `UserError`."""
    return str(parse(text))


def candidates(text: str) -> tuple[str, ...]:
    """Full names that *text* may mean in the local store, best first: a short name is tried on localhost before
    docker.io.

    Raises `UserError` when *text* is no reference at all.
    """
    full = parse(text)
    with_host, _ = _split_registry(text.partition("@")[0])
    names = [full]
    if with_host == DEFAULT_REGISTRY and not text.startswith((f"{DEFAULT_REGISTRY}/", f"index.{DEFAULT_REGISTRY}/")):
        names.insert(0, parse(f"localhost/{text}"))
    # A pull by tag and digest is also known by its digest alone, and the tag adds nothing then.
    names += [Reference(n.registry, n.path, "", n.digest) for n in names if n.digest and n.tag]
    return tuple(map(str, names))


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = DEFAULT_REGISTRY, name
    if registry == f"index.{DEFAULT_REGISTRY}":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and path and "/" not in path:
        path = f"library/{path}"
    return registry, path


class Transport(Enum):
    """Where an image comes from, by the prefix containers-transports(5) gives it."""

    DOCKER = "docker"
    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"
    DIR = "dir"


@dataclass(frozen=True, slots=True)
class Source:
    """One place to fetch images from."""

    transport: Transport
    path: str = ""
    """Absolute path of the directory or archive; empty for DOCKER."""
    reference: str = ""
    """DOCKER: normalized reference. Others: which image of several, as its author named it; empty is all or the only
    one.
    """

    def __str__(self) -> str:
        if self.transport is Transport.DOCKER:
            return self.reference
        return f"{self.transport.value}:{self.path}" + (f":{self.reference}" if self.reference else "")


def parse_source(text: str, directory: str) -> Source:
    """``docker://REF``, a bare reference, ``oci:PATH[:TAG]``, ``oci-archive:``, ``docker-archive:`` or ``dir:PATH``.

    A relative PATH is taken below *directory*. An image called like a transport needs ``docker://`` in front.
    Raises `UserError`.
    """
    word, colon, rest = text.partition(":")
    if word == "docker" and rest.startswith("//"):
        return Source(Transport.DOCKER, reference=normalize(rest[2:]))
    if not colon or word not in {t.value for t in Transport if t is not Transport.DOCKER}:
        return Source(Transport.DOCKER, reference=normalize(text))
    transport = Transport(word)
    path, _, name = (rest, "", "") if transport is Transport.DIR else rest.partition(":")
    if not path:
        raise UserError(f"image source '{text}': has no path; use {word}:PATH")
    return Source(transport, path if path.startswith("/") else f"{directory.rstrip('/')}/{path}", name)
