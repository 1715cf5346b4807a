"""The gallery, definitions in the style of public repositories, is accepted; what is refused says so itself."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from supervisor.definitions import coverage
from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.definitions.unitfile import parse
from supervisor.spec import codec
from supervisor.spec.container import Container
from tests.unit.definitions.claims import claims, evaluate

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
#: Where a user would put one directory of it.
HOME = "/etc/ctr"
#: A host: the newer of those that ctr is made for, with a name.
HOST = Context(systemd=257, host={"H": "host.home.example", "l": "host"})
DEFINITIONS = (".container", ".pod", ".network", ".volume", ".image", ".build")
APPLICATIONS = sorted(path.name for path in GALLERY.iterdir() if path.is_dir())
FILES = sorted(str(path.relative_to(GALLERY)) for path in GALLERY.glob("*/*") if path.suffix in DEFINITIONS)
CONTAINERS = [name for name in FILES if name.endswith(".container")]


@cache
def loaded(application: str) -> Loaded:
    """The definitions of one directory, compiled together."""

    def read(path: str) -> bytes | tuple[str, ...]:
        real = GALLERY / application / path.removeprefix(HOME).lstrip("/")
        return tuple(entry.name for entry in real.iterdir()) if real.is_dir() else real.read_bytes()

    return load(HOME, read, HOST)


def compiled(name: str) -> tuple[Container, ...]:
    """The containers that the file *name* gives: one, or each instance of a template."""
    application, _, file = name.partition("/")
    return tuple(one for one in loaded(application).containers if one.source == f"{HOME}/{file}")


def is_template(name: str) -> bool:
    return "@." in name


def is_refused(name: str) -> bool:
    return bool(claims(GALLERY / name, "refused"))


def test_the_gallery_is_large_enough_to_stand_for_what_people_write() -> None:
    """At least sixty containers, and most kinds of definitions and most keys of a container among them."""
    assert len(CONTAINERS) >= 64
    assert {Path(name).suffix for name in FILES} == {*DEFINITIONS}
    used = {at.key for name in CONTAINERS for at in parse(name, (GALLERY / name).read_bytes()).of("Container")}
    assert len(used & {key.name for key in coverage.keys("Container")}) >= 50


@pytest.mark.parametrize("application", APPLICATIONS)
def test_accepted_or_refused_as_it_says(application: str) -> None:
    """No file of the directory is refused, but for the lines that it announces itself with ``# refused:``."""
    announced = {
        (f"{HOME}/{path.name}", *claim.split(": ", 1))
        for path in (GALLERY / application).iterdir()
        if path.suffix in DEFINITIONS
        for claim in claims(path, "refused")
    }
    assert {(problem.file, problem.key, problem.message) for problem in loaded(application).problems} == announced


def test_few_are_refused_and_each_is_told_what_to_write() -> None:
    """A refusal is the exception, has a line, and names an alternative."""
    refused = [name for name in FILES if is_refused(name)]
    assert len(refused) <= 2
    for name in refused:
        for problem in loaded(name.partition("/")[0]).problems:
            assert problem.line > 0
            assert re.search(r"; (write|remove|use) ", problem.message), problem


@pytest.mark.parametrize("name", [name for name in CONTAINERS if not is_refused(name)])
def test_every_container_is_compiled(name: str) -> None:
    """What is not refused gives a container, which survives storage; a template may give none."""
    found = compiled(name)
    assert found or is_template(name)
    for one in found:
        assert codec.loads(Container, codec.dumps(one)) == one


@pytest.mark.parametrize(
    ("name", "claim"), [(name, claim) for name in CONTAINERS for claim in claims(GALLERY / name, "expect")]
)
def test_claim(name: str, claim: str) -> None:
    """What the comment in the file says is what was compiled."""
    path, _, literal = claim.partition(" == ")
    for one in compiled(name):
        assert evaluate(ast.parse(path, mode="eval").body, one) == ast.literal_eval(literal)


def test_templates_give_their_instances() -> None:
    """A link to a template is an instance of it, with what its own drop-in says; DefaultInstance= is one without."""
    sites = {one.name: one for one in loaded("web-template").containers}
    assert sorted(sites) == ["web_alpha", "web_beta"]
    assert [sites[name].hostname for name in sorted(sites)] == ["alpha", "beta"]
    assert [sites[name].ports[0].host for name in sorted(sites)] == [0, 8099]
    (sleeper,) = loaded("sleep-template").containers
    assert (sleeper.name, sleeper.command) == ("sleep_100", ("sleep", "100"))


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_says_what_it_is(name: str) -> None:
    """A gallery is to be looked at: each file begins with a sentence."""
    first = (GALLERY / name).read_text().splitlines()[0]
    assert re.fullmatch(r"# .*\S[.:].*", first), first
