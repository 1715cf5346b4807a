"""What an image calls a volume: when it becomes one, of what kind, and what of it is deployed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.paths import Layout
from supervisor.render.image_volumes import image_volumes
from supervisor.render.tree import Networking, Tree, tree
from supervisor.spec import codec
from supervisor.spec.container import Container, ImageVolumes, Mount, MountType
from supervisor.spec.image import ImageConfig, Layer
from supervisor.spec.network import NetworkMode
from supervisor.spec.record import Record
from supervisor.spec.secret import Secret
from supervisor.spec.userns import IdMaps, IdRange, UserNamespace
from supervisor.spec.volumes import anonymous
from tests.unit.render.sample import FACTS, IMAGE, container

LAYERS = (Layer("directory", "/layers/1"),)
NAME = anonymous("web", "/data")


def targets(*paths: str, **changes: Any) -> tuple[str, ...]:
    return tuple(mount.target for mount in image_volumes(container(**changes), ImageConfig(volumes=paths)))


def deployed(maps: IdMaps | None = None, **changes: Any) -> Tree:
    image = dataclasses.replace(IMAGE, config=dataclasses.replace(IMAGE.config, volumes=("/data",)))
    one = container(network=NetworkMode.NONE, **changes)
    return tree(one, image, LAYERS, FACTS, Layout(), networking=Networking(id_maps=maps))


def test_each_is_an_anonymous_volume() -> None:
    """Named after the container and its place, so the next deployment finds it again."""
    assert image_volumes(container(), ImageConfig(volumes=("/data", "/srv/x"))) == (
        Mount(MountType.VOLUME, "/data", NAME),
        Mount(MountType.VOLUME, "/srv/x", anonymous("web", "/srv/x")),
    )


@pytest.mark.parametrize(
    ("path", "target"),
    [("/a/", "/a"), ("a", "/a"), ("../a", "/a"), ("//a/../b", "/b"), ("/x:y", "/x:y"), ("/processes", "/processes")],
)
def test_a_path_is_read_as_podman_reads_it(path: str, target: str) -> None:
    """From the root, whatever it looks like."""
    assert targets(path) == (target,)


@pytest.mark.parametrize("path", ["", "/", ".", "/..", "/proc", "/proc/sys", "sys", "/dev/", "/a/../dev/shm"])
def test_nothing_lies_over_the_root_or_the_kernel(path: str) -> None:
    """An image that covers /proc would take from the container what confines it (CVE-2019-16884)."""
    assert targets(path) == ()


@given(st.lists(st.text("/.ab", max_size=8), max_size=4))
def test_targets_are_absolute_and_differ(paths: list[str]) -> None:
    """Whatever the image says, deploying is not refused for it."""
    found = targets(*paths)
    assert len(set(found)) == len(found)
    assert all(target.startswith("/") and ".." not in target.split("/") and target != "/" for target in found)


def test_what_the_author_mounts_wins() -> None:
    """A mount on the same target, of any kind, a secret, or the tmpfs of a read-only root; not one above it."""
    for kind in (MountType.BIND, MountType.VOLUME, MountType.TMPFS):
        assert targets("/data/", mounts=(Mount(kind, "/data", "/x"),)) == ()
    assert targets("/data", mounts=(Mount(MountType.TMPFS, "/data/"),)) == ()
    assert targets("/run/token", secrets=(Secret("token", "/run/token"),)) == ()
    assert targets("/tmp", "/data", read_only=True) == ("/data",)
    assert targets("/tmp", read_only=True, read_only_tmpfs=False) == targets("/tmp") == ("/tmp",)
    assert targets("/data/x", mounts=(Mount(MountType.BIND, "/data", "/x"),)) == ("/data/x",)


def test_the_author_chooses_what_they_are() -> None:
    """podman's words: an empty file system in memory, or a directory like others."""
    assert targets("/data", image_volumes=ImageVolumes.IGNORE) == ()
    in_memory = container(image_volumes=ImageVolumes.TMPFS)
    (mount,) = image_volumes(in_memory, ImageConfig(volumes=("/data",)))
    assert (mount.type, mount.source) == (MountType.TMPFS, "")
    (found,) = (m for m in json.loads(deployed(image_volumes=ImageVolumes.TMPFS).text("config.json") or "")["mounts"]
                if m["destination"] == "/data")  # fmt: skip
    assert found["type"] == "tmpfs" and "tmpcopyup" not in found["options"]


def test_it_is_mounted_filled_and_waited_for() -> None:
    """As one that the author named; only the spec stays what its author meant, and the record knows the rest."""
    made = deployed()
    document = json.loads(made.text("config.json") or "")
    (found,) = (mount for mount in document["mounts"] if mount["destination"] == "/data")
    assert found["source"] == f"/var/lib/ctr/volumes/{NAME}"
    plan = (made.text("plan") or "").splitlines()
    assert f"volume=/var/lib/ctr/volumes/{NAME}" in plan
    assert any(line.startswith(f"copy-up=/var/lib/ctr/volumes/{NAME}\t") for line in plan)
    assert f"RequiresMountsFor=/var/lib/ctr/volumes/{NAME}" in made.units[0].text.replace('"', "")
    assert codec.loads(Container, made.text("spec.json") or "").mounts == ()
    record = codec.loads(Record, made.text("deployed.json") or "")
    assert record.image_volumes == (Mount(MountType.VOLUME, "/data", NAME),)
    assert codec.loads(Record, deployed(image_volumes=ImageVolumes.IGNORE).text("deployed.json") or "") == (
        dataclasses.replace(record, image_volumes=())
    )


def test_with_users_of_its_own_it_is_shifted() -> None:
    """Like every named volume: what is on disk has the container's own numbers."""
    numbers = (IdRange(0, 100000, 65536),)
    plan = deployed(IdMaps(numbers, numbers), user_namespace=UserNamespace()).text("plan") or ""
    assert f"idmap=/var/lib/ctr/volumes/{NAME}\t/run/ctr/containers/web/idmaps/0" in plan.splitlines()
