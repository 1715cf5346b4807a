"""Deploy: pods, and what their containers have to do with them."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.deploy import state
from supervisor.deploy.deploy import Deployment
from supervisor.deploy.report import Report
from supervisor.errors import ConflictError, DefinitionError, HostError, NotFoundError
from supervisor.network.record import Record
from supervisor.spec.container import Container, Entry, UnitSections
from supervisor.spec.network import Attachment, Network, NetworkMode, PublishedPort
from supervisor.spec.pod import Pod
from supervisor.spec.userns import AUTO_SIZE, UserNamespace, UserNamespaceMode
from tests.unit.deploy.host import IMAGE, Place, Refusing, Systemd

PORT = (PublishedPort(80, 8080),)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    shm = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as path:
        yield Path(path)


def pod(place: Place, name: str = "shop", **changes: Any) -> Pod:
    install = UnitSections(unit=(Entry("After", "x.service"),))
    return dataclasses.replace(Pod(name, f"{place.layout.definitions}/{name}.pod", unit=install), **changes)


def member(place: Place, name: str = "web", of: str = "shop", **changes: Any) -> Container:
    return place.container(name, **{"pod": of, "network": NetworkMode.POD, **changes})


def keep(_: object) -> bool:
    return False


def apply(
    place: Place,
    containers: list[Container],
    pods: list[Pod],
    *,
    networks: tuple[Network, ...] = (),
    prune: bool = False,
) -> Report:
    """*prune*: what is not among them goes."""
    gone = place.from_definitions if prune else keep
    return place.deployment().apply(containers, pods=pods, networks=networks, prune=gone)


def refused(place: Place, containers: list[Container], pods: list[Pod], *, prune: bool = False) -> list[str]:
    before = place.snapshot()
    with pytest.raises(DefinitionError) as caught:
        apply(place, containers, pods, prune=prune)
    assert place.snapshot() == before
    return [problem.message for problem in caught.value.problems]


def unit(place: Place, path: str) -> Path:
    return Path(place.layout.units) / path


def up(place: Place, *units: str) -> None:
    place.systemd = Systemd()
    place.systemd.active = dict.fromkeys(units, "active")


def document(place: Place, name: str = "shop") -> Record:
    return Record(Path(place.layout.container(name), "current/network").read_text())


# what is written


def test_a_new_pod_is_complete(place: Place) -> None:
    """Record, document, two drop-ins; it is no container, and a second apply finds nothing to do."""
    report = apply(place, [member(place)], [pod(place, ports=PORT)])
    assert (report.created, dict(report.resources)["pod shop"]) == (("web",), "created")
    assert state.names(place.layout) == ("web",) and state.pod_names(place.layout) == ("shop",)
    assert state.read_pod(place.layout, "shop").pod == pod(place, ports=PORT)
    assert [entry for entry in os.listdir(place.layout.container("shop")) if not entry.startswith("v.")] == [
        *sorted(("current", "deployed.json", "pod.json"), key=os.listdir(place.layout.container("shop")).index)
    ]
    target = unit(place, "ctr@shop.target.d/50-ctr.conf").read_text()
    namespaces = unit(place, "ctr-netns@shop.service.d/50-ctr.conf").read_text()
    assert "Requires=ctr-netns@shop.service\n" in target and "StopWhenUnneeded=yes\n" in target
    assert "PartOf=ctr@shop.target\n" in namespaces and "After=x.service\n" in namespaces
    record = document(place)
    assert record.name == "shop" and record.pod == ("shop", str(64 * 1024 * 1024), "networks")
    assert [(port.first, port.length) for port in record.ports] == [(8080, 1)]
    place.systemd = Systemd(web="active")
    again = apply(place, [member(place)], [pod(place, ports=PORT)])
    assert (again.unchanged, again.resources, place.systemd.calls) == (("web",), (), [])


def test_addresses_are_of_one_house(place: Place) -> None:
    """A pod takes its address from the same store as containers do, and keeps it."""
    net = Network("back", "")
    both = (Attachment("back"),)
    alone = place.container("alone", network=NetworkMode.NETWORKS, attachments=both)
    apply(place, [alone], [pod(place, attachments=both)], networks=(net,))
    shop, other = state.read_pod(place.layout, "shop").record, state.read(place.layout, "alone").record
    assert shop.leases[0].addresses != other.leases[0].addresses
    late = place.container("late", network=NetworkMode.NETWORKS, attachments=both)
    apply(place, [late], [])
    addresses = {state.read(place.layout, name).record.leases[0].addresses for name in ("alone", "late")}
    assert len(addresses | {shop.leases[0].addresses}) == 3
    with pytest.raises(ConflictError, match="pod shop"):
        place.deployment().remove_network("back")


def test_the_users_of_a_pod_are_its_containers(place: Place) -> None:
    """One mapping for all, recorded with each; another pod's does not overlap."""
    wish = UserNamespace()
    members = [member(place, name, of, user_namespace=wish) for name, of in (("a", "one"), ("b", "one"), ("c", "two"))]
    apply(place, members, [pod(place, name, user_namespace=wish) for name in ("one", "two")])
    maps = {name: state.read(place.layout, name).record.id_maps for name in "abc"}
    assert maps["a"] == maps["b"] == state.read_pod(place.layout, "one").record.id_maps
    first, second = (maps[name] for name in "ac")
    assert first and second and abs(first.uids[0].host - second.uids[0].host) >= AUTO_SIZE


@pytest.mark.parametrize(
    "wish", [UserNamespace(), UserNamespace(size=70000), UserNamespace(UserNamespaceMode.KEEP_ID), None]
)
@pytest.mark.parametrize("before", [None, UserNamespace(size=5)])
def test_the_users_of_a_pod_change_with_its_containers(
    place: Place, before: UserNamespace | None, wish: UserNamespace | None
) -> None:
    """Also such that are not applied with it: one with the users it had would run as the host's root. Only its users
    are other ones; the image is the one it had."""
    old = member(place, user_namespace=before)
    apply(place, [old], [pod(place, user_namespace=before)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")
    report = apply(place, [], [pod(place, user_namespace=wish)])
    found, shop = state.read(place.layout, "web"), state.read_pod(place.layout, "shop")
    assert found.container == dataclasses.replace(old, user_namespace=wish)
    assert found.record.id_maps == shop.record.id_maps and bool(shop.record.id_maps) == bool(wish)
    assert found.image == IMAGE.id
    config = json.loads(Path(place.layout.container("web"), "config.json").read_text())
    assert ("user" in {one["type"] for one in config["linux"]["namespaces"]}) == bool(wish)
    if wish != before:
        assert report.changed == report.restarted == ("web",)
        assert [call for call in place.systemd.calls if call != "daemon-reload"] == [
            "try-restart ctr-netns@shop.service",
            "start ctr@web.service",
        ]
    place.systemd.calls.clear()
    again = apply(place, [], [pod(place, user_namespace=wish)])
    assert (again.changed, again.restarted, again.resources, place.systemd.calls) == ((), (), (), [])


def test_the_ranges_of_a_pods_users_change_with_its_containers(place: Place) -> None:
    """Those that a name has in /etc/subuid are looked up anew."""
    wish = UserNamespace(UserNamespaceMode.MAPPED, sub_uid="me", sub_gid="me")
    for first in (100000, 300000):
        for name in ("subuid", "subgid"):
            (place.root / "etc" / name).write_text(f"me:{first}:65536\n")
        apply(place, [] if first == 300000 else [member(place, user_namespace=wish)], [pod(place, user_namespace=wish)])
        maps = state.read(place.layout, "web").record.id_maps
        assert maps and maps.uids[0].host == first


def test_a_container_that_cannot_have_its_pods_users_keeps_them_as_they_are(place: Place) -> None:
    """It is the pod's definition that is refused."""
    many = UserNamespace(size=70000)
    app = member(place, user="69000", user_namespace=many)
    apply(place, [app], [pod(place, user_namespace=many)])
    before = place.snapshot()
    with pytest.raises(DefinitionError) as caught:
        apply(place, [], [pod(place, user_namespace=UserNamespace(size=10))])
    assert place.snapshot() == before
    assert [problem.file for problem in caught.value.problems] == [pod(place).source]
    assert caught.value.problems[0].message.startswith("web: user 69000: is not among the 10 of its user namespace")


def test_a_container_has_the_users_of_its_pod(place: Place) -> None:
    """As it is deployed: with those of a definition of the pod that is not applied, it would not start."""
    apply(place, [member(place)], [pod(place)])
    apply(place, [member(place, user_namespace=UserNamespace())], [])
    assert state.read(place.layout, "web").container == member(place)


def test_without_a_network_there_is_a_document(place: Place) -> None:
    """Its namespaces are made all the same."""
    apply(place, [], [pod(place, network=NetworkMode.NONE, hosts=(("a", "10.0.0.1"),))])
    record = document(place)
    assert (record.netavark, record.pod[2]) == ("", "none")
    assert record.hosts[-2:] == ("127.0.0.1\tshop", "10.0.0.1\ta")


# what cannot be


def test_names_are_of_one_house(place: Place) -> None:
    """Wanted or deployed, a container and a pod do not have one name."""
    assert "has the name of the pod in" in refused(place, [place.container("shop")], [pod(place)])[0]
    apply(place, [place.container("shop")], [])
    assert "remove that with 'ctrctl rm shop'" in refused(place, [], [pod(place)], prune=True)[0]
    place.deployment().remove("shop")
    apply(place, [], [pod(place)])
    assert "remove that with 'ctrctl pod rm shop'" in refused(place, [place.container("shop")], [])[0]


def test_a_container_needs_its_pod(place: Place) -> None:
    """One that is not there, or goes while the container stays, is an error."""
    assert refused(place, [member(place)], []) == ["web: pod 'shop', which it is to be in, does not exist"]
    apply(place, [member(place, source="/elsewhere/web.container")], [pod(place)])
    assert refused(place, [], [], prune=True) == [
        "pod shop: container web is in it; apply /elsewhere/web.container too, or remove it with 'ctrctl rm web'"
    ]


def test_a_pod_of_another_definition(place: Place) -> None:
    """Is not taken over."""
    apply(place, [], [pod(place)])
    other = dataclasses.replace(pod(place), source="/elsewhere/shop.pod")
    assert "ctrctl pod rm shop" in refused(place, [], [other])[0]


# systemd


def test_a_changed_port_makes_the_namespaces_anew(place: Place) -> None:
    """Once, and the containers that run are started again; those that do not run stay as they are."""
    containers = [member(place, name) for name in ("web", "db", "off")]
    apply(place, containers, [pod(place)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service", "ctr@db.service")
    report = apply(place, containers, [pod(place, ports=PORT)])
    assert place.systemd.calls == [
        "try-restart ctr-netns@shop.service",
        "start ctr@db.service",
        "start ctr@web.service",
    ]
    assert report.restarted == ("db", "web") and report.changed == ()
    assert dict(report.resources)["pod shop"] == "changed"


def test_a_changed_container_leaves_the_pod_alone(place: Place) -> None:
    """Only it is restarted."""
    apply(place, [member(place), member(place, "db")], [pod(place)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service", "ctr@db.service")
    report = apply(place, [member(place, command="two"), member(place, "db")], [pod(place)])
    assert place.systemd.calls == ["daemon-reload", "try-restart ctr@web.service"]
    assert report.resources == ()


def test_what_only_describes_restarts_nothing(place: Place) -> None:
    """A line of [Unit] takes a reload; another container in the pod, not even that."""
    apply(place, [member(place)], [pod(place)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")
    apply(place, [member(place)], [pod(place, unit=UnitSections())])
    assert place.systemd.calls == ["daemon-reload"]
    place.systemd.calls.clear()
    report = apply(place, [member(place), member(place, "new")], [pod(place, unit=UnitSections())])
    assert place.systemd.calls == [] and report.created == ("new",)


def test_a_pod_goes_with_its_definition(place: Place) -> None:
    """Containers first, then the target and the namespaces; nothing of it stays."""
    apply(place, [member(place)], [pod(place)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")
    report = apply(place, [], [], prune=True)
    stops = [call for call in place.systemd.calls if call.startswith("stop")]
    assert stops == ["stop ctr@web.service", "stop ctr@shop.target", "stop ctr-netns@shop.service"]
    assert report.removed == ("web",) and dict(report.resources)["pod shop"] == "removed"
    assert [path for path in place.snapshot() if "shop" in path or "web" in path] == []


def test_a_container_that_leaves_a_pod_that_goes_is_started_again(place: Place) -> None:
    """It stops with the namespaces that it was in."""
    apply(place, [member(place)], [pod(place)])
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")
    report = apply(place, [place.container()], [], prune=True)
    assert place.systemd.calls[-1] == "start ctr@web.service" and report.restarted == ("web",)


# removal by name


def test_removal(place: Place) -> None:
    """Refused while containers are in it, unless they may go first; nothing stays."""
    apply(place, [member(place), member(place, "db")], [pod(place)])
    with pytest.raises(ConflictError, match="pod shop: containers db, web are in it; use --force to remove them too"):
        place.deployment().remove_pod("shop")
    with pytest.raises(NotFoundError, match="ctrctl pod rm shop"):
        place.deployment().remove("shop", force=True)
    up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")
    place.deployment().remove_pod("shop", force=True)
    assert [path for path in place.snapshot() if "shop" in path or "web" in path or "db" in path] == []
    with pytest.raises(NotFoundError):
        place.deployment().remove_pod("shop")


# whatever happens


def world(place: Place) -> None:
    """A pod that changes, one that goes, one that stays."""
    containers = [member(place, "c", "change"), member(place, "g", "go")]
    apply(place, containers, [pod(place, name) for name in ("change", "go", "stay")])


def wanted(place: Place) -> tuple[list[Container], list[Pod]]:
    pods = [pod(place, "change", ports=PORT), pod(place, "stay"), pod(place, "new")]
    return [member(place, "c", "change"), member(place, "n", "new")], pods


def attempt(place: Place, disk: Refusing) -> Deployment:
    containers, pods = wanted(place)
    deployment = place.deployment(disk)
    deployment.apply(containers, pods=pods, prune=place.from_definitions)
    return deployment


def check_complete(place: Place) -> None:
    containers, pods = wanted(place)
    assert [p.pod for p in state.read_pods(place.layout)] == sorted(pods, key=lambda p: p.name)
    assert [c.container for c in state.read_all(place.layout)] == containers
    assert not [path for path in place.snapshot() if "/." in path or "@go" in path]


def effects(place: Place) -> int:
    world(place)
    disk = Refusing(-1)
    attempt(place, disk)
    check_complete(place)
    return disk.count


def test_a_full_disk_at_any_step_undoes_everything(memory: Path) -> None:
    """Before the commit every file is as it was, and what was stopped is started again."""
    undone = 0
    for at in range(effects(Place(memory / "count"))):
        place = Place(memory / str(at))
        world(place)
        place.systemd.active = {"ctr@go.target": "active", "ctr-netns@go.service": "active"}
        before = place.snapshot()
        try:
            attempt(place, Refusing(at))
        except HostError:
            undone += 1
            assert place.snapshot() == before, at
            if "stop ctr@go.target" in place.systemd.calls:
                assert place.systemd.calls[-1] == "start ctr@go.target"
    assert undone > 25


def test_a_sigkill_at_any_step_leaves_every_pod_whole(memory: Path) -> None:
    """Killed at each effect: a pod is its old or new self, and the next apply completes what was begun."""
    for at in range(effects(Place(memory / "count"))):
        place = Place(memory / str(at))
        world(place)
        child = os.fork()
        if not child:
            try:
                attempt(place, Refusing(at, fatal=True))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9, at
        for found in state.read_pods(place.layout):
            assert bool(found.pod.ports) == bool(document(place, found.name).ports)
        assert {"change", "stay"} <= set(state.pod_names(place.layout))
        attempt(place, Refusing())
        check_complete(place)


def test_a_sigkill_at_any_step_leaves_no_container_with_other_users_than_its_pods(memory: Path) -> None:
    """For longer than to the next apply of the pod alone."""

    def begin(place: Place) -> None:
        apply(place, [member(place)], [pod(place)])
        up(place, "ctr@shop.target", "ctr-netns@shop.service", "ctr@web.service")

    def change(place: Place, disk: Refusing) -> Report:
        return place.deployment(disk).apply([], pods=[pod(place, user_namespace=UserNamespace())], prune=keep)

    begin(whole := Place(memory / "count"))
    change(whole, disk := Refusing())
    assert disk.count > 10
    for at in range(disk.count):
        place = Place(memory / str(at))
        begin(place)
        child = os.fork()
        if not child:
            try:
                change(place, Refusing(at, fatal=True))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9, at
        change(place, Refusing())
        maps = state.read(place.layout, "web").record.id_maps
        assert maps and maps == state.read_pod(place.layout, "shop").record.id_maps, at
