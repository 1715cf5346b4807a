"""What names in a layer mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.images.members import Action, Step, check_attributes, link_target, step

parts = st.sampled_from(
    ["a", "b", ".", "..", "", ".wh.", ".wh.a", ".wh..", ".wh...", ".wh..wh..opq", ".wh..wh.plnk", "é"]
)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("etc/passwd", Step(Action.MAKE, "etc/passwd")),
        ("./etc//x/", Step(Action.MAKE, "etc/x")),
        ("/etc/x", Step(Action.MAKE, "etc/x")),
        ("./", Step(Action.MAKE, "")),
        ("etc/.wh.passwd", Step(Action.HIDE, "etc/passwd")),
        (".wh.x", Step(Action.HIDE, "x")),
        ("etc/.wh..hidden", Step(Action.HIDE, "etc/.hidden")),
        ("etc/.wh..wh..opq", Step(Action.OPAQUE, "etc")),
        (".wh..wh..opq", Step(Action.OPAQUE, "")),
        (".wh..wh.plnk/4.5", Step(Action.SKIP, ".wh..wh.plnk/4.5")),
    ],
)
def test_names(name: str, meaning: Step) -> None:
    """Paths relative to the layer's root, whiteouts as OCI's layer.md has them."""
    assert step(name) == meaning


@pytest.mark.parametrize(
    "name", ["../x", "a/../../b", "a/..", ".wh...", ".wh..", ".wh.", "a/.wh...", ".wh.a/b", "n" * 256]
)
def test_refused_names(name: str) -> None:
    """'..' anywhere, whiteouts of the directory itself or the one above, and names no file system takes."""
    with pytest.raises(UserError, match="member '"):
        step(name)


def test_hard_links_stay_inside() -> None:
    """A target is a path in the layer, never one with '..' or the root."""
    assert link_target("a", "/etc/shadow") == "etc/shadow"
    for target in ("../x", "a/../../x", "/", "."):
        with pytest.raises(UserError, match=r"member 'a'|hard link"):
            link_target("a", target)


def test_attributes_that_steer_overlayfs_are_refused() -> None:
    """trusted.* is the kernel's; security.* and user.* may be set."""
    check_attributes("a", ("user.x", "security.capability"))
    with pytest.raises(UserError, match=r"trusted\.overlay\.redirect"):
        check_attributes("a", ("trusted.overlay.redirect",))


@given(st.lists(parts, max_size=6).map("/".join))
def test_no_path_leaves_the_layer(name: str) -> None:
    """Whatever is not refused is a relative path of plain components."""
    try:
        path = step(name).path
    except UserError:
        return
    assert not path.startswith("/")
    assert not path or not {"", ".", ".."} & set(path.split("/"))
