"""Definitions are read together, and nothing that looks like one is passed over silently."""

from __future__ import annotations

from supervisor.definitions.load import Loaded, Read, load
from supervisor.definitions.quadlet import Context

GOOD = b"[Container]\nImage=x\nNetwork=none\n"


def tree(files: dict[str, bytes]) -> Read:
    """A file system of its own: directories are what files lie in."""

    def read(path: str) -> bytes | tuple[str, ...]:
        if path in files:
            return files[path]
        inside = {file[len(path) + 1 :].split("/")[0] for file in files if file.startswith(f"{path}/")}
        if not inside:
            raise FileNotFoundError(2, "No such file or directory", path)
        return tuple(inside)

    return read


def names(loaded: Loaded) -> list[str]:
    return [container.name for container in loaded.containers]


def messages(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_a_directory_gives_its_definitions_in_order_of_names() -> None:
    """Other files, hidden ones too, are passed over."""
    files = {f"/d/{name}": GOOD for name in ("b.container", "a.container", "README.md", "db.env", ".x.container")}
    loaded = load("/d", tree(files))
    assert (names(loaded), messages(loaded)) == (["a", "b"], [])


def test_definitions_see_each_other() -> None:
    """After=db.container works in whichever order files come, and with names the caller knows already."""
    files = {"/d/a.container": GOOD + b"[Unit]\nAfter=b.container c.container\n", "/d/b.container": GOOD}
    loaded = load(["/d/a.container", "/d/b.container"], tree(files), Context(names={"c.container": "c"}))
    assert (names(loaded), messages(loaded)) == (["a", "b"], [])
    assert load("/d/a.container", tree(files)).problems


def test_other_kinds_and_drop_ins_are_refused() -> None:
    """A .pod or .volume file, or a drop-in, would otherwise be lost without a word."""
    kinds = ["pod", "network", "volume", "image", "build", "kube"]
    files = {f"/d/x.{kind}": GOOD for kind in kinds} | {"/d/a.container": GOOD, "/d/a.container.d/1.conf": b""}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["a"]
    assert sorted(message.split(":")[0] for message in messages(loaded)) == sorted(
        [f"/d/x.{kind}" for kind in kinds] + ["/d/a.container.d"]
    )


def test_one_name_defined_twice_names_both_files() -> None:
    """Neither wins."""
    files = {"/d/a.container": GOOD, "/d/b.container": GOOD + b"ContainerName=a\n", "/d/c.container": GOOD}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["c"]
    assert messages(loaded) == [
        "/d/b.container: /d/a.container defines the container 'a' too; rename one of them",
        "/d/a.container: /d/b.container defines the container 'a' too; rename one of them",
    ]


def test_a_broken_file_does_not_take_the_others_with_it() -> None:
    """The valid ones are there, the problems of all broken ones too."""
    files = {"/d/a.container": b"x\ny\n", "/d/b.container": GOOD, "/d/c.container": b"\xff\n"}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["b"]
    assert {problem.file for problem in loaded.problems} == {"/d/a.container", "/d/c.container"}


def test_paths_that_cannot_be_read_or_are_no_definitions() -> None:
    """What was asked for by name is never passed over."""
    files = {"/d/README.md": b"", "/d/a.container": GOOD, "/d/b.container/x": b""}
    loaded = load(["/d/README.md", "/none", "/d", "/d/a.container"], tree(files))
    assert names(loaded) == ["a"]
    assert messages(loaded) == [
        "/d/README.md: is not a definition; give a .container file or a directory",
        "/none: cannot be read: No such file or directory",
        "/d/b.container: is a directory; a .container file was expected",
    ]
