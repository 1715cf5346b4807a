"""What the launcher does with the credentials that systemd loaded: variables here, files in tests/system."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor
from supervisor.errors import UserError
from supervisor.launcher import secrets
from supervisor.launcher.envfile import merged_config

ROOT = str(Path(supervisor.__file__).parent.parent)
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


@pytest.fixture(autouse=True)
def _dumpable_again() -> Iterator[None]:
    yield
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


@pytest.mark.parametrize("value", ["plain", "with newline\n", "a=b c\td", "zwölf", ""])
def test_a_value_is_the_credential_as_it_is(tmp_path: Path, value: str) -> None:
    """podman's rule: a trailing newline stays, nothing is quoted or stripped."""
    (tmp_path / "token").write_text(value)
    assert secrets.variables(("token TOKEN",), str(tmp_path)) == {"TOKEN": value}


@pytest.mark.parametrize(("value", "reason"), [(b"hunter\0two", "NUL byte"), (b"hunter\xff", "not UTF-8")])
def test_a_value_that_no_variable_can_hold_is_refused(tmp_path: Path, value: bytes, reason: str) -> None:
    """Named by secret, with what to do, and without a part of the value."""
    (tmp_path / "token").write_bytes(value)
    with pytest.raises(UserError, match=rf"secret 'token': .*{reason}.*type=mount") as caught:
        secrets.variables(("token TOKEN",), str(tmp_path))
    assert "hunter" not in str(caught.value)


def test_a_credential_that_systemd_did_not_load_is_named(tmp_path: Path) -> None:
    """A plan newer than the unit that is loaded, say."""
    with pytest.raises(UserError, match="secret 'token': systemd loaded no such credential; run 'ctrctl apply'"):
        secrets.variables(("token TOKEN",), str(tmp_path))


def test_no_core_dump_from_the_first_value_on(tmp_path: Path) -> None:
    """The process is dumpable before and not after, which its children inherit."""
    (tmp_path / "token").write_text("x")
    code = f"""
import ctypes, os, sys
sys.path.insert(0, {ROOT!r})
from supervisor.launcher import secrets
libc = ctypes.CDLL(None)
print(libc.prctl({_PR_GET_DUMPABLE}, 0, 0, 0, 0))
secrets.variables(("token TOKEN",), {str(tmp_path)!r})
if os.fork():
    os.wait()
print(libc.prctl({_PR_GET_DUMPABLE}, 0, 0, 0, 0), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-IS", "-u", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "0"]


def test_a_secret_wins_over_every_other_source(tmp_path: Path) -> None:
    """Image, environment files and Environment= lose to it, as with podman."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"env": ["A=image", "B=definition"]}}))
    (tmp_path / "file").write_text("A=file\nB=file\n")
    text = merged_config(str(config), (str(tmp_path / "file"),), frozenset({"B"}), {"A": "s1", "B": "s2\n"})
    assert json.loads(text)["process"]["env"] == ["A=s1", "B=s2\n"]


def test_the_module_is_cheap() -> None:
    """Beside what the launcher has anyway it loads nothing: reading variables takes no JSON parser by itself."""
    before = f"import sys; sys.path.insert(0, {ROOT!r}); import supervisor.launcher.main; old = set(sys.modules)"
    code = f"{before}; import supervisor.launcher.secrets; print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["supervisor.launcher.secrets"]
