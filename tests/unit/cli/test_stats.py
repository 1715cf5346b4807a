"""The table and the documents of ``ctrctl stats``, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.stats import binary, decimal, document, row, screen
from supervisor.stats.rates import Rates
from supervisor.stats.usage import Cpu, Interface, Io, Memory, Pids, Pressure, Stall, Usage

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20

FULL = Usage(
    10.0,
    1,
    cpu=Cpu(5_000_000),
    memory=Memory(current=100 * MIB, limit=200 * MIB, inactive_file=50 * MIB),
    io=Io(read_bytes=1_500_000, written_bytes=20),
    pids=Pids(7, 100),
    cpu_pressure=Pressure(Stall(9)),
    interfaces=(Interface("eth0", received_bytes=1000, sent_bytes=2_000_000),),
)
RATES = Rates(1.0, cpu=1.5, cpu_stall=0.25, memory_stall=0.0, io_stall=None)


def test_a_row_as_docker_writes_it() -> None:
    """Two cores half busy are 150 %; memory counts without the cache that is dropped first."""
    assert row("web", FULL, RATES, 800 * MIB) == (
        *("web", "150.00%", "50MiB / 200MiB", "25.00%", "1kB / 2MB", "1.5MB / 20B", "7", "25% / 0% / -"),
    )


def test_what_is_not_known_is_a_dash_not_a_zero() -> None:
    """No controllers, no network of its own, no second reading; and a container that does not run at all."""
    assert row("web", Usage(1.0, 1), None, MIB) == ("web", "-", "- / -", "-", "- / -", "- / -", "-", "- / - / -")
    assert row("web", None, None, MIB) == ("web", *["-"] * 7)


def test_without_a_limit_the_host_is_the_limit() -> None:
    """As docker says it; and a limit beyond the host's memory limits nothing."""
    for limit in (None, 10_000 * MIB):
        usage = Usage(1.0, 1, memory=Memory(current=100 * MIB, limit=limit))
        assert row("web", usage, None, 400 * MIB)[2:4] == ("100MiB / 400MiB", "25.00%")


def test_the_document_has_every_member() -> None:
    """Null where the host does not tell; limits are the container's own."""
    found = document("web", FULL, RATES, 800 * MIB)
    assert (found["cpu_percent"], found["memory_percent"], found["running"]) == (150.0, 25.0, True)
    assert found["pids"] == {"current": 7, "limit": 100}
    assert found["pressure"] == {
        "cpu": {"some": {"total": 9, "avg10": 0.0, "avg60": 0.0, "avg300": 0.0}, "full": None},
        "memory": None,
        "io": None,
    }
    assert set(document("web", None, None, MIB)) == set(found)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (1_047_552, "1023KiB"), (5 << 60, "5120PiB")],
)
def test_binary_units(number: int, words: str) -> None:
    """Three digits that count."""
    assert binary(number) == words


@given(st.integers(min_value=0, max_value=2**63))
def test_numbers_stay_short(number: int) -> None:
    """Whatever is counted, a column holds it."""
    assert len(binary(number)) <= 8
    assert len(decimal(number)) <= 7


@given(
    st.lists(st.tuples(*[st.text(max_size=30)] * 8), max_size=30),
    st.integers(min_value=1, max_value=250),
    st.integers(min_value=2, max_value=40),
)
def test_a_screen_never_scrolls(rows: list[tuple[str, ...]], columns: int, lines: int) -> None:
    """No more lines than the terminal has, none wider, and no control character but our own."""
    drawn = screen([("A", "B", "C", "D", "E", "F", "G", "H"), *rows], columns, lines)
    shown = drawn.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\x1b[K\r\n")
    assert shown.pop() == ""
    assert len(shown) < max(lines, 3)
    assert all(len(line) <= columns and "\x1b" not in line and "\n" not in line for line in shown)


def _stats(root: Path, *words: str, **options: object) -> subprocess.Popen[bytes]:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.paths import Layout
sys.exit(guarded({("stats", *words)!r}, Console(sys.stdin, sys.stdout, sys.stderr, dict(), Layout({str(root)!r}))))
"""
    return subprocess.Popen([sys.executable, "-IS", "-c", code], stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]


def test_it_ends_when_nobody_reads(tmp_path: Path) -> None:
    """``ctrctl stats | head -1`` does not stay behind until its next line, however far that is."""
    with _stats(tmp_path, "--interval", "3600") as child:
        assert child.stdout
        child.stdout.close()
        assert child.wait(60) == 0


def test_an_interval_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """Before anything is read; what is no number, and what no clock can count, among them."""
    short, long = b"too short; use 0.1 seconds or more", b"too long; use 86400 seconds (a day) or less"
    for word, words in (("0", short), ("-1", short), ("nan", short), ("86401", long), ("1e10", long), ("inf", long)):
        with _stats(tmp_path, "--interval", word, stderr=subprocess.PIPE) as child:
            assert words in child.communicate(timeout=60)[1]
            assert child.returncode == 125


def test_memory_of_this_host() -> None:
    """In bytes."""
    from supervisor.cli.stats import memory_total

    assert memory_total() > 1 << 24
