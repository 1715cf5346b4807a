"""Where images come from: ``.image`` files (a registry) and ``.build`` files (a recipe). Durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.spec.container import PullPolicy


@dataclass(frozen=True, slots=True)
class Fetch:
    """How to reach a registry (podman-pull(1)); paths are absolute."""

    auth_file: str = ""
    certificates: str = ""
    """Directory of certificates and keys."""
    credentials: str = ""
    """USER[:PASSWORD]."""
    decryption_key: str = ""
    tls_verify: bool = True
    architecture: str = ""
    os: str = ""
    variant: str = ""
    all_tags: bool = False
    retries: int = 3
    retry_delay: float = 0.0
    """0: doubled from one second on, as skopeo does."""
    timeout: float = 0.0
    """For all of it (``TimeoutStartSec=``); 0: the image worker's own."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One ``.image`` file."""

    name: str
    """The file's name without suffix."""
    source: str
    reference: str
    """What is fetched."""
    tag: str = ""
    """Further name it gets, and what containers run then; empty: *reference*."""
    pull: PullPolicy = PullPolicy.MISSING
    fetch: Fetch = Fetch()


@dataclass(frozen=True, slots=True)
class Build:
    """One ``.build`` file (podman-build(1))."""

    name: str
    source: str
    tags: tuple[str, ...]
    """Names of the image; at least one, with registry ('localhost/…')."""
    context: str = ""
    """Absolute directory that COPY reads; empty: none."""
    file: str = ""
    """Absolute path of the Containerfile, or an URL; empty: Containerfile or Dockerfile in *context*."""
    ignore_file: str = ""
    target: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    """HOST:CONTAINER[:OPTIONS], host paths absolute."""
    secrets: tuple[str, ...] = ()
    """As podman-build(1) ``--secret`` takes them."""
    group_add: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    network: str = ""
    """'host', 'none', or empty for the builder's default."""
    pull: PullPolicy = PullPolicy.MISSING
    """For the images it starts from."""
    force_remove: bool = True
    fetch: Fetch = Fetch()
