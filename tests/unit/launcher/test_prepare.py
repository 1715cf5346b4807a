"""What a start makes before anything of the container runs."""

from __future__ import annotations

import stat
from pathlib import Path

from supervisor.launcher.main import _Start
from supervisor.launcher.plan import Plan
from supervisor.paths import Layout


def start(root: Path) -> Path:
    """A start of web, prepared; its runtime directory."""
    layout = Layout(str(root))
    places = Path(layout.running("web"))
    _Start(Plan(f"ctr-plan=1\nname=web\nrootfs={places}/rootfs\n"), str(root), layout, {}).prepare()
    return places


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    """Mount points are made one by one: those of a run whose cleanup was killed too are gone."""
    places = start(tmp_path)
    (places / "layers/0").mkdir()
    (places / "overlays/0.layers/upper").mkdir(parents=True)
    assert start(tmp_path) == places
    assert list((places / "layers").iterdir()) == [] and not (places / "overlays").exists()


def test_the_plan_is_roots_alone(tmp_path: Path) -> None:
    """The root of a container with users of its own may pass through the directory that it lies in."""
    assert stat.S_IMODE((start(tmp_path) / "plan").stat().st_mode) == 0o600
