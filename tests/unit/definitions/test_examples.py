"""The definitions people copy mean what their comments claim."""

from __future__ import annotations

import ast
import posixpath
from pathlib import Path

import pytest

from supervisor.definitions import coverage
from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.definitions.unitfile import Assignment, parse
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
    assert meant(loaded, f"{HOME}/{name}", path) == ast.literal_eval(literal)


def meant(loaded: Loaded, source: str, path: str) -> object:
    """What *path* of a claim in the example *source* stands for."""
    if path == "warnings":
        return len([warning for warning in loaded.warnings if warning.file == source])
    found = next(one for one in everything(loaded) if one.source == source)
    return evaluate(ast.parse(path, mode="eval").body, found)


@pytest.mark.parametrize("name", FILES)
def test_every_example_claims_something(name: str) -> None:
    """An example without claims would test nothing."""
    assert len(claims(EXAMPLES / name)) >= 3


DONE = [key for key in coverage.QUADLET if key.state is coverage.State.DONE]


@pytest.mark.parametrize("key", DONE, ids=lambda key: f"{key.section}-{key.name}")
def test_every_done_key_has_an_example(loaded: Loaded, alone: Context, key: coverage.Key) -> None:
    """What the coverage table says is done can be seen used, and where it is used a claim fails without it."""
    users = [source for source, file in loaded.files.items() if any(is_of(key, at) for at in file.assignments)]
    assert users
    users = [source for source in users if not unmet(load(source, read, alone), source)]
    assert any(unmet(load(source, lambda path: without(key, read(path)), alone), source) for source in users)


@pytest.fixture(scope="module")
def alone(loaded: Loaded) -> Context:
    """What the examples may refer to, for one that is loaded alone."""
    of_images = {image.source: image.tag or image.reference for image in loaded.images}
    of_images |= {build.source: build.tags[0] for build in loaded.builds}
    return Context(
        names={posixpath.basename(one.source): one.name for one in everything(loaded)},
        references={posixpath.basename(source): reference for source, reference in of_images.items()},
        pods={posixpath.basename(pod.source): pod for pod in loaded.pods},
    )


def is_of(key: coverage.Key, at: Assignment) -> bool:
    return coverage.find(at.section, at.key) is key


def without(key: coverage.Key, content: bytes | tuple[str, ...]) -> bytes | tuple[str, ...]:
    """A file's content without the lines of *key*."""
    if isinstance(content, tuple):
        return content
    file = parse("", content)
    lines = [f"[{section.name}]" for section in file.sections]
    lines += [f"[{at.section}]\n{at.key}={at.value}" for at in file.assignments if not is_of(key, at)]
    return "\n".join(lines).encode()


def unmet(loaded: Loaded, source: str) -> int:
    """How many of the claims in the example *source* do not hold."""
    count = 0
    for claim in claims(EXAMPLES / posixpath.basename(source)):
        path, _, literal = claim.partition(" == ")
        try:
            count += meant(loaded, source, path) != ast.literal_eval(literal)
        except (StopIteration, LookupError, AttributeError):
            count += 1  # there is no such thing any more
    return count


def test_examples_survive_storage(loaded: Loaded) -> None:
    """What was compiled is the same after it was stored as JSON."""
    for one in everything(loaded):
        assert codec.loads(type(one), codec.dumps(one)) == one
