"""ctrctl apply --keep-going: what is valid is deployed, and nothing goes that may only be out of sight."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import apply, planning, reconcile
from supervisor.cli.apply import Application, load_definitions, unused
from supervisor.cli.console import Console
from supervisor.deploy import state, watched
from supervisor.errors import DefinitionError
from supervisor.spec.pod import Pod
from supervisor.spec.userns import UserNamespace
from supervisor.systemd.manager import Manager
from tests.unit.deploy.host import Place

TEXT = "[Container]\nImage=nginx\nNetwork=none\n"


class Host(Place):
    """A host on which definitions are applied."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.console = Console(io.StringIO(), self.out, self.err, {}, self.layout)
        self.definitions = Path(self.layout.definitions)

    def define(self, name: str, text: str = TEXT) -> Path:
        path = self.definitions / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def apply(self, *arguments: str) -> list[str]:
        """The containers that are deployed afterwards; problems are in `err`."""
        parser = argparse.ArgumentParser()
        apply.configure("apply", parser)
        args = parser.parse_args(["--no-pull", *arguments])
        paths = apply.absolute(args.paths, self.console)
        manager: Any = self.systemd
        application = Application(self.deployment(), manager, self.console)
        try:
            if args.keep_going:
                reconcile.apply_valid(application, paths, args)
            else:
                loaded, problems = load_definitions(paths, self.console)
                if problems:
                    raise DefinitionError(problems)
                application.apply(loaded, paths, args, unused(loaded))
        except DefinitionError as error:
            self.err.write(f"{error}\n")
        return [deployed.name for deployed in state.read_all(self.layout)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _missing(directory: Path) -> None:
    shutil.rmtree(directory)


def _unreadable(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.symlink_to(directory)


def _leads_nowhere(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("options", [(), ("--keep-going",)])
@pytest.mark.parametrize("lose", [_missing, _unreadable, _leads_nowhere])
def test_a_directory_that_cannot_be_read_takes_nothing_away(
    host: Host, lose: Callable[[Path], None], options: tuple[str, ...]
) -> None:
    """Whatever came from there stays; an empty one is another matter."""
    host.define("a.container")
    host.define("sub/b.container")
    assert host.apply() == ["a", "b"]
    lose(host.definitions)
    assert host.apply(*options) == ["a", "b"]
    assert str(host.definitions) in host.err.getvalue()
    host.definitions.unlink(missing_ok=True)
    host.definitions.mkdir()
    assert host.apply(*options) == []


@pytest.mark.parametrize("options", [(), ("--keep-going",)])
@pytest.mark.parametrize("lose", [_unreadable, _leads_nowhere])
def test_a_part_that_cannot_be_read_takes_nothing_away(
    host: Host, lose: Callable[[Path], None], options: tuple[str, ...]
) -> None:
    """However deep things lay below it; others are not held up by that, if the caller wants to keep going."""
    a = host.define("a.container")
    host.define("sub/deeper/b.container")
    host.define("subway/c.container")
    assert host.apply() == ["a", "b", "c"]
    lose(host.definitions / "sub")
    a.unlink()
    shutil.rmtree(host.definitions / "subway")
    left = host.apply(*options)
    assert "b" in left
    if options:
        assert left == ["b"]
    assert f"{host.definitions}/sub: " in host.err.getvalue()
    (host.definitions / "sub").unlink()
    assert host.apply(*options) == []


def test_the_plain_command_says_no_when_a_directory_is_missing(host: Host) -> None:
    """From the start to the end, as it is called."""
    shutil.rmtree(host.definitions)
    parser = argparse.ArgumentParser()
    apply.configure("apply", parser)
    with pytest.raises(DefinitionError, match="cannot be read"):
        apply.run("apply", parser.parse_args([]), host.console)


def test_what_is_passed_over_stays(host: Host) -> None:
    """Definitions below users/ are deployed by name, and only so taken away."""
    path = host.define("users/a.container")
    assert host.apply(str(path)) == ["a"]
    assert host.apply() == ["a"]
    path.unlink()
    assert host.apply(str(path.parent)) == []


@pytest.mark.parametrize(
    "break_it",
    [
        lambda template: template.write_text(template.read_text().replace("[Install]", "[Install")),
        lambda template: template.write_text(template.read_text().replace("DefaultInstance", "DefaultInstnace")),
        lambda template: template.write_text(template.read_text().replace("=a", "=a/b")),
        lambda template: (template.parent / "web@.container.d").symlink_to("web@.container.d"),
    ],
)
def test_a_mistake_in_a_template_keeps_its_instance(host: Host, break_it: Callable[[Path], object]) -> None:
    """Also one because of which it has none any more; without mistake, it goes."""
    template = host.define("web@.container", f"{TEXT}[Install]\nDefaultInstance=a\n")
    assert host.apply() == ["web_a"]
    break_it(template)
    assert host.apply("--keep-going") == ["web_a"]
    assert f"{template}" in host.err.getvalue()
    shutil.rmtree(host.definitions)
    host.define("web@.container")
    assert host.apply("--keep-going") == []


def test_a_mistake_in_a_templates_drop_in_keeps_its_instance(host: Host) -> None:
    """That is where DefaultInstance= may be."""
    host.define("web@.container")
    drop_in = host.define("web@.container.d/1.conf", "[Install]\nDefaultInstance=a\n")
    assert host.apply() == ["web_a"]
    drop_in.write_text("[Install]\nDefaultInstance=a/b\n")
    assert host.apply("--keep-going") == ["web_a"]
    assert f"{drop_in}:2: " in host.err.getvalue()


def test_a_rehearsal_says_what_would_happen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And changes nothing, not even what is watched."""
    a = host.define("a.container")
    b = host.define("b.container")
    assert host.apply() == ["a", "b"]
    a.write_text(f"{TEXT}Nonsense=1\n")
    b.unlink()
    host.systemd.active[watched.UNIT] = "active"
    host.systemd.calls.clear()
    host.out.truncate(0)
    assert host.apply("--keep-going", "--dry-run") == ["a", "b"]
    assert "b: would be removed" in host.out.getvalue()
    assert "a: would be removed" not in host.out.getvalue()
    assert not host.systemd.calls


def test_what_changes_while_it_reads_is_not_missed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look at the files and the end of reading as well as later."""
    host.define("a.container")
    late = iter(("b", "c"))

    def load_and_change(paths: Sequence[str], console: Console) -> object:
        found = load_definitions(paths, console)
        if name := next(late, ""):
            host.define(f"{name}.container")
        return found

    monkeypatch.setattr(reconcile, "load_definitions", load_and_change)
    assert host.apply("--keep-going") == ["a", "b", "c"]


def test_what_changes_in_a_linked_directory_is_seen(host: Host, tmp_path: Path) -> None:
    """It is read, so it is compared."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (host.definitions / "link").symlink_to(outside)
    before = frozenset(reconcile._state((str(host.definitions),)))
    (outside / "a.container").write_text(TEXT)
    assert frozenset(reconcile._state((str(host.definitions),))) != before


def test_what_is_not_watched_is_named(host: Host) -> None:
    """Since nothing happens when that changes."""
    for number in range(watched.MOST + 12):
        (host.definitions / f"d{number:03}").mkdir()
    host.systemd.active[watched.UNIT] = "active"
    host.apply("--keep-going")
    assert f"not watched: {host.definitions}/d{watched.MOST:03}, " in host.err.getvalue()
    assert f"d{watched.MOST + 9:03} and 2 more; run 'ctrctl apply'" in host.err.getvalue()
    host.systemd.results[watched.UNIT] = "failed"
    (host.definitions / "d000").rmdir()
    host.define("a.container", f"{TEXT}Nonsense=1\n")
    host.apply("--keep-going")
    assert "ctr-apply.path: cannot be started (failed)" in host.err.getvalue()
    assert "Nonsense=" in host.err.getvalue()


def test_a_plan_shows_pods(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field, new or changed."""
    host.deployment().apply((), pods=(Pod("shop", f"{host.definitions}/shop.pod"),), prune=lambda _: False)
    host.define("shop.pod", "[Pod]\nHostName=new\n")
    loaded, _ = load_definitions((str(host.definitions),), host.console)

    class Local:
        def __enter__(self) -> object:
            return host.systemd

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(Manager, "open", Local)
    planning.show(loaded, (str(host.definitions),), host.console)
    assert "pod shop\n  hostname: none → new\n" in host.out.getvalue()


def test_a_pod_whose_users_change_takes_an_invalid_container_along(host: Host) -> None:
    """It stays as it is deployed, but for its users: with other ones than its pod's it would not start."""
    host.define("p.pod", "[Pod]\nNetwork=none\nUserNS=auto\n")
    host.define("m.container", "[Container]\nImage=nginx\nPod=p.pod\n")
    assert host.apply("--keep-going") == ["m"]
    host.define("p.pod", "[Pod]\nNetwork=none\nUserNS=auto:size=70000\n")
    host.define("m.container", "[Container]\nImage=nginx\nPod=p.pod\nNonsense\n")
    assert host.apply("--keep-going") == ["m"]
    maps = state.read(host.layout, "m").record.id_maps
    assert maps and maps.uids[0].length == 70000
    assert maps == state.read_pod(host.layout, "p").record.id_maps


def test_what_a_drop_in_asks_for_keeps_its_definition_out(host: Host) -> None:
    """The drop-in's line is told, and the rest is deployed."""
    host.define("a.container")
    host.define("a.container.d/1.conf", "[Container]\nImage=none\n")
    host.define("b.container")
    assert host.apply("--keep-going") == ["b"]
    assert "a.container.d/1.conf:2: Image=: a: image 'none'" in host.err.getvalue()


def test_a_pod_that_cannot_change_keeps_its_containers_as_they_are(host: Host) -> None:
    """One of them cannot have the users that it is to have: then none has."""
    host.define("p.pod", "[Pod]\nNetwork=none\nUserNS=auto:size=70000\n")
    big = "[Container]\nImage=nginx\nPod=p.pod\nUser=69000\n"
    host.define("m.container", big)
    host.define("n.container", "[Container]\nImage=nginx\nPod=p.pod\n")
    host.define("other.container")
    assert host.apply("--keep-going") == ["m", "n", "other"]
    before = {name: state.read(host.layout, name).record for name in "mn"}
    host.define("p.pod", "[Pod]\nNetwork=none\nUserNS=auto:size=10\n")
    host.define("m.container", f"{big}Nonsense\n")
    host.define("other.container", f"{TEXT}Exec=new\n")
    host.apply("--keep-going")
    assert {name: state.read(host.layout, name).record for name in "mn"} == before
    assert state.read_pod(host.layout, "p").pod.user_namespace == UserNamespace(size=70000)
    assert state.read(host.layout, "other").container.command == ("new",)
    assert "p.pod:3: UserNS=: m: user 69000: is not among the 10" in host.err.getvalue()
