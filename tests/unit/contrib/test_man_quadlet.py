"""ctr.container(5) is what the coverage table says today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from supervisor.definitions import coverage

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = CHECKOUT / "contrib" / "man" / "ctr.container.5"


def generator() -> ModuleType:
    """contrib/man.d/quadlet.py, which lies in no package."""
    spec = importlib.util.spec_from_file_location("quadlet_page", CHECKOUT / "contrib" / "man.d" / "quadlet.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    """Else: PYTHONPATH=. python3 contrib/man.d/quadlet.py > contrib/man/ctr.container.5"""
    assert PAGE.read_text() == generator().page()


def test_no_section_is_forgotten() -> None:
    """Every section of the table that belongs to Quadlet."""
    known = {section for section, _ in generator().SECTIONS}
    assert {key.section for key in coverage.TABLE if not key.section.startswith("compose")} <= known
