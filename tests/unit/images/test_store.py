"""The store on a temporary directory: names, sharing, removal, sweeping."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.errors import ConflictError, HostError, NotFoundError, RetryError, UserError
from supervisor.images.store import NewLayer, Store, distinct
from supervisor.paths import Layout
from supervisor.spec.image import Image, ImageConfig

WEB = "docker.io/library/web:latest"


def sha(character: str) -> str:
    return "sha256:" + character * 64


def image(identity: str, *layers: str) -> Image:
    return Image(sha(identity), "", (), "amd64", "linux", "", 0, tuple(map(sha, layers)), ImageConfig())


class Shelf:
    """A store and a way to put images into it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(str(root))
        self.store = Store(self.layout)

    def add(self, identity: str, *layers: str, names: tuple[str, ...] = (), digest: str = "") -> Image:
        with self.store.workspace() as work:
            made = []
            for layer in layers:
                os.makedirs(f"{work}/{layer}/diff")
                Path(f"{work}/{layer}/size").write_text("1\n")
                made.append(NewLayer(sha(layer), f"{work}/{layer}"))
            wanted = replace(image(identity, *layers), digest=digest)
            return self.store.add(wanted, names, made, [(wanted.id, b"{}")])

    def on_disk(self, kind: str) -> set[str]:
        return {name[:1] for name in os.listdir(f"{self.layout.images}/{kind}")}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def nobody(_: str) -> tuple[str, ...]:
    return ()


def test_an_image_is_found_by_every_kind_of_name(shelf: Shelf) -> None:
    """Full, short, id, prefix, digest, name and digest; localhost wins over docker.io."""
    web = shelf.add("a", "1", names=(WEB,), digest=sha("d"))
    for text in (WEB, "web", web.id, "a" * 64, "aaaa", sha("d"), f"web@{sha('d')}"):
        assert shelf.store.find(text) == web, text
    local = shelf.add("b", "1", names=("localhost/web:latest",))
    assert shelf.store.find("web") == local
    for text in ("aaa", "other", "web:2", f"web@{sha('e')}", "UPPER", "../x"):
        with pytest.raises(NotFoundError):
            shelf.store.find(text)


def test_an_ambiguous_prefix_is_refused(shelf: Shelf) -> None:
    """Two ids with the same beginning."""
    shelf.add("a", "1")
    other = replace(image("a", "1"), id="sha256:" + "a" * 63 + "b")
    shelf.store.add(other, (), (), ())
    with pytest.raises(UserError, match="2 images"):
        shelf.store.find("aaaa")


def test_a_name_moves_to_the_newer_image(shelf: Shelf) -> None:
    """The older one stays, without it."""
    shelf.add("a", "1", names=(WEB,))
    shelf.add("b", "2", names=(WEB,))
    assert [(i.id, i.names) for i in shelf.store.list()] == [(sha("b"), (WEB,)), (sha("a"), ())]


def test_layers_are_kept_while_an_image_has_them(shelf: Shelf) -> None:
    """Removal takes the layers and blobs no other image has."""
    shelf.add("a", "1", "2", names=(WEB,))
    shelf.add("b", "1", "3", names=("localhost/b:1",))
    removed = shelf.store.remove("web", nobody)
    assert (removed.names, removed.image, removed.layers) == ((WEB,), sha("a"), (sha("2"),))
    assert shelf.on_disk("layers") == {"1", "3"}
    assert shelf.on_disk("blobs") == {"b"}
    assert shelf.on_disk("tmp") == set()


def test_an_image_in_use_is_kept(shelf: Shelf) -> None:
    """Refused with the users' names; with force it loses only its name."""
    shelf.add("a", "1", names=(WEB,))
    with pytest.raises(ConflictError, match="is used by one, two"):
        shelf.store.remove("web", lambda _: ("one", "two"))
    assert shelf.store.remove("web", lambda _: ("one",), force=True).image == ""
    assert shelf.store.find(sha("a")).names == ()
    assert shelf.on_disk("layers") == {"1"}


def test_one_of_several_names(shelf: Shelf) -> None:
    """A name goes alone; an id means all of them, which needs force."""
    shelf.add("a", "1", names=(WEB, "localhost/b:1"))
    with pytest.raises(ConflictError, match="has the names"):
        shelf.store.remove(sha("a"), nobody)
    assert shelf.store.remove("web", nobody).image == ""
    shelf.store.tag("b:1", "c")
    assert shelf.store.untag("c").names == ("localhost/b:1",)
    assert shelf.store.remove(sha("a"), nobody, force=True).image == sha("a")


def test_what_killed_processes_left_is_swept_and_what_live_ones_hold_is_not(shelf: Shelf) -> None:
    """A workspace whose lock nobody holds, a layer and a blob no image has."""
    shelf.add("a", "1")
    for path in ("tmp/1-dead/sub", f"layers/{'9' * 64}/diff"):
        os.makedirs(f"{shelf.layout.images}/{path}")
    Path(f"{shelf.layout.images}/blobs/{'9' * 64}").write_text("x")
    Path(f"{shelf.layout.images}/tmp/draft").write_text("x")
    with shelf.store.workspace() as mine:
        shelf.store.sweep()
        shelf.store.sweep()
        assert os.listdir(f"{shelf.layout.images}/tmp") == [os.path.basename(mine)]
    assert shelf.on_disk("layers") == {"1"}
    assert shelf.on_disk("blobs") == {"a"}


def test_an_image_with_a_missing_layer_does_not_become_visible(shelf: Shelf) -> None:
    """Somebody removed the layer meanwhile: try again."""
    with pytest.raises(RetryError, match="pull again"):
        shelf.store.add(image("a", "1"), (WEB,), (), ())
    assert shelf.store.list() == ()


def test_layers_come_lowest_first_and_once(shelf: Shelf) -> None:
    """Of a repeated layer the upper one counts."""
    assert distinct(("a", "b", "a", "c")) == ("b", "a", "c")
    web = shelf.add("a", "1", "2")
    assert [layer.path.rsplit("/", 2)[1][:1] for layer in shelf.store.layers(web)] == ["1", "2"]
    with pytest.raises(HostError, match="is missing"):
        shelf.store.layers(image("b", "7"))


@pytest.mark.parametrize("digest", ["sha256:" + "../" * 21 + "x", "x", "sha256:" + "A" * 64])
def test_no_digest_leaves_the_store(shelf: Shelf, digest: str) -> None:
    """Only real digests become file names."""
    with pytest.raises(UserError, match="is not a sha256 digest"):
        shelf.store.blob(digest)
