"""File trees: read, packed, unpacked, and what may not happen on the way."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.cli.cp import Side, destination, side
from supervisor.cli.transfer import Item, Writer, read_tar, read_tree, write_tar
from supervisor.errors import UserError

MINE = (os.geteuid(), os.getegid())


@contextmanager
def opened(path: Path, flags: int = os.O_PATH) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def write(target: Path, *items: Item, mask: int = 0o7777) -> None:
    with opened(target, os.O_RDONLY) as place, Writer(place, owner=MINE, mask=mask) as writer:
        for item in items:
            writer.write(item)


def item(*path: str, kind: int = stat.S_IFREG, mode: int = 0o644, target: str = "", data: bytes = b"") -> Item:
    return Item(path, kind, mode, *MINE, 1_000_000.0, len(data), target, io.BytesIO(data))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub/empty").mkdir(parents=True)
    (root / "sub/file").write_bytes(b"x" * 100_000)
    (root / "sub/file").chmod(0o640)
    (root / "link").symlink_to("../../outside")
    os.mkfifo(root / "fifo")
    os.utime(root / "sub", (500.0, 500.0))
    return root


def shape(root: Path) -> dict[str, tuple[int, float, bytes | str]]:
    found: dict[str, tuple[int, float, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        time = 0.0 if path.is_symlink() else status.st_mtime
        found[str(path.relative_to(root))] = (status.st_mode, time, content)
    return found


def test_a_tree_arrives_as_it_was(tree: Path, tmp_path: Path) -> None:
    """Contents, modes, times and links; through tar as well as directly."""
    direct, unpacked = tmp_path / "direct", tmp_path / "unpacked"
    packed = io.BytesIO()
    for target in (direct, unpacked):
        target.mkdir()
    with opened(tree) as place:
        with opened(direct, os.O_RDONLY) as to, Writer(to, owner=MINE) as writer:
            for one in read_tree(place, (), pytest.fail):
                writer.write(one)
        write_tar(read_tree(place, (), pytest.fail), packed)
    packed.seek(0)
    with opened(unpacked, os.O_RDONLY) as to, Writer(to, owner=MINE) as writer:
        for one in read_tar(packed, pytest.fail):
            writer.write(one)
    assert shape(direct) == shape(tree)
    assert shape(unpacked) == shape(tree)


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
def test_a_link_sent_first_leads_nowhere(tmp_path: Path, kind: int) -> None:
    """A source that sends a link to /elsewhere and then something below it changes nothing there."""
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "target"
    elsewhere.mkdir()
    target.mkdir()
    link = item("a", kind=stat.S_IFLNK, target=str(elsewhere))
    with pytest.raises(UserError, match="a: not a directory"):
        write(target, link, item("a", "x", kind=kind, target="t"))
    assert not list(elsewhere.iterdir())


def test_an_existing_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A file sent to where a link is takes its place."""
    (tmp_path / "victim").write_text("precious")
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").symlink_to(tmp_path / "victim")
    write(target, item("a", data=b"new"))
    assert (tmp_path / "victim").read_text() == "precious"
    assert (target / "a").read_text() == "new"
    assert not (target / "a").is_symlink()


def test_a_hard_link_stays_inside(tmp_path: Path) -> None:
    """Its other name is looked up in the transfer, not on the host."""
    target = tmp_path / "target"
    target.mkdir()
    write(target, item("a", data=b"x"), Item(("b",), 0, 0, 0, 0, 0.0, target="a"))
    assert (target / "a").stat().st_ino == (target / "b").stat().st_ino
    with pytest.raises(UserError):
        write(target, Item(("c",), 0, 0, 0, 0, 0.0, target="../victim"))


def test_modes_are_masked(tmp_path: Path) -> None:
    """On the host's side nothing becomes set-user-ID."""
    write(tmp_path, item("a", mode=0o6755), mask=0o1777)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755


def test_a_directory_does_not_replace_a_file_nor_a_file_a_directory(tmp_path: Path) -> None:
    """The message says what is in the way."""
    (tmp_path / "f").write_text("")
    (tmp_path / "d").mkdir()
    for one in (item("f", kind=stat.S_IFDIR), item("d")):
        with pytest.raises(UserError, match="something of another kind"):
            write(tmp_path, one)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x"])
def test_archives_that_lead_out_are_refused(name: str) -> None:
    """``..`` in a member's name is no accident."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    packed.seek(0)
    with pytest.raises(UserError, match="leads out"):
        list(read_tar(packed, pytest.fail))


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    """Garbage on stdin is the caller's mistake."""
    with pytest.raises(UserError, match="not a tar archive"):
        list(read_tar(io.BytesIO(b"garbage" * 1000), pytest.fail))


def test_device_members_are_left_out() -> None:
    """And said so."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("null")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    packed.seek(0)
    warnings: list[str] = []
    assert not list(read_tar(packed, warnings.append))
    assert warnings == ["null: a device node; left out"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("web:/etc", Side("web", "/etc")),
        ("web:etc", Side("web", "/etc")),
        ("web:", Side("web", "/")),
        ("./a:b", Side("", "./a:b")),
        ("/a:b", Side("", "/a:b")),
        ("-", Side("", "-")),
        ("file", Side("", "file")),
    ],
)
def test_sides(text: str, meant: Side) -> None:
    """NAME:PATH is in a container, the rest is here."""
    assert side(text) == meant


def test_destinations_follow_docker(tmp_path: Path) -> None:
    """docker-cp(1): into a directory, under a new name, or the contents with ``/.``."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("")

    def lands(source: str, target: str, is_directory: bool) -> str:
        place, root = destination(side(source), Side("", f"{tmp_path}{target}"), is_directory, os.open)
        where = os.readlink(f"/proc/self/fd/{place}")
        os.close(place)
        return os.path.join(where, *root).removeprefix(str(tmp_path))

    assert lands("w:/a/f", "/dir", False) == "/dir/f"
    assert lands("w:/a/f", "/new", False) == "/new"
    assert lands("w:/a/f", "/file", False) == "/file"
    assert lands("w:/a/d", "/dir", True) == "/dir/d"
    assert lands("w:/a/d/.", "/dir", True) == "/dir"
    assert lands("w:/a/d", "/new/", True) == "/new"
    assert lands("w:/a/d/.", "/new", True) == "/new"
    for source, target, is_directory in (
        ("w:/f", "/none/", False),
        ("w:/d", "/file", True),
        ("w:/f", "/no/such", False),
    ):
        with pytest.raises(UserError):
            lands(source, target, is_directory)
