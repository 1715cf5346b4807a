"""What buildah is asked for, and when a build has to be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.images import building, work
from supervisor.images.builder import options, unused
from supervisor.images.building import Record, reason
from supervisor.images.store import Store
from supervisor.paths import Layout
from supervisor.spec.container import PullPolicy
from supervisor.spec.image import Image, ImageConfig
from supervisor.spec.sourcing import Build, Fetch

BASES = (("localhost/base:latest", "sha256:" + "b" * 64),)
ID = "sha256:" + "a" * 64


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "Containerfile").touch()
    return Build("web", "/etc/ctr/web.build", ("localhost/web:1",), context=str(tmp_path))


def _pairs(build: Build) -> list[tuple[str, str]]:
    words = list(options(build, given=False))
    return list(zip(words, [*words[1:], ""], strict=True))


def test_defaults(build: Build) -> None:
    """As podman build, except for the network; with docker's format, which has health checks."""
    words = list(options(build, given=False))
    assert ("--network", "host") in _pairs(build)
    assert ("--format", "docker") in _pairs(build)
    assert {"--layers", "--pull=false", "--force-rm=true", "--tls-verify=true"} < set(words)


def test_every_member_has_its_option(build: Build) -> None:
    """In words of buildah-build(1)."""
    full = replace(
        build,
        file="/x/Recipe",
        ignore_file="/x/ignore",
        target="last",
        arguments=(("A", "1 2"),),
        environment=(("E", "e"),),
        labels=(("l", "v"),),
        annotations=(("n", "v"),),
        volumes=("/a:/b:ro",),
        secrets=("id=s,src=/s",),
        dns=("192.0.2.1",),
        dns_options=("ndots:1",),
        dns_search=("example.org",),
        network="none",
        pull=PullPolicy.ALWAYS,
        force_remove=False,
        fetch=Fetch(auth_file="/auth", architecture="arm64", variant="v8", tls_verify=False),
    )
    (Path(build.context) / "Recipe").touch()
    full = replace(full, file=f"{build.context}/Recipe")
    assert {
        ("--file", f"{build.context}/Recipe"), ("--ignorefile", "/x/ignore"), ("--target", "last"),
        ("--build-arg", "A=1 2"), ("--env", "E=e"), ("--label", "l=v"), ("--annotation", "n=v"), ("--format", "oci"),
        ("--volume", "/a:/b:ro"), ("--secret", "id=s,src=/s"), ("--dns", "192.0.2.1"), ("--dns-option", "ndots:1"),
        ("--dns-search", "example.org"), ("--network", "none"), ("--authfile", "/auth"), ("--arch", "arm64"),
        ("--variant", "v8"),
    } <= set(_pairs(full))  # fmt: skip
    assert {"--pull=always", "--force-rm=false", "--tls-verify=false"} < set(options(full, given=False))
    # Whoever gave it the images has done what the policy says.
    assert "--pull=false" in options(full, given=True)
    assert "--pull=never" in options(replace(full, pull=PullPolicy.NEVER), given=True)


def test_what_the_storage_need_not_keep() -> None:
    """What has no name, and is of no step of the build."""
    listed = [
        {"id": "sha256:aaa", "names": None, "created": 1},
        {"id": "bbb", "names": ["x"], "created": 2},
        {"id": "ccc", "created": 3},
        {"id": "ddd", "created": 2},
    ]
    assert unused(listed, ("aa", "ddd")) == ("ccc",)
    assert unused(listed, ()) == ("ccc", "ddd", "aaa")


def test_why_something_is_built(build: Build, tmp_path: Path) -> None:
    """It is missing, somebody else's, or older than its sources or what it starts from; else not at all."""
    layout = Layout(str(tmp_path))
    assert reason(build, "1", BASES, layout) == "it is not here"
    image = Image(ID, "", (), "amd64", "linux", "", 0, (), ImageConfig())
    Store(layout).add(image, ("localhost/web:1",), (), ((ID, b"{}"),))
    assert reason(build, "1", BASES, layout) == "what is here was not built from it"
    Path(building.state(layout, "web")).mkdir(parents=True)
    record = Record("web", build.source, "1", ID, BASES)
    work.write(f"{building.state(layout, 'web')}/record.json", record)
    assert reason(build, "1", BASES, layout) == ""
    assert reason(build, "2", BASES, layout) == "its definition or files changed"
    assert reason(build, "1", (("localhost/base:latest", ID),), layout) == "localhost/base:latest changed"


def test_sweeping(build: Build, tmp_path: Path) -> None:
    """What was built before goes once nobody uses it and it has no name; all of a definition goes with it."""
    layout = Layout(str(tmp_path))
    old = "sha256:" + "c" * 64
    store = Store(layout)
    for one, names in ((ID, ("localhost/web:1",)), (old, ())):
        store.add(Image(one, "", (), "amd64", "linux", "", 0, (), ImageConfig()), names, (), ((one, b"{}"),))
    directory = Path(building.state(layout, "web"))
    directory.mkdir(parents=True)
    work.write(f"{directory}/record.json", Record("web", build.source, "1", ID, (), (old, ID)))
    building.sweep(layout, lambda _: False, lambda _: ("web",))
    assert {image.id for image in store.list()} == {ID, old}
    building.sweep(layout, lambda _: False, lambda _: ())
    assert [image.id for image in store.list()] == [ID]
    assert building.record(layout, "web") == Record("web", build.source, "1", ID)
    building.sweep(layout, lambda record: record.source == build.source, lambda _: ())
    assert not directory.exists()
    assert store.list()
