"""ctrctl check: the summary, explanations, and what a plan says of a field."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

from supervisor.cli import check
from supervisor.cli.console import Console
from supervisor.cli.planning import differences
from supervisor.definitions import coverage
from supervisor.errors import DefinitionError, UserError
from supervisor.paths import Layout
from supervisor.spec.container import Container, PullPolicy
from supervisor.spec.network import PublishedPort
from supervisor.spec.userns import UserNamespace
from tests.unit.definitions.claims import claims

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
APPLICATIONS = sorted(path.name for path in GALLERY.iterdir() if path.is_dir())


def run(root: Path, *arguments: str) -> str:
    """What it prints."""
    out = io.StringIO()
    console = Console(io.StringIO(), out, io.StringIO(), {}, Layout(str(root)))
    parser = argparse.ArgumentParser()
    check.configure("check", parser)
    try:
        assert check.run("check", parser.parse_args(arguments), console) == 0
    except DefinitionError as error:
        out.write(f"{error}\n")
    return out.getvalue()


def test_keys_are_counted_by_state(tmp_path: Path) -> None:
    """Those that do not do what they say by name; also of files that have mistakes."""
    path = tmp_path / "etc/ctr/a.container"
    path.parent.mkdir(parents=True)
    path.write_text("[Container]\nImage=x\nExec=y\nHttpProxy=no\nHttpProxy=no\nContainersConfModule=z\n[Kube]\nYaml=q\n")
    lines = run(tmp_path).splitlines()
    assert lines[:4] == [
        "valid: nothing",
        "keys done: 2",
        "keys refused: 2: ContainersConfModule=, Yaml=",
        "keys accepted, no effect here: 2: HttpProxy= (2 times)",
    ]
    assert all(line.startswith(f"{path}:") for line in lines[4:])


@pytest.mark.parametrize("text", ["Memory", "memory=", "Container.Memory", "[Container].memory"])
def test_a_key_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    """With or without section, in any case."""
    said = run(tmp_path, "--explain", text)
    assert said == "Memory= in [Container]: done\n  Memory limit in bytes, or with b, k, m, g\n"


def test_every_key_can_be_explained(tmp_path: Path) -> None:
    """One by one, with the reason where there is one; and all at once."""
    everything = run(tmp_path, "--explain", "all")
    for key in coverage.TABLE:
        found = coverage.lookup(f"{key.section}.{key.name}" if key.section != coverage.ANY else key.name)
        assert key in found
        assert key.reason in everything


def test_systemds_own_keys_are_explained(tmp_path: Path) -> None:
    """What goes through, what is set on the scope, what would break the hand-over."""
    assert "goes through" in run(tmp_path, "--explain", "Unit.After")
    assert "ctr-NAME.scope" in run(tmp_path, "--explain", "MemoryMax")
    assert "hands the container over" in run(tmp_path, "--explain", "ExecStart")


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_gallery_passes(tmp_path: Path, application: str) -> None:
    """Whoever types ``ctrctl check`` of a directory there sees no refusal but those that its files announce."""
    announced = sum(len(claims(path, "refused")) for path in (GALLERY / application).iterdir() if path.is_file())
    said = run(tmp_path, str(GALLERY / application)).splitlines()
    assert said[0].startswith("valid: ") and said[1].startswith("keys done: ")
    assert len([line for line in said if line.startswith(f"{GALLERY}/")]) == announced


def test_options_of_podman_are_explained(tmp_path: Path) -> None:
    """What PodmanArgs= makes of them."""
    assert "CPUQuota" in run(tmp_path, "--explain=--cpus")
    with pytest.raises(UserError, match="no such option of podman run"):
        run(tmp_path, "--explain=--cpuss")


def test_an_unknown_key_is_told_with_its_neighbour(tmp_path: Path) -> None:
    """And no file is read beside an explanation."""
    with pytest.raises(UserError, match="did you mean Memory"):
        run(tmp_path, "--explain", "Memroy")
    with pytest.raises(UserError, match="neither files nor --plan"):
        run(tmp_path, "--explain", "Memory", "x.container")


def test_a_plan_tells_what_differs() -> None:
    """Of a new container what is set, of a changed one what changes."""
    old = Container("web", "/web.container", image="x", ports=(PublishedPort(80, 8080),))
    assert list(differences(None, old)) == ["image: x", "ports: (container=80 host=8080)"]
    own = Container("web", "/web.container", environment=(("A", "1"), ("B", "2")), user_namespace=UserNamespace())
    assert list(differences(None, own)) == ["environment: A=1, B=2", "user_namespace: (auto)"]
    new = Container("web", "/web.container", image="x", pull=PullPolicy.NEVER, command=("a", "b"))
    assert list(differences(old, new)) == [
        "pull: missing → never",
        "command: none → a, b",
        "ports: (container=80 host=8080) → none",
    ]
