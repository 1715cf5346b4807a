"""Documents are read by the names of their files, and only those in YAML cost a parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.documents.load import load
from supervisor.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("/x.json", '{\n"a": 1,\n}', "/x.json:3: cannot be read: "),
        ("/x.json", '{"a": {"b": 1, "b": 2}}', "/x.json: cannot be read: 'b' is there twice"),
        ("/x.json", "[" * 100_000, "/x.json: cannot be read: "),
        ("/x.json", "a: 1", "/x.json:1: cannot be read: "),
        ("/x.yaml", "a: 1\na: 1\n", "/x.yaml:2: cannot be read: 'a' is there twice"),
        ("/x.yml", "a: [\nb: c", "/x.yml:2: cannot be read: "),
    ],
)
def test_unreadable(path: str, text: str, message: str) -> None:
    """File and line, as far as they are known."""
    with pytest.raises(UserError) as raised:
        load(path, text)
    assert str(raised.value).startswith(message)


@given(st.text() | st.text('[]{}:," 01e\\uab"', max_size=30))
def test_json_is_read_or_refused(text: str) -> None:
    """Whatever it is."""
    try:
        load("/x.json", text)
    except UserError as error:
        assert str(error).startswith("/x.json:")


@pytest.mark.parametrize(
    ("name", "text", "loaded"), [("a.json", "{}", False), ("a.yaml", "a: 1", True), ("a.yml", "a: 1", True)]
)
def test_the_parser_is_imported_when_it_is_needed(name: str, text: str, loaded: bool) -> None:
    """By a program that runs without site packages, too; what is not YAML is read without."""
    code = f"import sys; sys.path[:0] = {[str(ROOT), *site_packages()]!r}\n"
    code += "from supervisor.render import cdi, cdi_spec\nfrom supervisor.documents.load import load\n"
    code += f"assert 'yaml' not in sys.modules and 'site' not in sys.modules\nload({name!r}, {text!r})\n"
    code += f"assert ('yaml' in sys.modules) == {loaded}"
    subprocess.run([sys.executable, "-IS", "-c", code], check=True, timeout=60)


def test_the_missing_package_is_named() -> None:
    """It is one of ours, so only who installs without them is told."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['yaml'] = None\n"
    code += "from supervisor.documents.load import load\nfrom supervisor.errors import UserError\n"
    code += "try: load('/x.yaml', '')\nexcept UserError as error: print(error)"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "/x.yaml: is YAML, and yaml: not found; install the package python3-yaml\n"


def site_packages() -> list[str]:
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
