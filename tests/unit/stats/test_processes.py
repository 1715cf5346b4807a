"""Processes out of /proc; what they call themselves never confuses a field."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from supervisor.paths import Layout
from supervisor.stats.processes import Process, parse, pids, processes, uptime

STATUS = b"Name:\tsh\nUmask:\t0022\nUid:\t7\t101\t7\t7\nGid:\t0\t0\t0\t0\n"


def _stat(name: bytes = b"sh") -> bytes:
    rest = b" S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 4096 10 18446744073709551615\n"
    return b"42 (" + name + b")" + rest


def test_a_process() -> None:
    """Times in seconds, sizes in bytes, the user it acts as."""
    assert parse(_stat(), STATUS, b"sh\0-c\0a b\0", ticks=100, page=4096) == Process(
        *(42, 1, "sh", "S", 3, 3.0, 123.45, 4096, 40960, 101, ("sh", "-c", "a b"))
    )


@given(st.binary(max_size=15))
def test_a_name_may_hold_anything(name: bytes) -> None:
    """Parentheses, blanks and newlines: prctl(PR_SET_NAME) takes them all."""
    found = parse(_stat(name), STATUS, b"", ticks=100, page=4096)
    assert found is not None
    assert (found.pid, found.parent, found.cpu, found.command) == (42, 1, 3.0, ())


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_break_it(stat: bytes, status: bytes, command: bytes) -> None:
    """A process that is gone reads as empty files."""
    parse(stat, status, command, ticks=100, page=4096)
    assert parse(b"", b"", b"", ticks=100, page=4096) is None


def test_groups_below_belong_to_it(tmp_path: Path) -> None:
    """An init system inside keeps its services in groups of their own; one that ended meanwhile is left out."""
    inner = tmp_path / "scope/init.scope"
    inner.mkdir(parents=True)
    (tmp_path / "scope/cgroup.procs").write_text("43\n0\n")
    (inner / "cgroup.procs").write_text("42\n")
    assert pids(str(tmp_path / "scope")) == (42, 43)
    proc = tmp_path / "proc/42"
    proc.mkdir(parents=True)
    (proc / "stat").write_bytes(_stat())
    (proc / "status").write_bytes(STATUS)
    (proc / "cmdline").write_bytes(b"sh\0")
    assert [one.pid for one in processes(str(tmp_path / "scope"), Layout(str(tmp_path)))] == [42]


def test_time_since_boot(tmp_path: Path) -> None:
    """The clock of `Process.started`."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/uptime").write_text("12.50 30.00\n")
    assert uptime(Layout(str(tmp_path))) == 12.5
