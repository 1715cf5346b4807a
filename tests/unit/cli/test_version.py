"""``ctrctl version``."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from supervisor.cli.version import VERSION, parse_version, program_version

ROOT = Path(__file__).resolve().parents[3]


def test_the_version_is_the_distributions() -> None:
    """One number in two places."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("systemd 257 (257.7-1)\n+PAM", "257"),
        ("crun version 1.8.1\ncommit: f8a096b", "1.8.1"),
        ("runc version 1.1.5+ds1\nx", "1.1.5+ds1"),
        ("skopeo version 1.9.3", "1.9.3"),
        ("mkfs.erofs 1.8.6", "1.8.6"),
        ("", None),
    ],
)
def test_versions_are_found(text: str, version: str | None) -> None:
    """Every program says it in its own way, in its first line."""
    assert parse_version(text) == version


def test_a_missing_program_has_no_version() -> None:
    """Not installed is an answer."""
    assert program_version(("/nonexistent/program", "--version")) is None
