"""The definitions people copy mean what their comments claim."""

from __future__ import annotations

import ast
from enum import Enum
from pathlib import Path

import pytest

from supervisor.definitions.load import Loaded, load
from supervisor.spec import codec
from supervisor.spec.container import Container, Entry, ScopeProperty
from supervisor.spec.network import Network
from supervisor.spec.volume import Volume

EXAMPLES = Path(__file__).parents[2] / "examples" / "quadlet"
#: Where a user would put them; relative paths in them are resolved against it.
HOME = "/etc/ctr"
FILES = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".container", ".network", ".volume"))


def read(path: str) -> bytes | tuple[str, ...]:
    real = EXAMPLES / path.removeprefix(HOME).lstrip("/")
    return tuple(entry.name for entry in real.iterdir()) if real.is_dir() else real.read_bytes()


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(HOME, read)


def claims(name: str) -> list[str]:
    lines = (EXAMPLES / name).read_text().splitlines()
    return [line.removeprefix("# expect:").strip() for line in lines if line.startswith("# expect:")]


def evaluate(node: ast.expr, subject: object) -> object:
    """The value of a path like ``unit.service["Restart"]`` below *subject*."""
    if isinstance(node, ast.Name):
        return plain(getattr(subject, node.id))
    if isinstance(node, ast.Attribute):
        return plain(getattr(evaluate(node.value, subject), node.attr))
    assert isinstance(node, ast.Subscript), f"{ast.unparse(node)} is no path"
    found, index = evaluate(node.value, subject), ast.literal_eval(node.slice)
    assert isinstance(found, tuple)
    return found[index] if isinstance(index, int) else named(found)[index]


def plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def named(items: tuple[object, ...]) -> dict[str, object]:
    """Pairs, entries and properties by name."""
    found: dict[str, object] = {}
    for item in items:
        if isinstance(item, Entry):
            found[item.key] = item.value
        elif isinstance(item, ScopeProperty):
            found[item.name] = item.value
        else:
            assert isinstance(item, tuple)
            found[item[0]] = item[1]
    return found


def test_examples_compile_together_without_a_problem(loaded: Loaded) -> None:
    """Every example is valid, beside all the others."""
    assert loaded.problems == ()
    assert len(everything(loaded)) == len(FILES) >= 20


def everything(loaded: Loaded) -> tuple[Container | Network | Volume, ...]:
    return (*loaded.containers, *loaded.networks, *loaded.volumes)


@pytest.mark.parametrize(("name", "claim"), [(name, claim) for name in FILES for claim in claims(name)])
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
    assert len(claims(name)) >= 3


def test_examples_survive_storage(loaded: Loaded) -> None:
    """What was compiled is the same after it was stored as JSON."""
    for one in everything(loaded):
        assert codec.loads(type(one), codec.dumps(one)) == one
