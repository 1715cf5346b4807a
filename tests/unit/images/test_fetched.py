"""What the further name of an image was fetched from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.images.fetched import Fetched, facts, is_from, remember
from supervisor.images.store import Store
from supervisor.paths import Layout
from supervisor.spec.image import Image, ImageConfig

ID, OTHER = ("sha256:" + letter * 64 for letter in "ab")


def _add(layout: Layout, image: str, *names: str) -> Image:
    made = Image(image, "", (), "amd64", "linux", "", 0, (), ImageConfig())
    return Store(layout).add(made, names, (), ((image, b"{}"),))


def test_a_name_is_of_what_was_fetched(tmp_path: Path) -> None:
    """Not of anything else, also when another image has the reference's own name now; another image with the name was
    not fetched for it."""
    layout = Layout(str(tmp_path))
    image = _add(layout, ID, "localhost/x:latest", "quay.io/x:1")
    assert is_from(layout, "localhost/x", "quay.io/x:1", image)  # by its names
    assert not is_from(layout, "localhost/x", "quay.io/x:2", image)
    remember(layout, Fetched("localhost/x", "quay.io/x:1", ID))
    other = _add(layout, OTHER, "quay.io/x:1")
    assert is_from(layout, "localhost/x", "quay.io/x:1", image)
    assert not is_from(layout, "localhost/x", "quay.io/x:2", image)
    assert not is_from(layout, "localhost/x", "quay.io/x:2", other)


def test_entries_go_with_their_images(tmp_path: Path) -> None:
    """One for each name, as long as it is that image's."""
    layout = Layout(str(tmp_path))
    _add(layout, ID, "localhost/x:latest")
    remember(layout, Fetched("localhost/gone", "quay.io/x:1", ID))
    for reference in ("quay.io/x:1", "quay.io/x:2"):
        remember(layout, Fetched("localhost/x", reference, ID))
    text = Path(layout.images, "fetched.json").read_text()
    assert text.count('"reference"') == 1 and "x:2" in text


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("docker-archive:{}/x.tar:web:1", "x.tar"),
        ("oci-archive:{}/x.tar", "x.tar"),
        ("oci:{}/x:name", "x/index.json"),
        ("dir:{}/x", "x/manifest.json"),
    ],
)
def test_a_file_that_changed(tmp_path: Path, reference: str, file: str) -> None:
    """What is in it now was not fetched; one that is gone has nothing else to give."""
    layout = Layout(str(tmp_path))
    reference, path = reference.format(tmp_path), tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("one")
    image = _add(layout, ID, "localhost/x:latest")
    assert not is_from(layout, "localhost/x", reference, image)
    remember(layout, Fetched("localhost/x", reference, ID, facts(reference)))
    assert is_from(layout, "localhost/x", reference, image)
    os.utime(path, (1, 1))
    assert not is_from(layout, "localhost/x", reference, image)
    path.unlink()
    if path.parent != tmp_path:
        path.parent.rmdir()
    assert is_from(layout, "localhost/x", reference, image)
