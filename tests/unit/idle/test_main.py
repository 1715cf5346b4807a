"""The program that looks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import supervisor
from supervisor.idle import main
from supervisor.paths import Layout
from supervisor.render.mounts import INIT_TARGET

HEAVY = {"argparse", "collections", "dataclasses", "enum", "json", "pathlib", "re", "signal", "socket", "subprocess"}


@pytest.mark.parametrize(
    ("unit", "ours"),
    [
        ("ctr-web.scope", True),
        ("ctr-idle@web.timer", True),
        ("ctr-healthy@web.service", True),
        ("ctr@app.service", False),
        ("web-proxy.service", False),
        ("ctr-web2.scope", False),
    ],
)
def test_companions_are_no_reason_to_stay(unit: str, ours: bool) -> None:
    """What ctr itself runs beside a container needs it no more than the container itself; other units do."""
    assert main.is_companion(unit, "web") == ours


def test_nothing_is_done_without_a_record(tmp_path: Path) -> None:
    """A container that was started without its socket unit, or has just ended."""
    main.look("web", Layout(str(tmp_path)))
    main.thaw("web", Layout(str(tmp_path)))


def test_thawing_what_has_ended_makes_no_files(tmp_path: Path) -> None:
    """Its control group is gone: there is nothing to write to, and the mark is all that is left."""
    places = tmp_path / "run/ctr/containers/web"
    places.mkdir(parents=True)
    (places / main.FROZEN).touch()
    main.thaw("web", Layout(str(tmp_path)))
    assert not Path("/cgroup.freeze").exists()


@pytest.mark.parametrize(
    ("parent", "numbers", "second"),
    [("70", "71\t2", True), ("70", "90\t14", False), ("1", "71\t2", False), ("70", "71\t9\t2", True)],
)
def test_the_program_below_an_init(parent: str, numbers: str, second: bool) -> None:
    """A child of the init, and the second process in there: no orphan, nothing of exec, and not the init."""
    status = f"Name:\tnginx: x\nPid:\t71\nPPid:\t{parent}\nNSpid:\t{numbers}\n"
    assert main.is_second(status, 70) == second
    assert main.INIT == INIT_TARGET


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Another verb, or a name that is none, is an error."""
    assert main.main(["peek", "web"], {}) == 1
    assert main.main(["look", "../x"], {}) == 1
    assert "ctr-idle look|thaw NAME" in capsys.readouterr().err


def test_a_look_imports_little() -> None:
    """None of the expensive modules of the standard library."""
    root = str(Path(supervisor.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {root!r}); import supervisor.idle.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
