"""Single changes on disk and their inverses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.deploy.write import Changes, Disk


def listing(path: Path) -> dict[str, str]:
    found = {}
    for where, directories, files in os.walk(path):
        for name in (*directories, *files):
            at = Path(where, name)
            key = str(at.relative_to(path))
            found[key] = f"-> {os.readlink(at)}" if at.is_symlink() else at.read_text() if at.is_file() else "directory"
    return found


def test_everything_can_be_taken_back(tmp_path: Path) -> None:
    """Each kind of change, made over something old and over nothing, leaves no trace once it is undone."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("old")
    (tmp_path / "d.wants").mkdir()
    (tmp_path / "d.wants/x").symlink_to("y")
    (tmp_path / "moving").mkdir()
    before = listing(tmp_path)
    changes = Changes(Disk())
    changes.make_directories(str(tmp_path / "a/b/c"))
    changes.new_directory(str(tmp_path / "fresh"))
    changes.replace_file(str(tmp_path / "file"), "new", 0o600)
    changes.replace_file(str(tmp_path / "a/b/c/file"), "new", 0o600)
    changes.replace_link(str(tmp_path / "link"), "new")
    changes.replace_link(str(tmp_path / "other"), "new")
    changes.remove(str(tmp_path / "d.wants/x"))
    changes.remove_if_empty(str(tmp_path / "d.wants"))
    changes.remove(str(tmp_path / "file"))
    changes.remove(str(tmp_path / "never"))
    changes.rename(str(tmp_path / "moving"), str(tmp_path / "moved"))
    assert listing(tmp_path) != before
    assert changes.undo() == ()
    assert listing(tmp_path) == before
    assert changes.undo() == ()


def test_undo_goes_on_after_an_error_and_reports_it(tmp_path: Path) -> None:
    """One inverse that fails does not keep the others from their work."""
    changes = Changes(Disk())
    changes.replace_file(str(tmp_path / "first"), "x", 0o600)
    changes.replace_file(str(tmp_path / "second"), "x", 0o600)
    (tmp_path / "second").unlink()
    problems = changes.undo()
    assert len(problems) == 1 and "second" in problems[0]
    assert listing(tmp_path) == {}


def test_erasing_follows_no_link(tmp_path: Path) -> None:
    """Neither a link inside the tree nor one in its place leads the eraser out."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("safe")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    (tmp_path / "direct").symlink_to(tmp_path / "outside")
    for name in ("tree", "direct", "missing"):
        Disk().erase(str(tmp_path / name))
    assert listing(tmp_path) == {"outside": "directory", "outside/file": "safe"}


def test_writing_makes_new_files_only_and_flushing_works(tmp_path: Path) -> None:
    """A planted link is not written through; the mode is the one asked for whatever the umask."""
    Disk().write(str(tmp_path / "file"), "x", 0o666)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(FileExistsError):
        Disk().write(str(tmp_path / "link"), "evil", 0o600)
    Disk().flush(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        Disk().flush(str(tmp_path / "missing"))


def test_erase_copes_with_any_depth(tmp_path: Path) -> None:
    """A tree nested deeper than PATH_MAX, as a hostile container can make it, goes as well."""
    here = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=here)
        deeper = os.open("directory", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    Disk().erase(str(tmp_path / "directory"))
    assert list(tmp_path.iterdir()) == []
