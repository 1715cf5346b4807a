"""An image of the store as a directory that other tools read (``dir:`` of containers-transports(5)), and back.

A layer that is kept as its tar is not copied, only linked to; one that is kept as a directory is made a tar again. The
files are what they were, but the digest may be another, for the store adds to a tar what mkfs.erofs needs (`layers`).
So the image can have another id over there, and what is built from it is told by `adopt` which layers it shares.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile

from supervisor.images.manifest import digest_of
from supervisor.images.store import Store
from supervisor.spec.image import Image, Layer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_OPAQUE = "trusted.overlay.opaque"
_OVERLAY = "trusted.overlay."
_XATTR = "SCHILY.xattr."


#: Digest of a layer's tar over there, and the diff ID it has here.
Layers = tuple[tuple[str, str], ...]


def export(store: Store, image: Image, target: str) -> Layers:
    """Make the directory *target*; returns the layers whose digests differ.

    Raises `HostError` when a layer is missing, OSError.
    """
    os.makedirs(target)
    config = json.loads(store.blob(image.id))
    # Docker's form has all that an image may say, also what OCI's has no place for (a health check).
    digests = [_put_layer(store.layer(diff_id), target) for diff_id in image.layers]
    config["rootfs"]["diff_ids"] = digests
    if sum(not step.get("empty_layer") for step in config.get("history") or ()) != len(digests):
        config["history"] = [{"created_by": "unknown"}] * len(digests)  # buildah 1.28 wants one for each layer
    data = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(data), "digest": digest_of(data)},
        "layers": [
            {"mediaType": _LAYER, "size": os.stat(_path(target, digest)).st_size, "digest": digest}
            for digest in digests
        ],
    }
    _write(_path(target, digest_of(data)), data)
    _write(f"{target}/manifest.json", json.dumps(manifest).encode())
    _write(f"{target}/version", b"Directory Transport Version: 1.1\n")
    return tuple((there, here) for there, here in zip(digests, image.layers, strict=True) if there != here)


def adopt(store: Store, directory: str, layers: Layers) -> None:
    """Give the image in *directory*, made from exported ones, the layers that are here already. Raises OSError."""
    here = {there: diff_id for there, diff_id in layers if store.has_layer(diff_id)}
    with open(f"{directory}/manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    with open(_path(directory, manifest["config"]["digest"]), encoding="utf-8") as file:
        config = json.load(file)
    before = config["rootfs"]["diff_ids"]
    after = [here.get(diff_id, diff_id) for diff_id in before]
    if after == before:
        return
    config["rootfs"]["diff_ids"] = after
    data = json.dumps(config).encode()
    manifest["config"] |= {"size": len(data), "digest": digest_of(data)}
    _write(_path(directory, digest_of(data)), data)
    _write(f"{directory}/manifest.json", json.dumps(manifest).encode())


def _path(target: str, digest: str) -> str:
    return f"{target}/{digest.removeprefix('sha256:')}"


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _put_layer(layer: Layer, target: str) -> str:
    """The layer in *target*; its digest there."""
    if layer.data:
        digest = _digest(layer.data)
        if not os.path.lexists(_path(target, digest)):
            os.symlink(layer.data, _path(target, digest))
        return digest
    draft = f"{target}/layer"
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
        _Packer(archive, layer.path).directory("", os.lstat(layer.path))
    digest = _digest(draft)
    os.rename(draft, _path(target, digest))
    return digest


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class _Packer:
    """Writes an overlayfs directory as a layer (OCI image specification, layer.md), always in the same order."""

    def __init__(self, archive: tarfile.TarFile, root: str) -> None:
        self._archive = archive
        self._root = root
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, name: str, status: os.stat_result) -> None:
        path = f"{self._root}/{name}"
        info = self._info(name or ".", status, path)
        opaque = _OPAQUE in os.listxattr(path)
        info.type = tarfile.DIRTYPE
        self._archive.addfile(info)
        if opaque:
            self._archive.addfile(tarfile.TarInfo(f"{name}/.wh..wh..opq".lstrip("/")))
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries)
        for child in names:
            below = f"{name}/{child}".lstrip("/")
            self._member(below, child, os.lstat(f"{self._root}/{below}"))

    def _member(self, name: str, last: str, status: os.stat_result) -> None:
        path = f"{self._root}/{name}"
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            self.directory(name, status)
            return
        if stat.S_ISCHR(mode) and status.st_rdev == 0:
            self._archive.addfile(tarfile.TarInfo(f"{name.removesuffix(last)}.wh.{last}"))
            return
        info = self._info(name, status, path)
        first = self._links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if first != name:
            info.type, info.linkname = tarfile.LNKTYPE, first
            self._archive.addfile(info)
        elif stat.S_ISREG(mode):
            info.size = status.st_size
            with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NOFOLLOW)) as file:
                self._archive.addfile(info, file)
        else:
            _special(info, status, path)
            self._archive.addfile(info)

    def _info(self, name: str, status: os.stat_result, path: str) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid, info.mtime = status.st_uid, status.st_gid, int(status.st_mtime)
        for attribute in sorted(os.listxattr(path, follow_symlinks=False)):
            if not attribute.startswith((_OVERLAY, "security.selinux")):
                value = os.getxattr(path, attribute, follow_symlinks=False)
                info.pax_headers = {
                    **info.pax_headers,
                    f"{_XATTR}{attribute}": value.decode("utf-8", "surrogateescape"),
                }
        return info


def _special(info: tarfile.TarInfo, status: os.stat_result, path: str) -> None:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    else:
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
