"""Whoever runs as a number that the image does not know: a line in /etc/passwd, a home, and what stays as it was."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from supervisor.paths import Layout
from supervisor.render.tree import EFFECTIVE, Tree, tree
from supervisor.spec.container import Mount, MountType
from supervisor.spec.image import Image, Layer
from supervisor.spec.network import NetworkMode
from tests.unit.render.sample import FACTS, IMAGE, container

FILES = ("passwd", "group")


def deployed(user: str | None, image: Image = IMAGE, **changes: Any) -> Tree:
    one = container(user=user, network=NetworkMode.NONE, **changes)
    return tree(one, image, (Layer("directory", "/layers/1"),), FACTS, Layout())


def changed(made: Tree) -> dict[str, str]:
    """Which files are deployed, and what they have that the image's own do not; they are mounted read-only, too."""
    mounts = {m["destination"]: m for m in json.loads(made.text("config.json") or "")["mounts"]}
    found = {}
    for name in FILES:
        text = made.text(name)
        assert (f"/etc/{name}" in mounts and "/current/" in mounts[f"/etc/{name}"]["source"]) == (text is not None)
        if text is not None:
            assert "ro" in mounts[f"/etc/{name}"]["options"]
            assert next(f.mode for f in made.files if f.path == name) == 0o644
            found[name] = text.removeprefix(getattr(IMAGE, name))
    return found


def home(made: Tree) -> str:
    env = json.loads(made.text("config.json") or "")["process"]["env"]
    return next(v.removeprefix("HOME=") for v in env if v.startswith("HOME="))


def test_a_number_gets_a_line_and_its_working_directory_as_home() -> None:
    """As podman writes them; the group gets one too if the number of the process's is not in the file."""
    made = deployed("1234")
    assert changed(made) == {"passwd": "1234:*:1234:0:container user:/srv:/bin/sh\n"}
    assert home(made) == "/srv"
    made = deployed("1234:4321", working_dir="/tmp")
    assert changed(made) == {
        "passwd": "1234:*:1234:4321:container user:/tmp:/bin/sh\n",
        "group": "4321:x:4321:1234\n",
    }
    assert home(made) == "/tmp"
    assert changed(deployed("web:4321")) == {"group": "4321:x:4321:web\n"}


@pytest.mark.parametrize(("user", "its_home"), [(None, "/root"), ("web", "/var/www"), ("33:50", "/var/www")])
def test_who_is_known_changes_nothing(user: str | None, its_home: str) -> None:
    """Nor does a container in which nobody chose a user."""
    made = deployed(user)
    assert changed(made) == {}
    assert home(made) == its_home
    assert changed(deployed(None, dataclasses.replace(IMAGE, passwd="web:x:33:33::/:\n"))) == {}


def test_the_image_may_choose_the_number() -> None:
    """USER 1234 means what User=1234 means."""
    image = dataclasses.replace(IMAGE, config=dataclasses.replace(IMAGE.config, user="1234"))
    assert list(changed(deployed(None, image))) == ["passwd"]


def test_files_that_are_not_there_are_not_made() -> None:
    """An image without /etc/passwd has none in the container either, and its user's home is the root."""
    made = deployed("1234:4321", dataclasses.replace(IMAGE, passwd="", group=""))
    assert changed(made) == {}
    assert home(made) == "/"


@pytest.mark.parametrize(("target", "kept"), [("/etc/passwd", ["group"]), ("/etc/group/", ["passwd"]), ("/etc", [])])
def test_what_the_author_mounts_stays(target: str, kept: list[str]) -> None:
    """A file in the place, or a directory over both."""
    made = deployed("1234:4321", mounts=(Mount(MountType.BIND, target, "/srv/x"),))
    assert [name for name in FILES if made.text(name) is not None] == kept


def test_a_line_is_one_line() -> None:
    """A working directory with a colon is no home, and an unfinished last line of the image's file is finished."""
    made = deployed("1234", dataclasses.replace(IMAGE, passwd="root:x:0:0::/root:/bin/sh"), working_dir="/a:b")
    own = "1234:*:1234:0:container user:/:/bin/sh\n"
    assert made.text("passwd") == f"root:x:0:0::/root:/bin/sh\n{own}"
    assert home(made) == "/"


def test_a_new_line_reaches_a_running_container_by_a_restart() -> None:
    """A bind mount shows the old file until then."""
    assert set(FILES) <= EFFECTIVE
