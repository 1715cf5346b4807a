"""Images of the store as other tools read them, and what comes back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from supervisor.images.exporting import adopt, export
from supervisor.images.manifest import digest_of
from supervisor.images.store import NewLayer, Store
from supervisor.paths import Layout
from supervisor.spec.image import Image, ImageConfig

UPPER, LOWER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def _store(tmp_path: Path) -> tuple[Store, Image]:
    """An image of two layers: a directory, and a tar to which the store has added something."""
    store = Store(Layout(str(tmp_path)))
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    (lower / "index.erofs").touch()
    (lower / "layer.tar").write_bytes(b"\0" * 1024)
    (lower / "size").write_text("512")
    (upper / "diff/sub").mkdir(parents=True)
    (upper / "size").write_text("512")
    (upper / "diff/sub/file").write_text("hello")
    os.link(upper / "diff/sub/file", upper / "diff/again")
    (upper / "diff/link").symlink_to("/etc")
    os.mkfifo(upper / "diff/fifo")
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [LOWER, UPPER]}, "os": "linux"}).encode()
    image = Image(digest_of(config), "", (), "amd64", "linux", "", 0, (LOWER, UPPER), ImageConfig())
    layers = (NewLayer(LOWER, str(lower)), NewLayer(UPPER, str(upper)))
    return store, store.add(image, ("localhost/x:latest",), layers, ((image.id, config),))


def _blob(directory: Path, digest: str) -> bytes:
    data = (directory / digest.removeprefix("sha256:")).read_bytes()
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    return data


def test_what_is_exported_is_an_image(tmp_path: Path) -> None:
    """Every digest is that of what lies there, and a directory is a tar again, always the same."""
    store, image = _store(tmp_path)
    layers = export(store, image, str(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    config = json.loads(_blob(tmp_path / "out", manifest["config"]["digest"]))
    digests = [layer["digest"] for layer in manifest["layers"]]
    assert config["rootfs"]["diff_ids"] == digests
    assert len(config["history"]) == 2  # which this image said nothing of
    assert dict(layers) == dict(zip(digests, (LOWER, UPPER), strict=True))
    with tarfile.open(fileobj=io.BytesIO(_blob(tmp_path / "out", digests[1]))) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == [".", "again", "fifo", "link", "sub", "sub/file"]
    assert members["sub/file"].islnk()
    assert members["link"].linkname == "/etc"
    assert export(store, image, str(tmp_path / "twice")) == layers


def test_what_is_built_from_it_shares_its_layers(tmp_path: Path) -> None:
    """Its configuration names the store's own layers again; one that is not here any more stays as it came."""
    store, image = _store(tmp_path)
    out = tmp_path / "out"
    layers = export(store, image, str(out))
    adopt(store, str(out), (*layers, ("sha256:" + "8" * 64, "sha256:" + "9" * 64)))
    manifest = json.loads((out / "manifest.json").read_text())
    assert json.loads(_blob(out, manifest["config"]["digest"]))["rootfs"]["diff_ids"] == [LOWER, UPPER]
    before = (out / "manifest.json").read_text()
    adopt(store, str(out), layers)
    assert (out / "manifest.json").read_text() == before
