"""journalctl's export format, in any pieces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.journal import ExportParser

ROOT = Path(__file__).resolve().parents[3]

_NAMES = st.sampled_from(["MESSAGE", "CTR_STREAM", "_PID", "__REALTIME_TIMESTAMP"])
_ENTRIES = st.lists(st.dictionaries(_NAMES, st.binary(max_size=40), min_size=1), max_size=8)


def _export(entries: list[dict[str, bytes]]) -> bytes:
    """Entries as journalctl writes them: binary form for what is not plain text."""
    data = b""
    for entry in entries:
        for name, value in entry.items():
            if b"\n" in value or not value.isascii():
                data += name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
            else:
                data += name.encode() + b"=" + value + b"\n"
        data += b"\n"
    return data


@given(_ENTRIES, st.lists(st.integers(1, 30), min_size=1))
def test_entries_survive_any_cut(entries: list[dict[str, bytes]], sizes: list[int]) -> None:
    """However the bytes arrive, the entries are those that were written, each as soon as it is whole."""
    data, parser, found, at = _export(entries), ExportParser(), [], 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        found += parser.feed(data[at : at + size])
        at += size
    assert found == entries


def test_an_unfinished_entry_waits() -> None:
    """Nothing is given out before the blank line that ends it."""
    parser = ExportParser()
    assert parser.feed(b"MESSAGE=a\n") == []
    assert parser.feed(b"\nMESSAGE=b") == [{"MESSAGE": b"a"}]
    assert parser.feed(b"c\n\n") == [{"MESSAGE": b"bc"}]


@pytest.mark.parametrize("words", [("logs", "-f", "web"), ("events", "-f")])
def test_following_ends_when_nobody_reads(tmp_path: Path, words: tuple[str, ...]) -> None:
    """``ctrctl events -f | head -1`` does not stay behind until the next entry, which may never come."""
    (tmp_path / "var/lib/ctr/containers/web").mkdir(parents=True)
    (tmp_path / "journalctl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "journalctl").chmod(0o755)
    code = f"""
import os, pwd, sys
sys.path.insert(0, {str(ROOT)!r})
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.paths import Layout
anybody = pwd.getpwuid(0)
pwd.getpwnam = lambda name: anybody  # this host need not have the supervisor's user
sys.exit(guarded({words!r}, Console(sys.stdin, sys.stdout, sys.stderr, dict(), Layout({str(tmp_path)!r}))))
"""
    command = [sys.executable, "-IS", "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": str(tmp_path)}
    ) as child:
        assert child.stdout
        child.stdout.close()
        assert child.wait(60) == 0
