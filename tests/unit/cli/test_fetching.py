"""Which images an apply fetches and builds, and in which order."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

from supervisor.cli.console import Console
from supervisor.cli.fetching import Fetching, Transfer, bases_of, known_references, ordered, transfers
from supervisor.definitions.load import Loaded
from supervisor.images import building, work
from supervisor.images.fingerprint import fingerprint
from supervisor.images.store import Store
from supervisor.paths import Layout
from supervisor.spec.container import Container, PullPolicy
from supervisor.spec.image import Image, ImageConfig
from supervisor.spec.sourcing import Build, Fetch, ImageSource
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager


def test_images_are_fetched_as_the_policies_say() -> None:
    """Each once; 'always' beats the others; 'never' and what is there already are left alone."""
    containers = [
        Container(name=f"c{n}", source="x", image=image, pull=policy)
        for n, (image, policy) in enumerate(
            [
                ("there", PullPolicy.MISSING),
                ("gone", PullPolicy.MISSING),
                ("gone", PullPolicy.MISSING),
                ("never", PullPolicy.NEVER),
                ("fresh", PullPolicy.ALWAYS),
                ("fresh", PullPolicy.NEWER),
                ("newer", PullPolicy.NEWER),
                ("mixed", PullPolicy.MISSING),
                ("mixed", PullPolicy.ALWAYS),
            ]
        )
    ]
    containers.append(Container(name="r", source="x", rootfs="/r"))
    found = transfers(Loaded(tuple(containers), (), ()), frozenset(("gone", "never", "mixed")))
    assert [(transfer.reference, transfer.policy) for transfer in found] == [
        ("fresh", PullPolicy.ALWAYS),
        ("gone", PullPolicy.MISSING),
        ("mixed", PullPolicy.ALWAYS),
        ("newer", PullPolicy.NEWER),
    ]


def test_a_definition_says_how_its_image_is_fetched() -> None:
    """Also for a container that runs it, whose own policy may be stricter; else the container's own words count."""
    source = ImageSource("x", "/etc/ctr/x.image", "quay.io/x", "localhost/x", fetch=Fetch(retries=9))
    runs = Container(name="a", source="a", image="localhost/x", fetched_by="x.image", pull=PullPolicy.ALWAYS)
    other = Container(name="b", source="b", image="web", pull_retries=7, pull_retry_delay=2.0)
    found = transfers(Loaded((runs, other), (), (), images=(source,)), frozenset(("localhost/x", "web")))
    assert found == (
        Transfer("localhost/x", PullPolicy.ALWAYS, source.fetch, "quay.io/x"),
        Transfer("web", PullPolicy.MISSING, Fetch(retries=7, retry_delay=2.0)),
    )


def test_images_of_volumes_are_fetched_too() -> None:
    """Those that are missing. What is built is not asked for anywhere."""
    container = Container(name="a", source="a", image="localhost/b", fetched_by="b.build", pull=PullPolicy.ALWAYS)
    loaded = Loaded((container,), (), (), volumes=(Volume("v", "v", image="seed"),))
    assert [t.reference for t in transfers(loaded, frozenset(("seed", "localhost/b")))] == ["seed"]
    assert transfers(loaded, frozenset()) == ()


def _build(directory: Path, name: str, base: str, **more: Any) -> Build:
    (directory / name).write_text(f"FROM {base}\n")
    return Build(name, f"/etc/ctr/{name}.build", (f"localhost/{name}",), str(directory), f"{directory}/{name}", **more)


def test_builds_come_after_those_they_start_from(tmp_path: Path) -> None:
    """Whatever their files are called, also with short names; a circle and an unreadable recipe do no harm."""
    c = _build(tmp_path, "c", "busybox")
    b = _build(tmp_path, "b", "localhost/c:latest")
    a = _build(tmp_path, "a", "b")
    assert ordered((a, b, c)) == (c, b, a)
    loop = _build(tmp_path, "loop", "localhost/loop")
    gone = Build("gone", "/etc/ctr/gone.build", ("localhost/gone",), str(tmp_path), f"{tmp_path}/none")
    assert ordered((loop, gone)) == (loop, gone)


def test_images_for_another_architecture_are_the_builders(tmp_path: Path) -> None:
    """Under the same name our store has the one for this host."""
    assert bases_of(_build(tmp_path, "x", "busybox")) == ("busybox",)
    assert bases_of(_build(tmp_path, "x", "busybox", fetch=Fetch(architecture="s390x"))) == ()


def test_what_was_deployed_says_what_a_definition_means() -> None:
    """When only the container is applied, and not when the directory is in which the definition should be."""
    deployed = [
        Container(name="a", source="/etc/ctr/a.container", image="localhost/x:1", fetched_by="x.image"),
        Container(name="b", source="/etc/ctr/b.container", image="plain"),
    ]
    assert known_references(deployed, ("/etc/ctr/a.container",)) == {"x.image": "localhost/x:1"}
    assert known_references(deployed, ("/etc/ctr",)) == {}
    assert known_references(deployed, ("/etc/ctr/x.image",)) == {}


ID = "sha256:" + "a" * 64


def _fetching(tmp_path: Path, loaded: Loaded) -> tuple[Fetching, Layout, io.StringIO]:
    """Without a systemd: whoever asks for one fails."""
    layout, said = Layout(str(tmp_path)), io.StringIO()
    console = Console(io.StringIO(), said, said, {}, layout)
    return Fetching(loaded, cast(Manager, None), console), layout, said


def _store(layout: Layout, *names: str) -> None:
    Store(layout).add(Image(ID, "", (), "amd64", "linux", "", 0, (), ImageConfig()), names, (), ((ID, b"{}"),))


def test_a_base_that_is_gone_is_not_missed(tmp_path: Path) -> None:
    """As long as nothing is to be built, nobody asks a registry for what an image started from."""
    (tmp_path / "context").mkdir()
    build = _build(tmp_path / "context", "x", "quay.io/base:1")
    fetching, layout, said = _fetching(tmp_path / "root", Loaded((), (), (), builds=(build,)))
    _store(layout, "localhost/x:latest")
    Path(building.state(layout, "x")).mkdir(parents=True)
    base = (("quay.io/base:1", "sha256:" + "b" * 64),)
    made = building.Record("x", build.source, fingerprint(build), ID, base)
    work.write(f"{building.state(layout, 'x')}/record.json", made)
    fetching.run()
    assert said.getvalue() == ""


def test_another_reference_for_the_same_name(tmp_path: Path) -> None:
    """What the name stands for is not what the definition says any more: it is missing."""
    source = ImageSource("x", "/etc/ctr/x.image", "quay.io/x:1", "localhost/x:1")
    fetching, layout, _ = _fetching(tmp_path, Loaded((), (), (), images=(source,)))
    _store(layout, "localhost/x:1", "quay.io/x:1")
    assert list(fetching.plan()) == []
    changed = ImageSource("x", "/etc/ctr/x.image", "quay.io/x:2", "localhost/x:1")
    fetching, _, _ = _fetching(tmp_path, Loaded((), (), (), images=(changed,)))
    assert list(fetching.plan()) == ["image localhost/x:1 would be fetched"]
