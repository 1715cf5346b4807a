"""The definitions people copy mean what their comments claim."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from supervisor.definitions import coverage
from supervisor.definitions.load import Loaded, load
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.network import Network
from supervisor.spec.pod import Pod
from supervisor.spec.sourcing import Build, ImageSource
from supervisor.spec.volume import Volume
from tests.unit.definitions.claims import claims, evaluate

EXAMPLES = Path(__file__).parents[2] / "examples" / "quadlet"
#: Where a user would put them; relative paths in them are resolved against it.
HOME = "/etc/ctr"
SUFFIXES = (".container", ".network", ".volume", ".pod", ".image", ".build")
FILES = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in SUFFIXES)


def read(path: str) -> bytes | tuple[str, ...]:
    real = EXAMPLES / path.removeprefix(HOME).lstrip("/")
    return tuple(entry.name for entry in real.iterdir()) if real.is_dir() else real.read_bytes()


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(HOME, read)


def test_examples_compile_together_without_a_problem(loaded: Loaded) -> None:
    """Every example is valid, beside all the others."""
    assert loaded.problems == ()
    assert len(everything(loaded)) == len(FILES) >= 20


def everything(loaded: Loaded) -> tuple[Container | Network | Volume | Pod | ImageSource | Build, ...]:
    return (*loaded.containers, *loaded.networks, *loaded.volumes, *loaded.pods, *loaded.images, *loaded.builds)


@pytest.mark.parametrize(("name", "claim"), [(name, claim) for name in FILES for claim in claims(EXAMPLES / name)])
def test_claim(loaded: Loaded, name: str, claim: str) -> None:
    """What the comment in the example says is what was compiled."""
    path, _, literal = claim.partition(" == ")
    expected = ast.literal_eval(literal)
    if path == "warnings":
        assert len([warning for warning in loaded.warnings if warning.file == f"{HOME}/{name}"]) == expected
        return
    found = next(one for one in everything(loaded) if one.source == f"{HOME}/{name}")
    assert evaluate(ast.parse(path, mode="eval").body, found) == expected


@pytest.mark.parametrize("name", FILES)
def test_every_example_claims_something(name: str) -> None:
    """An example without claims would test nothing."""
    assert len(claims(EXAMPLES / name)) >= 3


def test_every_done_key_has_an_example(loaded: Loaded) -> None:
    """What the coverage table says is done can be seen used."""
    used = {(at.section, at.key) for at in loaded.assignments}
    used |= {(coverage.ANY, key) for _, key in used}
    done = {(key.section, key.name) for key in coverage.QUADLET if key.state is coverage.State.DONE}
    assert done - used == set()


def test_examples_survive_storage(loaded: Loaded) -> None:
    """What was compiled is the same after it was stored as JSON."""
    for one in everything(loaded):
        assert codec.loads(type(one), codec.dumps(one)) == one
