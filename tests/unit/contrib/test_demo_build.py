"""The demo image builder: what it makes of files and packages, without apt."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[3] / "contrib" / "demo"
sys.path.insert(0, str(DEMO))

from imagebuild import archive, layers, packages, recipes  # noqa: E402


def file(content: bytes = b"x") -> layers.Node:
    return layers.Node(tarfile.REGTYPE, 0o644, content)


def members(layer: layers.Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.blob))) as tar:
        return {member.name: member for member in tar}


def test_a_layer_depends_on_its_files_and_not_on_their_order() -> None:
    """The same files give the same blob, whatever order packages brought them in."""
    one = layers.pack({"etc/a": file(), "usr/bin/b": file(b"b")})
    other = layers.pack({"usr/bin/b": file(b"b"), "etc/a": file()})
    assert one == other
    assert one.digest == layers.digest(one.blob)
    assert one.diff_id == layers.digest(gzip.decompress(one.blob))


def test_a_layer_has_every_parent_before_its_children() -> None:
    """A runtime that unpacks in order finds each directory, with the mode that the recipe wants."""
    names = list(members(layers.pack({"a/b/c": file(), "a/b": layers.Node(tarfile.DIRTYPE, 0o700)})))
    assert names == ["a", "a/b", "a/b/c"]
    assert members(layers.pack({"a/b/c": file(), "a/b": layers.Node(tarfile.DIRTYPE, 0o700)}))["a/b"].mode == 0o700


def test_files_belong_to_root_and_have_one_time() -> None:
    """Neither the builder's user nor the clock shows in a layer."""
    for member in members(layers.pack({"etc/a": file()})).values():
        assert (member.uid, member.gid, member.mtime) == (0, 0, layers.TIMESTAMP)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./bin/sh", "usr/bin/sh"),
        ("./lib64", "usr/lib64"),
        ("./usr/bin/env", "usr/bin/env"),
        ("./library/x", "library/x"),
    ],
)
def test_packages_from_before_the_merge_of_usr_land_below_usr(name: str, path: str) -> None:
    """Debian 12 ships /bin/x and /lib/x; the image has /bin and /lib as links."""
    assert layers.merged_path(name) == path


def test_documentation_is_left_out_and_copyright_stays() -> None:
    """What the licences ask for is kept."""
    assert layers.is_left_out("usr/share/doc/nginx/changelog.gz", ())
    assert not layers.is_left_out("usr/share/doc/nginx/copyright", ())
    assert layers.is_left_out("usr/lib/postgresql/15/lib/llvmjit.so", ("usr/lib/postgresql/*/lib/llvmjit",))
    assert not layers.is_left_out("usr/lib/postgresql/15/lib/plpgsql.so", ("usr/lib/postgresql/*/lib/llvmjit",))


def test_an_archive_is_an_oci_layout_whose_parts_fit_together(tmp_path: Path) -> None:
    """index.json leads to a manifest, a configuration and layers whose digests and sizes are right."""
    path = tmp_path / "nginx.tar"
    layer = layers.pack({"etc/a": file()})
    archive.write(path, recipes.RECIPES["nginx"], [layer], "amd64", "key-1")
    with tarfile.open(path) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    index = json.loads(content["index.json"])
    (entry,) = index["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "localhost/nginx:latest"
    manifest = json.loads(blob(content, entry))
    config = json.loads(blob(content, manifest["config"]))
    assert [blob(content, descriptor) for descriptor in manifest["layers"]] == [layer.blob]
    assert config["rootfs"]["diff_ids"] == [layer.diff_id]
    assert config["config"]["StopSignal"] == "SIGQUIT"
    assert archive.read_key(path) == "key-1"
    assert list(tmp_path.iterdir()) == [path]


def blob(content: dict[str, bytes], descriptor: dict[str, str]) -> bytes:
    data = content["blobs/" + descriptor["digest"].replace(":", "/")]
    assert len(data) == int(descriptor["size"]) and layers.digest(data) == descriptor["digest"]
    return data


def test_an_archive_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A reader sees the old archive or the new one, never half of one."""
    path = tmp_path / "nginx.tar"
    path.mkdir()  # os.replace() of a file onto a directory fails
    with pytest.raises(OSError):
        archive.write(path, recipes.RECIPES["nginx"], [layers.pack({})], "amd64", "key")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 10240])
def test_a_file_that_is_not_an_archive_has_no_key(tmp_path: Path, content: bytes) -> None:
    """A truncated or foreign file is built again, and does not stop the build."""
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    assert archive.read_key(path) is None
    assert archive.read_key(tmp_path / "absent.tar") is None


def test_every_recipe_stands_on_a_known_one_and_has_root() -> None:
    """A typing error in the table is found here and not in a build."""
    for recipe in recipes.RECIPES.values():
        assert recipe.base is None or recipe.base in recipes.RECIPES
        assert recipe.packages and recipe.command
        assert any(user.name == "root" and user.number == 0 for user in recipe.users)


def test_apt_is_told_that_left_out_packages_are_installed() -> None:
    """The private status file has a paragraph for each, newer than any version that is asked for."""
    status = packages.status_file(("perl", "debconf"), "amd64")
    assert status.count("Status: install ok installed") == 2
    assert "Package: perl\n" in status and "Version: 999:0" in status


def test_an_unknown_image_is_named_with_those_that_exist(tmp_path: Path) -> None:
    """The person learns what can be built; nothing is downloaded first."""
    environment = {**os.environ, "CTR_TESTBED_CACHE": str(tmp_path)}
    done = subprocess.run([DEMO / "build", "ngnix"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "'ngnix' is not known; choose from busybox, nginx" in done.stderr
    assert list(tmp_path.iterdir()) == []
