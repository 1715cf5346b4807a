"""The image store: which images are here, under which names, and where their layers lie.

    images/index.json      every image and its names, one JSON document; replacing it is what makes a change visible
    images/blobs/HEX       manifests and configurations by sha256
    images/layers/HEX/     one layer by the sha256 of its plain tar: layer.tar + index.erofs, or diff/; and size
    images/tmp/UNIQUE/     work in progress, locked by the process that owns it
    images/lock            held (flock) while the store changes; readers need no lock

Crash-only: layers and blobs come first, the index last. What no index entry refers to is the remains of a process that
died, and the next change sweeps it. Fetches nothing, unpacks nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from supervisor.errors import ConflictError, HostError, NotFoundError, RetryError, UserError
from supervisor.images import reference
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.image import Image, Layer

_MIN_PREFIX = 4


@dataclass(frozen=True, slots=True)
class StoreIndex:
    """Content of index.json."""

    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer that is ready in a workspace: *path* is the directory to be moved into the store."""

    diff_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did: names taken away, the image that went with the last of them (or ''), its unshared layers."""

    names: tuple[str, ...]
    image: str
    layers: tuple[str, ...]


class Store:
    """The store below ``layout.images``. Reading methods see one consistent index each."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.images

    # reading

    def list(self) -> tuple[Image, ...]:
        """Every image, sorted by its first name, then id; those without a name last."""
        return self._read().images

    def find(self, text: str) -> Image:
        """The image *text* means: a full or short reference, an id or its prefix, or a digest.

        A short name is looked up on localhost, then on docker.io. Raises `NotFoundError`, and `UserError` when an id
        prefix fits several images.
        """
        images = self.list()
        found = _by_name(images, text) or _by_digest(images, text)
        if not found:
            raise NotFoundError(f"image '{text}': is not here; get it with 'ctrctl pull {text}'")
        if len(found) > 1:
            raise UserError(f"image '{text}': {len(found)} images start with this id; write more of it")
        return found[0]

    def layers(self, image: Image) -> tuple[Layer, ...]:
        """The image's layers, lowest first, as they can be mounted, each once. Raises `HostError` when one is missing.

        Of a layer that comes twice the upper one counts: it sets everything the lower one set, and overlayfs refuses
        both.
        """
        return tuple(self.layer(diff_id) for diff_id in distinct(image.layers))

    def layer(self, diff_id: str) -> Layer:
        """One layer. Raises `HostError` when it is missing."""
        found = layer_at(self._layer_path(diff_id))
        if not found:
            raise HostError(f"layer {diff_id}: is missing from {self._root}/layers; pull its image again")
        return found

    def layer_size(self, diff_id: str) -> int:
        """Bytes of the layer's plain tar."""
        return size_at(self._layer_path(diff_id))

    def has_layer(self, diff_id: str) -> bool:
        return layer_at(self._layer_path(diff_id)) is not None

    def blob(self, digest: str) -> bytes:
        """A stored manifest or configuration. Raises `NotFoundError`."""
        try:
            with open(self._blob_path(digest), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise NotFoundError(f"blob {digest}: is not in {self._root}/blobs") from error

    # work in progress

    @contextlib.contextmanager
    def workspace(self) -> Iterator[str]:
        """A directory on the store's file system that is removed at the end, or swept later if this process is
        killed.
        """
        with self._lock():
            os.makedirs(f"{self._root}/tmp", exist_ok=True)
            path = f"{self._root}/tmp/{os.getpid()}-{secrets.token_hex(4)}"
            os.mkdir(path, 0o700)
            owner = _flock(path)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(owner)

    def sweep(self) -> None:
        """Remove what killed processes left: workspaces nobody holds, layers and blobs no image refers to."""
        with self._lock():
            self._sweep(self._read())

    # changing

    def add(
        self, image: Image, names: Iterable[str], layers: Iterable[NewLayer], blobs: Iterable[tuple[str, bytes]]
    ) -> Image:
        """Make *image* visible under *names*, which move here from other images; what is here already is kept.

        Raises `RetryError` when a layer that was here has been removed meanwhile.
        """
        with self._lock():
            new = tuple(layers)
            if new:
                _sync_file_system(self._root)
            for layer in new:
                self._place_layer(layer)
            for digest, data in blobs:
                self._place(self._blob_path(digest), data)
            if missing := [d for d in image.layers if not self.has_layer(d)]:
                raise RetryError(f"layer {missing[0]}: was removed while its image was stored; pull again")
            old = self._read()
            wanted = set(names)
            kept = [
                replace(i, names=tuple(n for n in i.names if n not in wanted)) for i in old.images if i.id != image.id
            ]
            before = next((i.names for i in old.images if i.id == image.id), ())
            added = replace(image, names=tuple(sorted({*before, *wanted})))
            self._write((*kept, added))
            return added

    def tag(self, text: str, name: str) -> Image:
        """Give the image *text* one more name. Raises `NotFoundError`, `UserError`."""
        image = self.find(text)
        return self.add(image, (reference.normalize(name),), (), ())

    def untag(self, text: str) -> Image:
        """Take the name *text* away; its image stays. Raises `NotFoundError` when *text* is no name here."""
        with self._lock():
            images = self._read().images
            name = _name_meant(images, text)
            if not name:
                raise NotFoundError(f"image '{text}': is not a name of an image here; see 'ctrctl images'")
            changed = tuple(replace(i, names=tuple(n for n in i.names if n != name)) for i in images)
            self._write(changed)
            return next(i for i, before in zip(changed, images, strict=True) if name in before.names)

    def remove(self, text: str, in_use: Callable[[str], tuple[str, ...]], force: bool = False) -> Removal:
        """Take a name away, and with its last name the image and the layers no other image has.

        *in_use* maps an image id to the containers that use it: such an image is refused, and with *force* only loses
        its names, because running containers have its layers mounted. An image named by id loses all its names, which
        needs *force* when there are several. Raises `NotFoundError`, `ConflictError`.
        """
        with self._lock():
            image = self.find(text)
            name = _name_meant(self.list(), text)
            if not name and len(image.names) > 1 and not force:
                raise ConflictError(
                    f"image '{text}': has the names {', '.join(image.names)}; remove them or add --force"
                )
            gone = (name,) if name else image.names
            rest = tuple(n for n in image.names if n not in gone)
            users = () if rest else in_use(image.id)
            if users and not force:
                raise ConflictError(f"image '{text}': is used by {', '.join(users)}; remove them first")
            others = tuple(i for i in self.list() if i.id != image.id)
            if rest or users:
                self._write((*others, replace(image, names=rest)))
                return Removal(gone, "", ())
            self._write(others)
            unshared = set(image.layers) - {d for other in others for d in other.layers}
            self._sweep(StoreIndex(others))
            return Removal(gone, image.id, tuple(d for d in dict.fromkeys(image.layers) if d in unshared))

    # inside

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
            lock = _flock(f"{self._root}/lock", os.O_CREAT)
        except PermissionError as error:
            raise UserError(f"{self._root}: {error.strerror}; changing the image store needs root") from error
        try:
            yield
        finally:
            os.close(lock)

    def _read(self) -> StoreIndex:
        try:
            with open(f"{self._root}/index.json", encoding="utf-8") as file:
                return codec.loads(StoreIndex, file.read())
        except FileNotFoundError:
            return StoreIndex()
        except PermissionError as error:
            raise UserError(f"{self._root}: {error.strerror}; reading the image store needs root") from error

    def _write(self, images: Iterable[Image]) -> None:
        ordered = tuple(sorted(images, key=lambda i: (i.names[:1] or ("~",), i.id)))
        self._place(f"{self._root}/index.json", codec.dumps(StoreIndex(ordered)).encode())

    def _place(self, path: str, data: bytes) -> None:
        """Write *path* so that after a crash or power cut it has its old content or its new one."""
        os.makedirs(f"{self._root}/tmp", exist_ok=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        draft = f"{self._root}/tmp/{os.getpid()}-{secrets.token_hex(4)}"
        try:
            with open(draft, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
        _sync_directory(os.path.dirname(path))

    def _place_layer(self, layer: NewLayer) -> None:
        target = self._layer_path(layer.diff_id)
        if layer_at(target):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(layer.path, target)
        _sync_directory(os.path.dirname(target))

    def _sweep(self, index: StoreIndex) -> None:
        """With the lock held. A layer goes by rename first, so that none is ever seen half removed."""
        wanted = {_hex(d) for i in index.images for d in i.layers}
        for name in _entries(f"{self._root}/layers"):
            if name not in wanted:
                os.rename(f"{self._root}/layers/{name}", f"{self._root}/tmp/{name}-{secrets.token_hex(4)}")
        blobs = {_hex(d) for i in index.images for d in (i.id, i.digest) if d}
        for name in _entries(f"{self._root}/blobs"):
            if name not in blobs:
                os.unlink(f"{self._root}/blobs/{name}")
        for name in _entries(f"{self._root}/tmp"):
            _remove_unowned(f"{self._root}/tmp/{name}")

    def _layer_path(self, diff_id: str) -> str:
        return f"{self._root}/layers/{_hex(diff_id)}"

    def _blob_path(self, digest: str) -> str:
        return f"{self._root}/blobs/{_hex(digest)}"


def layer_at(path: str) -> Layer | None:
    """The layer in directory *path*, by what lies there; None when nothing usable does."""
    if os.path.exists(f"{path}/index.erofs"):
        return Layer("erofs", f"{path}/index.erofs", f"{path}/layer.tar")
    if os.path.isdir(f"{path}/diff"):
        return Layer("directory", f"{path}/diff")
    return None


def size_at(path: str) -> int:
    """Bytes of the plain tar of the layer in directory *path*, as `layers.receive` noted it."""
    with open(f"{path}/size", encoding="ascii") as file:
        return int(file.read())


def distinct(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """*diff_ids* without repetitions: the last of each stays in its place."""
    return tuple(reversed(dict.fromkeys(reversed(diff_ids))))


def _by_name(images: tuple[Image, ...], text: str) -> tuple[Image, ...]:
    name = _name_meant(images, text)
    return tuple(i for i in images if name and name in i.names)


def _name_meant(images: tuple[Image, ...], text: str) -> str:
    """The full name among *images* that *text* means, or ''."""
    known = {n for i in images for n in i.names}
    try:
        return next((name for name in reference.candidates(text) if name in known), "")
    except UserError:
        return ""


def _by_digest(images: tuple[Image, ...], text: str) -> tuple[Image, ...]:
    digits = text.removeprefix("sha256:")
    if "@" in text:
        repository, _, digest = text.partition("@")
        return tuple(i for i in images if digest == i.digest and _has_repository(i, repository))
    if len(digits) < _MIN_PREFIX or not set(digits) <= set("0123456789abcdef"):
        return ()
    return tuple(i for i in images if _hex(i.id).startswith(digits) or (text == i.digest))


def _has_repository(image: Image, text: str) -> bool:
    try:
        wanted = {reference.parse(name).repository for name in reference.candidates(text)}
    except UserError:
        return False
    return any(reference.parse(name).repository in wanted for name in image.names)


def _hex(digest: str) -> str:
    """File name of *digest*. The check is the store's own guard: whatever was parsed before, no name leaves the
    store.
    """
    if not reference.is_digest(digest):
        raise UserError(f"'{digest[:80]}' is not a sha256 digest")
    return digest.removeprefix("sha256:")


def _flock(path: str, flags: int = 0) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _remove_unowned(path: str) -> None:
    """Remove *path* unless a live process holds its lock."""
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _sync_file_system(path: str) -> None:
    """syncfs(2): no name may ever stand for content that a power cut took."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
