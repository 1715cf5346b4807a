"""/etc/ctr/ctr.conf."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.deploy.settings import Settings, parse, read
from supervisor.errors import DefinitionError
from supervisor.paths import Layout
from supervisor.spec.container import Runtime


def test_defaults_and_the_one_setting(tmp_path: Path) -> None:
    """No file, an empty one and one with comments all work."""
    assert read(Layout(str(tmp_path))) == Settings(Runtime.CRUN)
    assert parse("x", "; c\n\n[ctr]\n") == Settings()
    assert parse("x", "[ctr]\nruntime = runc\n") == Settings(Runtime.RUNC)


def test_every_mistake_is_reported_with_its_line() -> None:
    """Four mistakes, four messages."""
    with pytest.raises(DefinitionError) as caught:
        parse("c.conf", "early=1\n[ctr]\nruntime=docker\ncolour=red\nnothing\n[other]\nx=1\n")
    assert [str(p).split(": ")[0] for p in caught.value.problems] == [f"c.conf:{n}" for n in (1, 3, 4, 5, 6)]
