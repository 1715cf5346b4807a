"""What short verbs import: ``ctrctl ps`` has to be as quick as docker's, and imports are most of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

#: Standard library modules that cost milliseconds, or drag in others that do.
SLOW = {
    "asyncio",
    "base64",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "difflib",
    "email",
    "hashlib",
    "importlib.metadata",
    "inspect",
    "logging",
    "pathlib",
    "random",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "urllib.parse",
    "zipfile",
}
#: What ps may import of ours; a verb loads no other verb.
OURS = {
    "supervisor",
    "supervisor.cli",
    "supervisor.cli.console",
    "supervisor.cli.containers",
    "supervisor.cli.main",
    "supervisor.cli.parser",
    "supervisor.cli.ports",
    "supervisor.errors",
    "supervisor.lifecycle",
    "supervisor.lifecycle.phase",
    "supervisor.names",
    "supervisor.paths",
    "supervisor.stats",
    "supervisor.stats.scopes",
    "supervisor.systemd",
    "supervisor.systemd.manager",
    "supervisor.systemd.sdbus",
}
#: Only to say in a sentence that this machine has no systemd to ask.
EXCUSE = {"supervisor.cli.failure"}


def _imported(root: Path, *argv: str) -> set[str]:
    """Modules loaded by ``ctrctl ARGV`` as installed (-IS), below *root*; whether systemd answers plays no part."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.paths import Layout
null = open(os.devnull, "w")
guarded({argv!r}, Console(sys.stdin, null, null, dict(), Layout({str(root)!r})))
print(*sorted(sys.modules), sep=chr(10))
"""
    done = subprocess.run([sys.executable, "-IS", "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with one deployed container."""
    directory = tmp_path / "var/lib/ctr/containers/web"
    directory.mkdir(parents=True)
    (directory / "spec.json").write_text('{"name": "web", "source": "x", "image": "localhost/web", "command": ["a"]}')
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "own"),
    [
        (("ps",), {"supervisor.cli.ps"}),
        (("ps", "-a", "-q"), {"supervisor.cli.ps"}),
        (("start", "web"), {"supervisor.cli.lifecycle"}),
        (("stop", "web"), {"supervisor.cli.lifecycle"}),
    ],
)
def test_short_verbs_import_little(host: Path, argv: tuple[str, ...], own: set[str]) -> None:
    """ps, start and stop load their own module, the door to systemd, and nothing slow."""
    modules = _imported(host, *argv)
    assert not modules & SLOW
    assert {name for name in modules if name.startswith("supervisor")} - EXCUSE == OURS | own


def test_the_overview_needs_no_parser(tmp_path: Path) -> None:
    """``ctrctl`` alone does not even load argparse."""
    modules = _imported(tmp_path)
    assert "argparse" not in modules
    assert not modules & SLOW
