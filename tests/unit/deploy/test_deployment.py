"""Deploy: what is written, what is restarted, what is undone, and what a SIGKILL leaves."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.deploy import state
from supervisor.errors import ConflictError, DefinitionError, HostError, NotFoundError, UserError
from supervisor.spec.container import Container, Mount, MountType, UnitSections
from supervisor.spec.volumes import anonymous
from tests.unit.deploy.host import Place, Refusing, Systemd


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keep(_: Container) -> bool:
    return False


def unit(place: Place, path: str) -> Path:
    return Path(place.layout.units) / path


# what is written


def test_a_new_container_is_complete(place: Place) -> None:
    """Record, configuration, plan, drop-in and links are there and agree; nothing hidden is left."""
    container = place.container()
    report = place.deployment().apply([container], prune=keep)
    assert report.created == ("web",)
    directory = Path(place.layout.container("web"))
    assert sorted(p.name for p in directory.iterdir() if not p.name.startswith("v.")) == [
        "config.json",
        "current",
        "deployed.json",
        "plan",
        "spec.json",
    ]
    assert json.loads((directory / "config.json").read_text())["process"]["args"] == ["one"]
    assert (directory / "plan").read_text().startswith("ctr-plan=1\nname=web\n")
    assert "Environment=V=one" in unit(place, "ctr@web.service.d/50-ctr.conf").read_text()
    link = unit(place, "one.target.wants/ctr@web.service")
    assert os.readlink(link) == "/usr/lib/systemd/system/ctr@.service"
    assert place.deployment().get("web") == container
    assert place.deployment().deployed() == (container,)
    assert place.deployment().users_of("sha256:" + "1" * 64) == ("web",)
    assert [p for p in os.listdir(place.layout.containers) if p.startswith(".")] == []


def test_a_setuid_program_in_a_layer_is_out_of_reach(place: Place) -> None:
    """Users of the host cannot walk into a container's files, and the record, which has its environment, is root's."""
    place.deployment().apply([place.container()], prune=keep)
    directory = Path(place.layout.container("web"))
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / "config.json").stat().st_mode & 0o077 == 0


def test_nothing_changed_writes_nothing(place: Place) -> None:
    """A second apply reports 'unchanged', asks systemd for nothing and leaves every file alone."""
    place.deployment().apply([place.container()], prune=keep)
    place.systemd = Systemd(web="active")
    before = place.snapshot()
    report = place.deployment(Refusing(0)).apply([place.container()], prune=keep)
    assert report.unchanged == ("web",) and place.systemd.calls == []
    assert place.snapshot() == before


def test_a_change_keeps_the_layer_and_the_last_exit(place: Place) -> None:
    """A new version replaces the old one; what belongs to the container's life stays, and so does its directory."""
    place.deployment().apply([place.container()], prune=keep)
    directory = Path(place.layout.container("web"))
    (directory / "layer/upper").mkdir(parents=True)
    (directory / "layer/upper/data").write_text("kept")
    (directory / "last-exit").write_text("{}")
    inode = directory.stat().st_ino
    assert place.deployment().apply([place.container(command="two")], prune=keep).changed == ("web",)
    assert directory.stat().st_ino == inode
    assert (directory / "layer/upper/data").read_text() == "kept"
    assert (directory / "last-exit").exists()
    assert len([p for p in directory.iterdir() if p.name.startswith("v.")]) == 1
    assert not unit(place, "one.target.wants").exists()
    assert unit(place, "two.target.wants/ctr@web.service").is_symlink()


def test_a_link_or_drop_in_that_went_missing_comes_back(place: Place) -> None:
    """The disk is compared, not only the record."""
    place.deployment().apply([place.container()], prune=keep)
    unit(place, "one.target.wants/ctr@web.service").unlink()
    unit(place, "ctr@web.service.d/50-ctr.conf").write_text("tampered")
    good = place.container()
    assert place.deployment().apply([good], prune=keep).changed == ("web",)
    assert unit(place, "one.target.wants/ctr@web.service").is_symlink()
    assert "V=one" in unit(place, "ctr@web.service.d/50-ctr.conf").read_text()


# systemd


def test_no_reload_for_units_systemd_does_not_hold(place: Place) -> None:
    """A unit is read from disk when it is first needed; reloading takes time from everybody."""
    place.deployment().apply([place.container()], prune=keep)
    place.deployment().apply([place.container(command="two")], prune=keep)
    assert place.systemd.calls == []


def test_one_reload_then_restarts_for_those_that_run_and_changed(place: Place) -> None:
    """Of three containers that run, the two that changed are restarted, after a single reload."""
    names = ("a", "b", "c")
    place.deployment().apply([place.container(n) for n in (*names, "d")], prune=keep)
    place.systemd = Systemd(a="active", b="activating", c="active", d="failed")
    changed = [place.container(n, command="two" if n != "c" else "one") for n in (*names, "d")]
    report = place.deployment().apply(changed, prune=keep)
    assert place.systemd.calls == ["daemon-reload", "try-restart ctr@a.service", "try-restart ctr@b.service"]
    assert report.restarted == ("a", "b") and report.changed == ("a", "b", "d") and report.unchanged == ("c",)


def test_what_does_not_reach_the_process_restarts_nothing(place: Place) -> None:
    """A label or a link changes the record, not the running container; a loaded target needs a reload for the link."""
    place.deployment().apply([place.container()], prune=keep)
    place.systemd = Systemd(web="active")
    report = place.deployment().apply([place.container(labels=(("a", "b"),))], prune=keep)
    assert report.changed == ("web",) and report.restarted == () and place.systemd.calls == []
    place.systemd.active["two.target"] = "active"
    two = place.container("other", command="two")
    place.deployment().apply([two], prune=keep)
    assert place.systemd.calls == ["daemon-reload"]


def test_a_changed_drop_in_restarts(place: Place) -> None:
    """[Service] lines may be about how the process is started; systemd applies those at the next start only."""
    place.deployment().apply([place.container()], prune=keep)
    place.systemd = Systemd(web="active")
    other = place.container(unit=UnitSections(install=place.container().unit.install))
    assert place.deployment().apply([other], prune=keep).restarted == ("web",)


def test_debris_of_killed_work_is_swept(place: Place) -> None:
    """Half-made and half-removed directories, and one that only a late cleanup wrote into, go with the next change."""
    for name in (".killed.new", ".removed.gone", "husk"):
        os.makedirs(f"{place.layout.containers}/{name}/layer")
    place.deployment().apply([place.container()], prune=keep)
    assert os.listdir(place.layout.containers) == ["web"]
    os.makedirs(f"{place.layout.container('web')}/v.0123456789abcdef")
    assert place.deployment().apply([place.container()], prune=keep).unchanged == ("web",)
    assert not os.path.exists(f"{place.layout.container('web')}/v.0123456789abcdef")


def test_a_failed_restart_is_reported_and_stays_deployed(place: Place) -> None:
    """The new version is what its author wants; its unit says what is wrong with it."""
    place.deployment().apply([place.container()], prune=keep)
    place.systemd = Systemd(web="active")
    place.systemd.results["ctr@web.service"] = "failed"
    report = place.deployment().apply([place.container(command="two")], prune=keep)
    assert report.failed == (("web", "failed"),) and report.restarted == ()
    assert place.deployment().get("web").command == ("two",)


# pruning and removing


def test_a_vanished_definition_goes_with_everything_but_its_volume(place: Place) -> None:
    """It is stopped while its unit still knows how, then nothing of it is left; others stay."""
    os.makedirs(f"{place.layout.volumes}/a-data")
    hand_made = place.container("mine", source="ctrctl run")
    place.deployment().apply([place.container("a"), place.container("b")], prune=keep)
    place.deployment().apply([hand_made], prune=keep)
    place.systemd = Systemd(a="active")
    os.makedirs(f"{place.layout.running('a')}/rootfs")
    report = place.deployment().apply([place.container("b")], prune=place.from_definitions)
    assert report.removed == ("a",) and report.unchanged == ("b",)
    assert place.systemd.calls == ["stop ctr@a.service", "reset-failed ctr@a.service"]
    assert not [p for p in place.snapshot() if "ctr@a" in p or "containers/a" in p or "/.a" in p]
    assert os.path.isdir(f"{place.layout.volumes}/a-data")
    assert place.deployment().get("mine") == hand_made


def test_one_that_does_not_stop_stops_the_apply(place: Place) -> None:
    """Its files are in use: nothing changes, and the error says what to look at."""
    place.deployment().apply([place.container("a")], prune=keep)
    place.systemd = Systemd(a="active")
    place.systemd.results["ctr@a.service"] = "timeout"
    before = place.snapshot()
    with pytest.raises(HostError, match="stop job ended as 'timeout'"):
        place.deployment().apply([place.container("b")], prune=place.from_definitions)
    assert place.snapshot() == before
    assert place.systemd.calls[-1] == "start ctr@a.service"


def test_remove(place: Place) -> None:
    """Everything goes but named volumes, and links inside the layer are not followed."""
    place.deployment().apply([place.container()], prune=keep)
    outside = place.root / "outside"
    outside.mkdir()
    (outside / "file").write_text("safe")
    layer = Path(place.layout.container("web")) / "layer/upper"
    layer.mkdir(parents=True)
    (layer / "link").symlink_to(outside)
    os.makedirs(f"{place.layout.volumes}/web-data")
    place.deployment().remove("web")
    assert (outside / "file").read_text() == "safe"
    assert os.listdir(place.layout.containers) == []
    assert os.listdir(place.layout.units) == []
    assert os.path.isdir(f"{place.layout.volumes}/web-data")
    assert place.systemd.calls == ["reset-failed ctr@web.service"]
    with pytest.raises(NotFoundError, match="not deployed"):
        place.deployment().remove("web")


def test_removing_a_running_one_takes_force(place: Place) -> None:
    """Without force nothing happens; with it the container is stopped first."""
    place.deployment().apply([place.container()], prune=keep)
    place.systemd = Systemd(web="active")
    with pytest.raises(ConflictError, match="is running; stop it first or use --force"):
        place.deployment().remove("web")
    assert place.deployment().get("web")
    place.deployment().remove("web", force=True)
    assert place.systemd.calls == ["stop ctr@web.service", "reset-failed ctr@web.service"]
    assert state.names(place.layout) == ()


def test_removing_volumes_spares_those_in_use(place: Place) -> None:
    """rm --volumes takes what nobody named and only this container has."""
    lone, shared = anonymous("a", "/lone"), anonymous("a", "/shared")
    mounts = tuple(Mount(MountType.VOLUME, *pair) for pair in (("/lone", lone), ("/shared", shared), ("/data", "data")))
    for name in (lone, shared, "data"):
        os.makedirs(f"{place.layout.volumes}/{name}")
    other = place.container("b", mounts=(Mount(MountType.VOLUME, "/mine", shared),))
    place.deployment().apply([place.container("a", mounts=mounts), other], prune=keep)
    place.deployment().remove("a", volumes=True)
    assert sorted(os.listdir(place.layout.volumes)) == sorted(["data", shared])
    place.deployment().remove("b", volumes=True)
    assert sorted(os.listdir(place.layout.volumes)) == sorted(["data", shared])


def test_someone_elses_files_stay(place: Place) -> None:
    """An administrator's own drop-in beside ours, and a link of the same name that leads elsewhere, are not ours."""
    place.deployment().apply([place.container()], prune=keep)
    unit(place, "ctr@web.service.d/override.conf").write_text("[Service]\n")
    link = unit(place, "one.target.wants/ctr@web.service")
    link.unlink()
    link.symlink_to("/elsewhere")
    place.deployment().remove("web")
    assert unit(place, "ctr@web.service.d/override.conf").exists()
    assert not unit(place, "ctr@web.service.d/50-ctr.conf").exists()
    assert os.readlink(link) == "/elsewhere"


def test_a_damaged_record_can_be_removed(place: Place) -> None:
    """Nothing may be so broken that rm cannot remove it."""
    place.deployment().apply([place.container()], prune=keep)
    spec = Path(place.layout.container("web")) / "current/spec.json"
    spec.write_text("{")
    with pytest.raises(UserError, match="ctrctl rm"):
        place.deployment().get("web")
    place.deployment().remove("web")
    assert state.names(place.layout) == ()


# refusals


def test_every_error_is_reported_and_nothing_is_changed(place: Place) -> None:
    """Three bad containers among good ones: three messages, no effect at all."""
    place.deployment().apply([place.container("old")], prune=keep)
    before = place.snapshot()
    wrong = [
        place.container("a", image="none"),
        place.container("b", user="nobody"),
        place.container("c", timezone="../x"),
        place.container("d"),
    ]
    with pytest.raises(DefinitionError) as caught:
        place.deployment(Refusing(0)).apply(wrong, prune=place.from_definitions)
    found = [str(p) for p in caught.value.problems]
    assert len(found) == 3
    assert found[0] == f"{wrong[0].source}: a: image 'none': not in the store"
    assert found[1].startswith(f"{wrong[1].source}: b: user 'nobody'")
    assert place.snapshot() == before


def test_names_that_are_taken(place: Place) -> None:
    """Two definitions of one name, and a name deployed from elsewhere, are conflicts; a moved definition is not."""
    place.deployment().apply([place.container()], prune=keep)
    elsewhere = place.container(source="/srv/web.container")
    with pytest.raises(DefinitionError, match=r"deployed from .*/etc/ctr/web\.container already"):
        place.deployment().apply([elsewhere], prune=keep)
    with pytest.raises(DefinitionError, match="also defined in"):
        place.deployment().apply([place.container(), elsewhere], prune=place.from_definitions)
    with pytest.raises(DefinitionError, match="already"):
        place.deployment().apply([place.container()], prune=keep, replace=False)
    assert place.deployment().apply([elsewhere], prune=place.from_definitions).changed == ("web",)


def test_a_dry_run_touches_nothing(place: Place) -> None:
    """It reports what an apply would do, restarts included."""
    place.deployment().apply([place.container("a"), place.container("b")], prune=keep)
    place.systemd = Systemd(a="active", b="active")
    before = place.snapshot()
    report = place.deployment(Refusing(0)).apply(
        [place.container("a", command="two"), place.container("c")], prune=place.from_definitions, dry_run=True
    )
    assert (report.created, report.changed, report.removed, report.restarted) == (("c",), ("a",), ("b",), ("a",))
    assert place.snapshot() == before and place.systemd.calls == []


def test_a_bad_setting_is_reported_with_its_line(place: Place) -> None:
    """ctr.conf is checked like a definition."""
    Path(place.layout.settings).write_text("# hello\n[ctr]\nruntime=kata\n")
    with pytest.raises(DefinitionError, match=r"ctr.conf:3: runtime=: 'kata'"):
        place.deployment().apply([place.container()], prune=keep)
    Path(place.layout.settings).write_text("[ctr]\nruntime = runc\n")
    place.deployment().apply([place.container()], prune=keep)
    assert "runtime=runc\n" in (Path(place.layout.container("web")) / "plan").read_text()


def test_a_root_directory_is_read_without_leaving_it(place: Place) -> None:
    """Rootfs=: users come from its account files; a link among them counts as none, a missing directory is said."""
    root = place.root / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("web:x:33:33::/home:/bin/sh\n")
    one = place.container(image=None, rootfs=str(root), user="web")
    place.deployment().apply([one], prune=keep)
    config = json.loads((Path(place.layout.container("web")) / "config.json").read_text())
    assert config["process"]["user"]["uid"] == 33
    (root / "etc/passwd").rename(place.root / "passwd")
    (root / "etc/passwd").symlink_to(place.root / "passwd")
    with pytest.raises(DefinitionError, match="user 'web': not in /etc/passwd"):
        place.deployment().apply([one], prune=keep)
    with pytest.raises(DefinitionError, match="no such file or directory"):
        place.deployment().apply([place.container(image=None, rootfs="/nowhere/at/all")], prune=keep)


# failure


def world(place: Place) -> None:
    """Three containers deployed: one will change, one go, one stay; debris of a killed apply besides."""
    place.deployment().apply([place.container(n) for n in ("change", "go", "stay")], prune=keep)
    Path(place.layout.container("change"), "layer").mkdir()
    Path(place.layout.container("change"), "last-exit").write_text("{}")


def wanted(place: Place) -> list[Container]:
    return [place.container("change", command="two"), place.container("stay"), place.container("new")]


def effects(root: Path) -> int:
    """How many effects the apply of `wanted` upon `world` has."""
    place = Place(root)
    world(place)
    disk = Refusing(-1)
    place.deployment(disk).apply(wanted(place), prune=place.from_definitions)
    return disk.count


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: hundreds of renames on a busy disk take half a minute."""
    shm = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as path:
        yield Path(path)


def test_a_full_disk_at_any_step_undoes_everything(memory: Path) -> None:
    """ENOSPC at each single effect: before the commit every file is as it was; after it the new version is complete."""
    total = effects(memory / "count")
    assert total > 30
    undone = 0
    for at in range(total):
        place = Place(memory / str(at))
        world(place)
        place.systemd = Systemd(go="active", change="active")
        before = place.snapshot()
        try:
            report = place.deployment(Refusing(at)).apply(wanted(place), prune=place.from_definitions)
        except HostError as error:
            undone += 1
            assert "no space left on device; nothing was changed; free some space" in str(error)
            assert place.snapshot() == before, at
            stopped = [c for c in place.systemd.calls if c.startswith("stop")]
            assert not stopped or place.systemd.calls[-1] == "start ctr@go.service"
            assert not any(c.startswith("try-restart") for c in place.systemd.calls)
        else:
            assert report.leftovers and report.restarted == ("change",)
            place.systemd = Systemd()
            assert place.deployment().apply(wanted(place), prune=keep).unchanged == ("change", "new", "stay")
            check_complete(place)
    assert undone > 25


def test_a_failing_reload_undoes_everything(place: Place) -> None:
    """systemd refuses: the files are put back, and it is asked to read those."""
    world(place)
    place.systemd = Systemd(change="active")
    place.systemd.reload_fails = True
    before = place.snapshot()
    with pytest.raises(HostError) as caught:
        place.deployment().apply(wanted(place), prune=place.from_definitions)
    assert str(caught.value).splitlines() == ["systemd: Reload: no", "undo: systemd: Reload: no"]
    assert place.systemd.calls == ["daemon-reload", "daemon-reload"]
    assert place.snapshot() == before


def test_a_sigkill_at_any_step_leaves_every_container_whole(memory: Path) -> None:
    """Killed at each single effect: every container is its old or its new self with layer and last exit, and the next
    apply leaves no trace of what happened."""
    total = effects(memory / "count")
    for at in range(total):
        place = Place(memory / str(at))
        world(place)
        child = os.fork()
        if not child:
            try:
                place.deployment(Refusing(at, fatal=True)).apply(wanted(place), prune=place.from_definitions)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9, at
        for name in state.names(place.layout):
            check_whole(place, name)
        assert {"change", "stay"} <= set(state.names(place.layout))
        assert Path(place.layout.container("change"), "layer").is_dir()
        assert Path(place.layout.container("change"), "last-exit").exists()
        place.deployment().apply(wanted(place), prune=place.from_definitions)
        check_complete(place)


def test_a_killed_removal_is_finished_by_the_next_one(memory: Path) -> None:
    """rm killed at each effect: the container is there or gone, and rm or apply cleans up."""
    for at in range(6):
        place = Place(memory / str(at))
        world(place)
        child = os.fork()
        if not child:
            try:
                place.deployment(Refusing(at, fatal=True)).remove("go")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        if "go" in state.names(place.layout):
            check_whole(place, "go")
            place.deployment().remove("go")
        place.deployment().apply([place.container(n) for n in ("change", "stay", "new")], prune=keep)
        assert not [p for p in place.snapshot() if "ctr@go" in p or "/go" in p or "/.go" in p], at


def check_whole(place: Place, name: str) -> None:
    """Spec, configuration and plan of *name* are of one version."""
    directory = Path(place.layout.container(name))
    spec = place.deployment().get(name)
    assert json.loads((directory / "config.json").read_text())["process"]["args"] == list(spec.command or ())
    assert f"name={name}\n" in (directory / "plan").read_text()
    assert (directory / "current/hosts").exists()


def check_complete(place: Place) -> None:
    """Exactly `wanted` is deployed, once, with its drop-ins and links."""
    for container in wanted(place):
        assert place.deployment().get(container.name) == container
        check_whole(place, container.name)
        assert container.command
        dropin = unit(place, f"ctr@{container.name}.service.d/50-ctr.conf").read_text()
        assert f"V={container.command[0]}" in dropin
    assert sorted(os.listdir(place.layout.containers)) == ["change", "new", "stay"]
    for name in state.names(place.layout):
        assert len([v for v in os.listdir(place.layout.container(name)) if v.startswith("v.")]) == 1
    links = sorted(str(p.relative_to(place.layout.units)) for p in Path(place.layout.units).glob("*.wants/*"))
    assert links == [
        "one.target.wants/ctr@new.service",
        "one.target.wants/ctr@stay.service",
        "two.target.wants/ctr@change.service",
    ]


def test_two_at_once_wait_for_each_other(place: Place) -> None:
    """The second apply sees what the first one wrote: both containers are there."""
    threads = [
        threading.Thread(target=lambda n=n: place.deployment().apply([place.container(n)], prune=keep))  # type: ignore[misc]
        for n in ("a", "b", "c", "d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.names(place.layout) == ("a", "b", "c", "d")


@pytest.mark.parametrize("name", ["../x", "a/b", "-rf", "n" * 300, ""])
def test_a_hostile_name_reaches_no_file(place: Place, name: str) -> None:
    """Neither get nor remove takes a name that is no name."""
    for action in (place.deployment().get, place.deployment().remove):
        with pytest.raises(UserError):
            action(name)
