"""Manifests, indexes and configurations of images: bytes in, frozen values out. Pure.

From the OCI image specification (manifest.md, image-index.md, config.md) and docker's equal forms (image manifest
version 2, schema 2). Fetches nothing and verifies no content; digests that are written here are claims until `layers`
checks them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from supervisor.errors import UserError
from supervisor.images.document import Document
from supervisor.images.reference import is_digest
from supervisor.spec.health import HealthCheck
from supervisor.spec.image import Image, ImageConfig

#: Manifests and configurations above this are refused (the distribution specification suggests 4 MiB).
MAX_DOCUMENT = 4 * 1024 * 1024

_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "",
)
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "mips64": "mips64le",
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Points to one blob. *size* is its bytes, -1 when unknown."""

    digest: str
    size: int = -1
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its configuration blob and its layer blobs, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One manifest an index offers."""

    descriptor: Descriptor
    os: str
    architecture: str
    annotations: tuple[tuple[str, str], ...] = ()
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests, usually one per platform."""

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What ctr needs of an image configuration."""

    architecture: str
    os: str
    created: str
    diff_ids: tuple[str, ...]
    config: ImageConfig


def digest_of(data: bytes) -> str:
    """``sha256:`` digest of *data*."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def host_architecture(machine: str) -> str:
    """GOARCH name for *machine* as uname(2) gives it."""
    return _ARCHITECTURES.get(machine, machine)


def parse_manifest(data: bytes, what: str) -> Manifest | Index:
    """A manifest or an index. Raises `UserError` naming *what* for anything that is neither or not an image."""
    document = Document.parse(data, what)
    if document.text("mediaType") in _INDEX_TYPES or "manifests" in document:
        return Index(tuple(_entry(item) for item in document.objects("manifests")))
    if document.number("schemaVersion") == 1:
        raise UserError(f"{what}: has docker's old manifest format (schema 1); push the image again with a newer tool")
    if "config" not in document:
        raise UserError(f"{what}: is neither an image manifest nor an index")
    config = _descriptor(document.object("config"))
    if config.media_type not in _CONFIG_TYPES:
        raise UserError(f"{what}: is not a container image (its config has type {config.media_type})")
    layers = tuple(_descriptor(item) for item in document.objects("layers"))
    for layer in layers:
        if layer.media_type.endswith("+encrypted"):
            raise UserError(f"{what}: layer {layer.digest} is encrypted, which is not supported; use a plain image")
    return Manifest(config, layers)


def choose(index: Index, architecture: str, what: str, variant: str = "") -> Descriptor:
    """The entry for linux on *architecture*, of that *variant* unless it is empty; the first that fits wins
    (image-index.md). Raises `UserError` if none does.
    """
    for entry in index.entries:
        if (entry.os, entry.architecture) == ("linux", architecture) and variant in ("", entry.variant):
            return entry.descriptor
    unspecified = [e.descriptor for e in index.entries if not e.os and not e.architecture]
    if len(index.entries) == 1 and unspecified:
        return unspecified[0]
    found = sorted({_platform(e.os, e.architecture, e.variant) for e in index.entries if e.os not in ("", "unknown")})
    wanted = _platform("linux", architecture, variant)
    raise UserError(f"{what}: has no image for {wanted}; it has {', '.join(found) or 'none at all'}")


def _platform(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def parse_config(data: bytes, what: str) -> ConfigFile:
    """The configuration blob. Raises `UserError` when it is malformed."""
    document = Document.parse(data, f"{what}: config")
    inner = document.object("config")
    diff_ids = document.object("rootfs").texts("diff_ids")
    for diff_id in diff_ids:
        _checked(diff_id, f"{document.path}.rootfs.diff_ids")
    return ConfigFile(
        document.text("architecture"),
        document.text("os"),
        document.text("created"),
        diff_ids,
        ImageConfig(
            user=inner.text("User"),
            environment=tuple(_variable(item) for item in inner.texts("Env")),
            entrypoint=inner.texts("Entrypoint"),
            command=inner.texts("Cmd"),
            working_dir=inner.text("WorkingDir"),
            volumes=inner.keys("Volumes"),
            exposed_ports=inner.keys("ExposedPorts"),
            labels=inner.pairs("Labels"),
            stop_signal=inner.text("StopSignal"),
            health=_health(inner.object("Healthcheck")),
        ),
    )


def check_platform(config: ConfigFile, architecture: str, what: str) -> None:
    """Refuse an image that cannot run here. Raises `UserError`."""
    if (config.os or "linux") != "linux" or (config.architecture or architecture) != architecture:
        raise UserError(
            f"{what}: is for {config.os or 'linux'}/{config.architecture}, this host is linux/{architecture};"
            " build or name an image for it"
        )


def image_record(config_digest: str, manifest_digest: str, config: ConfigFile, size: int) -> Image:
    """The store's record of an image, without names and account files. *size*: bytes of the uncompressed layers."""
    return Image(
        id=config_digest,
        digest=manifest_digest,
        names=(),
        architecture=config.architecture,
        os=config.os,
        created=config.created,
        size=size,
        layers=config.diff_ids,
        config=config.config,
    )


def _entry(item: Document) -> IndexEntry:
    platform = item.object("platform")
    return IndexEntry(
        _descriptor(item),
        platform.text("os"),
        platform.text("architecture"),
        item.pairs("annotations"),
        platform.text("variant"),
    )


def _descriptor(item: Document) -> Descriptor:
    size = item.number("size") if "size" in item else -1
    return Descriptor(_checked(item.text("digest"), f"{item.path}.digest"), size, item.text("mediaType"))


def _checked(digest: str, path: str) -> str:
    if not is_digest(digest):
        raise UserError(f"{path}: '{digest[:80]}' is not a sha256 digest")
    return digest


def _health(item: Document) -> HealthCheck | None:
    """Docker's HEALTHCHECK (moby's image specification): durations in nanoseconds, 0 and absent mean the default."""
    kind, *words = item.texts("Test") or ("NONE",)
    command = ("/bin/sh", "-c", " ".join(words)) if kind == "CMD-SHELL" else tuple(words)
    if kind not in ("CMD", "CMD-SHELL") or not words:
        return None
    default = HealthCheck(command)

    def seconds(key: str, otherwise: float) -> float:
        return item.number(key) / 1e9 if item.number(key) > 0 else otherwise

    return HealthCheck(
        command,
        interval=seconds("Interval", default.interval),
        timeout=seconds("Timeout", default.timeout),
        retries=item.number("Retries") if item.number("Retries") > 0 else default.retries,
        start_period=seconds("StartPeriod", default.start_period),
        start_interval=seconds("StartInterval", default.start_interval),
    )


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
