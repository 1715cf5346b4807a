"""``ctrctl monitor`` before there is a screen: what it needs, and what it says when that is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def _monitor(*words: str, before: str = "") -> tuple[int, str]:
    code = f"""
import io, os, sys
sys.path.insert(0, {str(ROOT)!r})
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.paths import Layout
class Terminal(io.StringIO):
    def isatty(self):
        return True
{before}
environ = dict(TERM=os.environ.get("TEST_TERM", "xterm"))
sys.exit(guarded({("monitor", *words)!r}, Console(Terminal(), Terminal(), sys.stderr, environ, Layout("/nonexistent"))))
"""
    done = subprocess.run([sys.executable, "-IS", "-c", code], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_the_missing_package_is_named() -> None:
    """Nothing else of ctrctl needs rich, so a host may lack it."""
    code, words = _monitor(before="sys.modules['rich'] = None")
    assert code == 125
    assert words.endswith("; install the package python3-rich\n")


def test_it_needs_a_terminal() -> None:
    """And names the verbs that do not."""
    code, words = _monitor(before="Terminal.isatty = lambda self: False")
    assert (code, words) == (
        *(125, "ctrctl: monitor: stdin or stdout is not a terminal; 'ctrctl stats' and 'ctrctl events' print lines\n"),
    )


def test_a_terminal_that_can_do_nothing_is_refused() -> None:
    """Escape sequences would be all that is seen."""
    code, words = _monitor(before="os.environ['TEST_TERM'] = 'dumb'")
    assert code == 125
    assert "TERM is not set, or 'dumb'" in words


def test_an_unknown_container_is_refused() -> None:
    """Before the screen is taken; so is an interval that makes no sense."""
    assert "no container 'nobody'" in _monitor("nobody")[1]
    assert "too short; use 0.25 seconds or more" in _monitor("--interval", "0")[1]
    assert "too long; use 86400 seconds (a day) or less" in _monitor("--interval", "inf")[1]
