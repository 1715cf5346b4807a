"""Which directories ctr-apply.path is told to watch."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli.apply import read_path
from supervisor.definitions.load import load
from supervisor.deploy import watched
from supervisor.errors import HostError
from tests.unit.deploy.host import Place, Refusing


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def update(place: Place, active: str = "active") -> tuple[str, ...]:
    place.systemd.active[watched.UNIT] = active
    return watched.update(place.layout, place.systemd, Refusing())


def drop_in(place: Place) -> list[str]:
    path = Path(f"{place.layout.units}/{watched.UNIT}.d/50-directories.conf")
    return path.read_text().splitlines()[2:] if path.exists() else []


def test_directories_are_those_that_are_read(tmp_path: Path) -> None:
    """Hidden ones and those of users are not, nor what is below a directory of drop-ins; a link is followed, once."""
    top, outside = tmp_path / "top", tmp_path / "outside"
    for name in ("b/c/d", "a.container.d/no", "container.d", ".git/objects", "users/1000", "b/users"):
        (top / name).mkdir(parents=True)
    (outside / "in").mkdir(parents=True)
    (top / "link").symlink_to(outside)
    (outside / "back").symlink_to(top)
    (top / "gone").symlink_to("/nowhere/at/all")
    (top / "file").touch()
    found = [path.removeprefix(f"{top}/") for path in watched.directories(str(top))]
    assert found == ["a.container.d", "b", "container.d", "link", "b/c", "b/users", "link/in", "b/c/d"]


def test_definitions_are_read_from_no_other(tmp_path: Path) -> None:
    """One in each directory, and it is either watched or not deployed."""
    for name in (".", "a/b", ".git", "users/x", "a/users", "x.container.d", "pod.d", "a/.c/d"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / f"n{len(list(tmp_path.rglob('*')))}.container").write_text("[Container]\nImage=x\n")
    read = {str(Path(one.source).parent) for one in load(str(tmp_path), read_path).containers}
    named = {path for path in watched.directories(str(tmp_path)) if not path.endswith(".d")}
    assert read == {str(tmp_path), *named} - {f"{tmp_path}/a"}


@pytest.mark.parametrize("active", ["active", "failed"])
def test_the_unit_is_restarted_with_them(place: Place, active: str) -> None:
    """When they change, also when it failed of too many; not when it is off."""
    (Path(place.layout.definitions) / "50% a").mkdir()
    assert update(place, "inactive") == ()
    assert not drop_in(place)
    update(place, active)
    assert drop_in(place) == [f"PathChanged={place.layout.definitions}/50%% a"]
    assert place.systemd.calls == ["daemon-reload", f"restart {watched.UNIT}"]
    update(place)
    assert len(place.systemd.calls) == 2


def test_no_more_are_watched_than_systemd_can(place: Place) -> None:
    """The upper ones; the others are given back."""
    for number in range(watched.MOST):
        (Path(place.layout.definitions) / f"{number:02}" / "below").mkdir(parents=True)
    left = update(place)
    assert len(drop_in(place)) == watched.MOST == len(left)
    assert all(path.endswith("/below") for path in left)
    assert update(place) == left


def test_a_unit_that_does_not_start_is_told_of(place: Place) -> None:
    """Nothing would be seen any more."""
    (Path(place.layout.definitions) / "a").mkdir()
    place.systemd.results[watched.UNIT] = "failed"
    with pytest.raises(HostError, match=r"ctr-apply\.path: cannot be started \(failed\)"):
        update(place)
