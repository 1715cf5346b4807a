"""When a build has to be done again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.errors import UserError
from supervisor.images.fingerprint import fingerprint, recipe_path
from supervisor.spec.sourcing import Build


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A context with a directory, a link and a file beside its definition."""
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/file").write_text("one")
    (tmp_path / "link").symlink_to("deep")
    (tmp_path / "web.container").write_text("[Container]\n")
    return Build("web", str(tmp_path / "web.build"), ("localhost/web",), context=str(tmp_path))


def _touch(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda at: (at / "deep/er/file").write_text("two"),
        lambda at: (at / "deep/er/file").chmod(0o600),
        lambda at: (at / "deep/er").chmod(0o700),
        lambda at: (at / "deep/er/new").write_text(""),
        lambda at: (at / "deep/empty").mkdir(),
        lambda at: (at / "deep/er/file").unlink(),
        lambda at: (at / "deep/er/file").rename(at / "deep/file"),
        lambda at: (at / "Containerfile").write_text("FROM scratch\n"),
        lambda at: _touch(at / "deep/er/file"),
    ],
)
def test_every_change_counts(build: Build, tmp_path: Path, change: Callable[[Path], object]) -> None:
    """In the context, at any depth, and in the recipe."""
    before = fingerprint(build)
    assert fingerprint(build) == before
    change(tmp_path)
    assert fingerprint(build) != before


def test_where_a_link_leads_counts(build: Build, tmp_path: Path) -> None:
    """The link itself, not what it leads to: that is not in the context."""
    before = fingerprint(build)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    assert fingerprint(build) != before


def test_the_definition_counts_and_its_neighbours_do_not(build: Build, tmp_path: Path) -> None:
    """With SetWorkingDirectory=unit, the directory has other definitions, too."""
    before = fingerprint(build)
    (tmp_path / "web.container").write_text("[Container]\nImage=web.build\n")
    (tmp_path / "web.container.d").mkdir()
    assert fingerprint(build) == before
    assert fingerprint(replace(build, arguments=(("A", "1"),))) != before


def test_files_outside_of_the_context_count(build: Build, tmp_path: Path) -> None:
    """A secret and an ignore file."""
    other = tmp_path.parent / f"{tmp_path.name}.secret"
    other.write_text("x")
    wanted = replace(build, secrets=(f"id=a,src={other}",), ignore_file=str(other))
    before = fingerprint(wanted)
    other.write_text("yy")
    assert fingerprint(wanted) != before


def test_a_secret_that_is_a_link(build: Build, tmp_path: Path) -> None:
    """What it leads to counts: that is what a step gets to see."""
    other = tmp_path.parent / f"{tmp_path.name}.other"
    link = tmp_path.parent / f"{tmp_path.name}.link"
    link.symlink_to(other)
    wanted = replace(build, secrets=(f"id=a,src={link}",))
    without = fingerprint(wanted)
    other.write_text("x")
    before = fingerprint(wanted)
    other.write_text("yy")
    assert len({without, before, fingerprint(wanted)}) == 3


def test_the_recipe(build: Build, tmp_path: Path) -> None:
    """Containerfile before Dockerfile, or what File= says; a message where there is none."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert recipe_path(build).endswith("/Containerfile")
    (tmp_path / "Containerfile").unlink()
    assert recipe_path(build).endswith("/Dockerfile")
    (tmp_path / "Dockerfile").unlink()
    with pytest.raises(UserError, match="has neither Containerfile nor Dockerfile"):
        recipe_path(build)
    with pytest.raises(UserError, match="does not exist; correct File="):
        recipe_path(replace(build, file="/nowhere/Recipe"))
