"""Archives and layouts on disk: what is offered, under which names, and how members are found."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.errors import HostError, NotFoundError, UserError
from supervisor.images.archives import ArchiveFiles, DirectoryFiles, detect, full_names, open_archive, opened
from supervisor.images.layers import Budget
from supervisor.images.manifest import Descriptor
from supervisor.images.reference import Source, Transport
from supervisor.images.workers import Workers
from tests.unit.images import hired

A, B = ("sha256:" + c * 64 for c in "ab")
CONFIG = json.dumps({"rootfs": {"diff_ids": [A]}}).encode()


@pytest.fixture
def workers() -> Iterator[Workers]:
    with hired.workers() as made:
        yield made


def tar(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def docker_archive(path: Path) -> Path:
    listed = [
        {"Config": "one.json", "RepoTags": ["web:1", "other:2"], "Layers": ["x/layer.tar"]},
        {"Config": "one.json", "RepoTags": None, "Layers": ["x/layer.tar"]},
    ]
    members = {"manifest.json": json.dumps(listed).encode(), "one.json": CONFIG, "y/layer.tar": b"content"}
    return tar(path, members, {"x/layer.tar": "../y/layer.tar"})


def test_a_docker_archive_offers_all_its_images(tmp_path: Path, workers: Workers) -> None:
    """With the names it gives, layers found by diff ID, through the links old versions of docker write."""
    path = docker_archive(tmp_path / "web.tar")
    source = detect(str(path), str(tmp_path), Budget(0), workers)
    assert source == Source(Transport.DOCKER_ARCHIVE, str(path))
    origin, offers = open_archive(source, str(tmp_path), Budget(0), workers)
    assert [offer.names for offer in offers] == [("docker.io/library/web:1", "docker.io/library/other:2"), ()]
    with origin.layer(Descriptor(A)) as parts:
        assert b"".join(parts) == b"content"
    _, chosen = open_archive(Source(Transport.DOCKER_ARCHIVE, str(path), "other:2"), str(tmp_path), Budget(0), workers)
    assert len(chosen) == 1
    with pytest.raises(NotFoundError):
        open_archive(Source(Transport.DOCKER_ARCHIVE, str(path), "none"), str(tmp_path), Budget(0), workers)


def test_a_compressed_archive_is_expanded_within_the_budget(tmp_path: Path, workers: Workers) -> None:
    """A bomb instead of an archive ends at the limit."""
    plain = docker_archive(tmp_path / "plain.tar").read_bytes()
    packed = tmp_path / "web.tar.gz"
    packed.write_bytes(gzip.compress(plain))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(HostError, match="free some space"):
        detect(str(packed), str(tmp_path / "scratch"), Budget(1000), workers)
    (tmp_path / "other").mkdir()
    source = detect(str(packed), str(tmp_path / "other"), Budget(len(plain)), workers)
    assert source.transport is Transport.DOCKER_ARCHIVE


@pytest.mark.parametrize("name", ["probe", "layer"])
def test_a_compressed_archive_may_have_any_name(tmp_path: Path, workers: Workers, name: str) -> None:
    """Also that of something in the workspace; it is kept, for an image without a full name is called after it."""
    plain = docker_archive(tmp_path / "plain.tar").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(plain))
    (tmp_path / "scratch" / name).mkdir(parents=True)
    source = detect(str(tmp_path / name), str(tmp_path / "scratch"), Budget(len(plain)), workers)
    assert full_names(("1",), source.path) == (f"localhost/{name}:1",)


def test_a_compressed_archive_that_is_cut_short_is_named(tmp_path: Path, workers: Workers) -> None:
    """The reason comes from a worker, which knows no path."""
    cut = tmp_path / "web.tar.gz"
    cut.write_bytes(gzip.compress(os.urandom(1000))[:-50])
    with pytest.raises(UserError, match=f"^{cut}: compressed data ends too early"):
        detect(str(cut), str(tmp_path), Budget(10000), workers)


def test_what_would_keep_us_waiting_is_refused(tmp_path: Path, workers: Workers) -> None:
    """A fifo, named or in the place of a blob, and a device: with the path, and at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("fifo", "device"):
        with pytest.raises(UserError, match=f"^{tmp_path / name}: is not a regular file"):
            detect(str(tmp_path / name), str(tmp_path), Budget(0), workers)
    with (
        pytest.raises(UserError, match="web: fifo: is not a regular file"),
        opened(DirectoryFiles(str(tmp_path)), "fifo", "web"),
    ):
        pass


def test_links_in_a_directory_stay_in_it(tmp_path: Path) -> None:
    """Blobs may be links to each other, relative or absolute, and the directory may be one; nothing outside is opened,
    whichever way it is named, for what is opened may go to a worker that is somebody else's by now."""
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "layout"
    (inside / "blobs").mkdir(parents=True)
    (inside / "blobs/real").write_bytes(b"content")
    (inside / "blobs/relative").symlink_to("../blobs/real")
    (inside / "blobs/absolute").symlink_to(inside / "blobs/real")
    (inside / "linked").symlink_to("blobs")
    (inside / "blobs/out").symlink_to("../../secret")
    (inside / "blobs/out-absolute").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to("..")
    (tmp_path / "named").symlink_to("layout")
    files = DirectoryFiles(str(tmp_path / "named"))
    for name in ("blobs/real", "blobs/relative", "blobs/absolute", "linked/real"):
        with opened(files, name, "web") as member:
            assert member.read(100) == b"content"
    for name in ("blobs/out", "blobs/out-absolute", "up/secret", "../secret", str(tmp_path / "secret")):
        with pytest.raises(UserError, match=r"leads out of the directory|has no"), opened(files, name, "web"):
            pass


def test_a_directory_or_archive_that_is_swapped_is_not_followed(tmp_path: Path) -> None:
    """What was opened first is what is read, whatever the path leads to in the meantime."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "blob").write_text(name)
        tar(tmp_path / name / "tar", {"blob": name.encode()})
    (tmp_path / "path").symlink_to("one")
    both = DirectoryFiles(str(tmp_path / "path")), ArchiveFiles(str(tmp_path / "path/tar"))
    (tmp_path / "one").rename(tmp_path / "moved")
    (tmp_path / "one").symlink_to("two")
    for files in both:
        with opened(files, "blob", "web") as member:
            assert member.read(100) == b"one"


def test_a_layout_offers_the_named_image_or_all(tmp_path: Path, workers: Workers) -> None:
    """By annotation."""
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    for digest, data in ((A, b"first"), (B, b"second")):
        (blobs / digest[7:]).write_bytes(data)
    entries = [
        {"digest": A, "annotations": {"org.opencontainers.image.ref.name": "1.0"}},
        {"digest": B, "annotations": {"io.containerd.image.name": "quay.io/web:2"}},
    ]
    (tmp_path / "index.json").write_text(json.dumps({"manifests": entries}))
    source = detect(str(tmp_path), "", Budget(0), workers)
    stem = tmp_path.name.split(".")[0].lower()
    _, offers = open_archive(source, "", Budget(0), workers)
    assert [(o.names, o.manifest) for o in offers] == [
        (full_names(("1.0",), str(tmp_path)), b"first"),
        (("quay.io/web:2",), b"second"),
    ]
    assert full_names(("1.0",), "/srv/web.tar") == ("localhost/web:1.0",)
    assert stem
    _, one = open_archive(Source(Transport.OCI, str(tmp_path), "1.0"), "", Budget(0), workers)
    assert [o.manifest for o in one] == [b"first"]
    with pytest.raises(NotFoundError, match=r"it has 1\.0, quay\.io/web:2"):
        open_archive(Source(Transport.OCI, str(tmp_path), "3"), "", Budget(0), workers)


def test_links_in_an_archive_stay_in_it(tmp_path: Path) -> None:
    """A link out of the archive, or to itself, is a member that is not there."""
    files = ArchiveFiles(
        str(tar(tmp_path / "t.tar", {"a": b"x"}, {"out": "/etc/passwd", "up": "../../a", "self": "self"}))
    )
    for name in ("out", "self", "none"):
        with pytest.raises(FileNotFoundError):
            files.open(name)


def test_what_is_no_archive_says_so(tmp_path: Path, workers: Workers) -> None:
    """With what to use instead for a root file system."""
    with pytest.raises(UserError, match="image import"):
        detect(str(tar(tmp_path / "root.tar", {"etc/passwd": b""})), "", Budget(0), workers)
    (tmp_path / "text").write_text("no tar")
    with pytest.raises(UserError, match="is not a tar archive"):
        detect(str(tmp_path / "text"), "", Budget(0), workers)
    with pytest.raises(NotFoundError, match="does not exist"):
        detect(str(tmp_path / "none"), "", Budget(0), workers)
    with pytest.raises(UserError, match="OCI layout was expected"):
        detect(str(tmp_path), "", Budget(0), workers)
    with pytest.raises(NotFoundError, match=r"/none: does not exist"):
        open_archive(Source(Transport.OCI, str(tmp_path / "none")), "", Budget(0), workers)
