"""The volumes that an image asks for: whose they are, and when they go."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.cli.volume import documents
from supervisor.deploy.conflicts import Defined
from supervisor.errors import ConflictError
from supervisor.spec.container import Mount, MountType
from supervisor.spec.volumes import anonymous
from tests.unit.deploy import host
from tests.unit.deploy.host import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keep(_: Defined) -> bool:
    return False


def names(*gone: str) -> Callable[[Defined], bool]:
    return lambda thing: thing.name in gone


@pytest.fixture
def with_volume(monkeypatch: pytest.MonkeyPatch) -> str:
    """The image says VOLUME /state; returns the name that container db's is going to have."""
    config = dataclasses.replace(host.IMAGE.config, volumes=("/state",))
    monkeypatch.setattr(host, "IMAGE", dataclasses.replace(host.IMAGE, config=config))
    return anonymous("db", "/state")


def test_a_volume_of_the_image_goes_with_its_definition(place: Place, with_volume: str) -> None:
    """By rm and by prune, because nobody named it; not while another container has it, and not before."""
    keeper = place.container("a", mounts=(Mount(MountType.VOLUME, "/state", with_volume),))
    for go in (lambda: place.deployment().remove("db"), lambda: place.deployment().apply([], prune=names("db"))):
        for others in ((keeper,), ()):
            place.deployment().apply([place.container("db"), *others], prune=place.from_definitions)
            for name in (with_volume, "db-data"):
                os.makedirs(f"{place.layout.volumes}/{name}", exist_ok=True)
            place.deployment().apply([place.container("db", command="two"), *others], prune=place.from_definitions)
            assert os.path.isdir(f"{place.layout.volumes}/{with_volume}")
            go()
            assert os.path.isdir(f"{place.layout.volumes}/{with_volume}") == bool(others)
            assert os.path.isdir(f"{place.layout.volumes}/db-data")


def test_a_volume_of_the_image_stays_for_what_was_run(place: Place, with_volume: str) -> None:
    """docker's rule: only with its volumes does a container take them along."""
    for volumes in (False, True):
        place.deployment().apply([place.container("db", source="ctrctl run")], prune=keep)
        os.makedirs(f"{place.layout.volumes}/{with_volume}", exist_ok=True)
        place.deployment().remove("db", volumes=volumes)
        assert os.path.isdir(f"{place.layout.volumes}/{with_volume}") != volumes


def test_a_volume_of_the_image_is_in_use(place: Place, with_volume: str) -> None:
    """It cannot be removed under its container, 'ls' and 'prune' see that, and --volumes-from finds it."""
    place.deployment().apply([place.container("db")], prune=keep)
    os.makedirs(f"{place.layout.volumes}/{with_volume}")
    assert [(one["name"], one["containers"]) for one in documents(place.layout)] == [(with_volume, ["db"])]
    with pytest.raises(ConflictError, match="container db uses it"):
        place.deployment().remove_volume(with_volume)
    assert with_volume in [mount.source for mount in place.deployment().mounted("db").mounts]
    assert with_volume not in [mount.source for mount in place.deployment().get("db").mounts]
