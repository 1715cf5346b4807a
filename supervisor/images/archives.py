"""Images that lie in files: OCI layouts (directory or tar), docker's archives (``docker save``) and skopeo's ``dir:``.

Reads their members by name and lists what images there are; the names inside are untrusted, and a blob is only found by
its digest. What may be compressed is expanded by an image worker (`workers`), never here. From the OCI image layout
specification (image-layout.md) and docker's image specification v1.2 ("combined image JSON").
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import weakref
from collections.abc import Iterator
from typing import Protocol

from supervisor.errors import HostError, NotFoundError, UserError
from supervisor.images import confined, reference
from supervisor.images.channel import Order, What
from supervisor.images.compression import STEP, Reader, is_plain
from supervisor.images.document import Document, parse_json
from supervisor.images.layers import Budget
from supervisor.images.manifest import Descriptor, Index, IndexEntry, parse_manifest
from supervisor.images.origin import Offer
from supervisor.images.reference import Source, Transport
from supervisor.images.workers import Workers, joined

_MAX_LINKS = 8
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Member:
    """Part of a file, to be read once from its beginning: here, or by whom *descriptor* is passed to."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.descriptor = descriptor
        self.left = size
        os.lseek(descriptor, offset, os.SEEK_SET)

    def read(self, size: int, /) -> bytes:
        data = os.read(self.descriptor, min(size, self.left))
        self.left -= len(data)
        return data

    def close(self) -> None:
        os.close(self.descriptor)


class Files(Protocol):
    """Named members of a directory or an archive."""

    def open(self, name: str) -> Member:
        """Raises FileNotFoundError, other OSError, `UserError`."""

    def __contains__(self, name: str) -> bool: ...


class DirectoryFiles:
    """Members are the regular files of a directory, links between them included.

    Whoever filled it may own a worker by now, and would be handed what else we may read: nothing outside is opened.
    Raises OSError.
    """

    def __init__(self, path: str) -> None:
        self._directory = confined.open_directory(path)
        weakref.finalize(self, os.close, self._directory)

    def open(self, name: str) -> Member:
        # openat2(2) takes no absolute link for one that stays inside; it has the last word on what these are now.
        here = os.readlink(f"/proc/self/fd/{self._directory}")
        place = os.path.relpath(os.path.realpath(f"{here}/{name}"), here)
        descriptor = confined.open_beneath(self._directory, place)
        return Member(descriptor, 0, os.fstat(descriptor).st_size)

    def __contains__(self, name: str) -> bool:
        return os.path.isfile(f"/proc/self/fd/{self._directory}/{name}")


class ArchiveFiles:
    """Members are those of a plain tar; each reader has its own position. Links inside the archive are followed."""

    def __init__(self, path: str) -> None:
        self._descriptor = confined.open_named(path)
        weakref.finalize(self, os.close, self._descriptor)
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            with open(self._descriptor, "rb", closefd=False) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    self._members[_clean(member.name)] = member
        except tarfile.TarError as error:
            raise UserError(f"{path}: is not a tar archive: {error}") from error

    def open(self, name: str) -> Member:
        member = self._members.get(_clean(name))
        for _ in range(_MAX_LINKS):
            if member is None or not (member.issym() or member.islnk()):
                break
            base = os.path.dirname(member.name) if member.issym() else ""
            member = self._members.get(_clean(os.path.normpath(os.path.join(base, member.linkname))))
        if member is None or not member.isreg() or member.sparse is not None:
            raise FileNotFoundError(name)
        return Member(confined.reopen(self._descriptor), member.offset_data, member.size)

    def __contains__(self, name: str) -> bool:
        return name in self._members


class FileOrigin:
    """`supervisor.images.origin.Origin` over *files*; *blob_name* maps a digest to its member. *what* is for
    messages.
    """

    def __init__(
        self, files: Files, what: str, prefix: str, workers: Workers, members: dict[str, str] | None = None
    ) -> None:
        self._files = files
        self._what = what
        self._prefix = prefix
        self._workers = workers
        self._members = members or {}

    def document(self, descriptor: Descriptor) -> bytes:
        with opened(self._files, self._name(descriptor), self._what) as member:
            return read_document(member, f"{self._what}: {descriptor.digest}")

    @contextlib.contextmanager
    def layer(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        # docker's list knows the digest of the plain layer only, which may lie there compressed.
        blob = Descriptor("") if descriptor.digest in self._members else descriptor
        with opened(self._files, self._name(descriptor), self._what) as member:
            order = Order(What.EXPAND, blob=blob, length=member.left)
            with self._workers.ask(order, member.descriptor) as parts:
                yield parts

    def _name(self, descriptor: Descriptor) -> str:
        return self._members.get(descriptor.digest) or self._prefix + descriptor.digest.removeprefix("sha256:")


def open_archive(
    source: Source, scratch: str, budget: Budget, workers: Workers
) -> tuple[FileOrigin, tuple[Offer, ...]]:
    """The origin *source* names (not a registry) and the images it offers, or just the one it asks for.

    A compressed archive is expanded into *scratch* first. Raises `UserError`, `NotFoundError`.
    """
    files = _files(source, scratch, budget, workers)
    if source.transport is Transport.DIR:
        offer = Offer(str(source), (), _read(files, "manifest.json", source))
        return FileOrigin(files, str(source), "", workers), (offer,)
    if source.transport is Transport.DOCKER_ARCHIVE:
        members, offers = _docker_archive(files, source)
        return FileOrigin(files, str(source), "", workers, members), offers
    return FileOrigin(files, str(source), "blobs/sha256/", workers), _layout_offers(files, source)


def detect(path: str, scratch: str, budget: Budget, workers: Workers) -> Source:
    """What lies at *path*, for ``image load``. Raises `UserError`."""
    if os.path.isdir(path):
        if os.path.exists(f"{path}/index.json"):
            return Source(Transport.OCI, path)
        if os.path.exists(f"{path}/manifest.json"):
            return Source(Transport.DIR, path)
        raise UserError(f"{path}: is a directory without index.json; an OCI layout was expected")
    plain = _plain_archive(path, scratch, budget, workers)
    files = _archive_files(plain)
    # docker writes both since version 25; its own list also has the names people gave.
    if "manifest.json" in files:
        return Source(Transport.DOCKER_ARCHIVE, plain)
    if "index.json" in files:
        return Source(Transport.OCI_ARCHIVE, plain)
    raise UserError(
        f"{path}: is neither a docker nor an OCI archive; for a tar of a root file system use 'ctrctl image import'"
    )


@contextlib.contextmanager
def opened(files: Files, name: str, what: str) -> Iterator[Member]:
    """Member *name*. Raises `UserError` when it is missing."""
    try:
        member = files.open(name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{what}: has no {name}; it is damaged or not of this kind") from error
    except OSError as error:
        raise UserError(f"{what}: {name}: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    with contextlib.closing(member):
        yield member


def read_document(reader: Reader, what: str) -> bytes:
    """All of *reader*. Raises as `joined`."""
    return joined(iter(lambda: reader.read(STEP), b""), what)


def _files(source: Source, scratch: str, budget: Budget, workers: Workers) -> Files:
    if source.transport in (Transport.OCI, Transport.DIR):
        with _named(source.path):
            return DirectoryFiles(source.path)
    return _archive_files(_plain_archive(source.path, scratch, budget, workers))


def _archive_files(path: str) -> ArchiveFiles:
    with _named(path):
        return ArchiveFiles(path)


def _plain_archive(path: str, scratch: str, budget: Budget, workers: Workers) -> str:
    """*path*, or when it is compressed a plain copy in *scratch*."""
    with _named(path), open(confined.open_named(path), "rb", buffering=0) as file:
        if is_plain(file.read(8)):
            return path
        file.seek(0)
        # It keeps its name, which images without one get theirs from; what else lies in *scratch* may be called so.
        copy = f"{scratch}/archive/{os.path.basename(path)}"
        os.mkdir(os.path.dirname(copy))
        with open(copy, "xb") as target, workers.ask(Order(What.EXPAND), file.fileno()) as parts:
            for data in parts:
                budget.spend(len(data))
                target.write(data)
        return copy


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Turns what is wrong with *path* into words, and puts it in front of those that do not name it."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: does not exist") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(path) else f"{path}: {text}") from error
    except HostError as error:
        raise HostError(f"{path}: {error}") from error


def _read(files: Files, name: str, source: Source) -> bytes:
    with opened(files, name, str(source)) as reader:
        return read_document(reader, f"{source}: {name}")


def _layout_offers(files: Files, source: Source) -> tuple[Offer, ...]:
    index = parse_manifest(_read(files, "index.json", source), f"{source}: index.json")
    if not isinstance(index, Index):
        raise UserError(f"{source}: index.json is not an image index")
    entries = index.entries
    if source.reference:
        entries = tuple(e for e in entries if source.reference in _names_of(e))
        if not entries:
            known = ", ".join(n for e in index.entries for n in _names_of(e)) or "no names"
            raise NotFoundError(f"{source}: has no image of this name; it has {known}")
    return tuple(
        Offer(str(source), full_names(_names_of(e)[:1], source.path), _read(files, _blob(e), source)) for e in entries
    )


def _blob(entry: IndexEntry) -> str:
    return "blobs/sha256/" + entry.descriptor.digest.removeprefix("sha256:")


def _names_of(entry: IndexEntry) -> tuple[str, ...]:
    annotations = dict(entry.annotations)
    return tuple(annotations[key] for key in _NAME_ANNOTATIONS if annotations.get(key))


def _docker_archive(files: Files, source: Source) -> tuple[dict[str, str], tuple[Offer, ...]]:
    """Which member holds which layer, and the images."""
    listed = parse_json(_read(files, "manifest.json", source), f"{source}: manifest.json")
    if not isinstance(listed, list):
        raise UserError(f"{source}: manifest.json is not a list of images")
    members: dict[str, str] = {}
    offers = []
    for number, item in enumerate(listed):
        entry = Document(item, f"{source}: manifest.json[{number}]")
        names = full_names(entry.texts("RepoTags"), source.path)
        if source.reference and reference.normalize(source.reference) not in names:
            continue
        config = _read(files, entry.text("Config"), source)
        diff_ids = Document.parse(config, entry.text("Config")).object("rootfs").texts("diff_ids")
        layers = entry.texts("Layers")
        if len(layers) != len(diff_ids):
            raise UserError(f"{entry.path}: lists {len(layers)} layers, its configuration {len(diff_ids)}")
        members.update(zip(diff_ids, layers, strict=True))
        offers.append(Offer(str(source), names, config=config))
    if not offers:
        raise NotFoundError(f"{source}: has no {'image of this name' if source.reference else 'images'}")
    return members, tuple(offers)


def full_names(texts: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Full references of what an archive calls its image; a bare tag gets the archive's own name before it (as podman
    does).
    """
    names = []
    for text in texts:
        word = text if "/" in text or ":" in text else f"localhost/{_stem(path)}:{text}"
        with contextlib.suppress(UserError):
            names.append(reference.normalize(word))
    return tuple(names)


def _stem(path: str) -> str:
    return os.path.basename(path.rstrip("/")).split(".", 1)[0].lower()


def _clean(name: str) -> str:
    return name.removeprefix("./").strip("/")
