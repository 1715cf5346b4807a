"""A process's users as the kernel tells them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.errors import HostError
from supervisor.runtime.foreign import Numbers, give_pipes


@pytest.fixture
def proc(tmp_path: Path) -> str:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/uid_map").write_text("         0     100000       1000\n      5000          7          1\n")
    (tmp_path / "7/gid_map").write_text("         0     200000       1000\n")
    return str(tmp_path)


def test_both_ways(proc: str) -> None:
    """What is mapped goes out and comes back; strangers are nobody inside, and cannot go out."""
    numbers = Numbers(7, proc)
    assert numbers.root == (100000, 200000)
    assert numbers.outside(5000, 33) == (7, 200033)
    assert numbers.inside(7, 200033) == (5000, 33)
    assert numbers.inside(0, 0) == (65534, 65534)
    with pytest.raises(HostError, match="user 1000: the container's user namespace does not have it"):
        numbers.outside(1000, 0)


def test_of_a_process_like_any_other(proc: str) -> None:
    """Everybody is themselves."""
    for name in ("uid_map", "gid_map"):
        Path(proc, "7", name).write_text("         0          0 4294967295\n")
    assert (Numbers(7, proc).inside(5, 6), Numbers(7, proc).outside(5, 6)) == ((5, 6), (5, 6))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_only_pipes_without_a_name_are_given(tmp_path: Path) -> None:
    """A FIFO that somebody made on the host stays theirs; a file does too."""
    fifo, plain = tmp_path / "fifo", tmp_path / "plain"
    os.mkfifo(fifo)
    plain.touch()
    reader, writer = os.pipe()
    opened = (os.open(fifo, os.O_RDWR), os.open(plain, os.O_RDWR), writer)
    try:
        give_pipes(opened, 7, 8)
        assert [os.fstat(fd).st_uid for fd in opened] == [0, 0, 7]
        assert os.fstat(writer).st_gid == 8
    finally:
        for fd in (*opened, reader):
            os.close(fd)
