"""Patterns of mounts become bind mounts of what is there; images are looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.deploy.mounting import expanded, references
from supervisor.errors import UserError
from supervisor.spec.container import Container, Mount, MountType


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.conf", ".b.conf", "c.txt", "d1/x.conf", "d2/x.conf", "[e]"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def container(*mounts: Mount) -> Container:
    return Container("web", "x", image="i", mounts=mounts)


def targets(pattern: str, target: str = "/t") -> list[str]:
    return [m.target for m in expanded(container(Mount(MountType.GLOB, target, pattern, ("ro",)))).mounts]


def test_a_pattern(tree: Path) -> None:
    """As Go's filepath.Glob: '*' takes hidden files too, and no slash; sorted, each by its name in the target."""
    assert targets(f"{tree}/*.conf") == ["/t/.b.conf", "/t/a.conf"]
    assert targets(f"{tree}/\\[e]", "") == [f"{tree}/[e]"]
    found = expanded(container(Mount(MountType.GLOB, "", f"{tree}/d?/*.conf", ("ro",)))).mounts
    assert [m.source for m in found] == [m.target for m in found] == [f"{tree}/d1/x.conf", f"{tree}/d2/x.conf"]
    assert {(m.type, m.options) for m in found} == {(MountType.BIND, ("ro",))}


def test_what_cannot_be(tree: Path) -> None:
    """Nothing that matches, and two for one place."""
    with pytest.raises(UserError, match="no path of the host matches"):
        targets(f"{tree}/*.nosuch")
    with pytest.raises(UserError, match=r"/t/x\.conf: given twice"):
        targets(f"{tree}/d?/*.conf")


def test_a_container_without_patterns_is_the_same() -> None:
    """Not even a copy."""
    one = container(Mount(MountType.BIND, "/a", "/b"))
    assert expanded(one) is one


def test_images_that_are_needed() -> None:
    """Run or mounted, each once."""
    one = container(Mount(MountType.IMAGE, "/a", "j"), Mount(MountType.IMAGE, "/b", "i"))
    assert references((one, one)) == ("i", "j")
