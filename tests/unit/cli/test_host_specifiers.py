"""Specifiers of the host mean what systemd would put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.cli import host_specifiers
from supervisor.cli.apply import read_path
from supervisor.definitions import specifiers


def written(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_every_letter_has_a_value(tmp_path: Path) -> None:
    """Empty where the host says nothing, as for systemd."""
    found = host_specifiers.read(str(tmp_path))
    assert set(found) == set(specifiers.HOST)
    assert (found["H"], found["l"]) == (os.uname().nodename, os.uname().nodename.partition(".")[0])
    assert found["q"] == found["H"]
    assert [found[letter] for letter in "ABMWmow"] == [""] * 7


def test_values_of_files(tmp_path: Path) -> None:
    """os-release(5) and machine-info(5) are read as a shell would; /etc wins over /usr."""
    release = '# x\nID=debian\nVERSION_ID="13"\nVARIANT_ID=\'a b\'\nIMAGE_ID=my\\ image\nBROKEN="\nBUILD_ID=7\n'
    files = {
        "etc/os-release": release,
        "usr/lib/os-release": "ID=other\n",
        "etc/machine-id": "0123abcd\n",
        "etc/machine-info": 'PRETTY_HOSTNAME="My Host"\n',
    }
    found = host_specifiers.read(written(tmp_path, files))
    expected = {"o": "debian", "w": "13", "W": "a b", "M": "my image", "B": "7", "m": "0123abcd", "q": "My Host"}
    assert {letter: found[letter] for letter in expected} == expected


def test_reading_paths(tmp_path: Path) -> None:
    """A directory gives names; a slash at the end asks for one; a pipe is not waited for; /dev/null is empty."""
    written(tmp_path, {"d/a": "x"})
    assert read_path(f"{tmp_path}/d/a") == b"x"
    assert read_path(f"{tmp_path}/d") == read_path(f"{tmp_path}/d/") == ("a",)
    assert read_path("/dev/null") == b""
    with pytest.raises(NotADirectoryError):
        read_path(f"{tmp_path}/d/a/")
    with pytest.raises(FileNotFoundError):
        read_path(f"{tmp_path}/none/")
    os.mkfifo(tmp_path / "pipe")
    for path in (f"{tmp_path}/pipe", "/dev/zero"):
        with pytest.raises(OSError, match="neither a file nor a directory"):
            read_path(path)
