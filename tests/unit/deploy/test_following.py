"""Deploy: the containers of a pod follow its definition, also when that is all that is applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.deploy import state
from supervisor.deploy.report import Report
from supervisor.errors import DefinitionError
from tests.unit.definitions.trees import tree
from tests.unit.deploy.host import Place, Refusing, Systemd

HOME = "/etc/ctr"
OWN = "[Container]\nImage=nginx\nPod=shop.pod\n"
#: One that leaves everything to its pod, one with a word of its own on all of it.
MEMBERS = {
    "web.container": OWN,
    "db.container": f"{OWN}StartWithPod=no\nStopTimeout=7\nVolume=/own:/data\n[Service]\nSlice=big.slice\n",
    "alone.container": "[Container]\nImage=nginx\nNetwork=none\n",
}
UP = tuple(f"ctr@{name}" for name in ("shop.target", "web.service", "db.service", "alone.service"))

#: Lines of the pod before and after, and which of its containers are deployed anew. Everything [Pod] has for them.
CHANGES = {
    "volume": ("", "Volume=/srv:/data\n", ["web"]),
    "volume_gone": ("Volume=/srv:/data\n", "", ["web"]),
    "volume_elsewhere": ("Volume=/srv:/a\nVolume=/srv:/b\n", "Volume=/srv:/b:ro\n", ["db", "web"]),
    "host_name": ("HostName=a\n", "HostName=b\n", ["db", "web"]),
    "stop_timeout": ("", "StopTimeout=3\n", ["web"]),
    "stop_timeout_gone": ("StopTimeout=3\n", "", ["web"]),
    "stop_timeout_as_its_own": ("StopTimeout=7\n", "StopTimeout=8\n", ["web"]),
    "no_network": ("", "Network=none\n", ["db", "web"]),
    "hosts_network": ("", "Network=host\n", ["db", "web"]),
    "resolver": ("", "DNS=none\n", ["db", "web"]),
    "users": ("", "UserNS=auto\n", ["db", "web"]),
    "condition": ("", "[Unit]\nConditionPathExists=/x\n", ["db", "web"]),
    "start": ("", "[Install]\nWantedBy=multi-user.target\n", ["web"]),
    "stay": ("[Install]\nWantedBy=a.target\n", "ExitPolicy=continue\n[Install]\nWantedBy=a.target\n", ["web"]),
    "port": ("", "PublishPort=80:80\n", []),
    "shm": ("", "ShmSize=1m\n", []),
    "order": ("", "[Unit]\nAfter=x.service\n", []),
    "label": ("", "Label=a=b\n", []),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(params=sorted(CHANGES))
def change(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, list[str]]]:
    yield CHANGES[request.param]


def compiled(place: Place, pod: str, *paths: str, **members: str) -> Loaded:
    """What is at *paths* (everything, without one), beside what is deployed."""
    files = MEMBERS | {f"{name}.container": text for name, text in members.items()} | {"shop.pod": f"[Pod]\n{pod}"}
    read = tree({f"{HOME}/{name}": text.encode() for name, text in files.items()})
    deployed = {f"{one.name}.pod": one.pod for one in state.read_pods(place.layout)}
    loaded = load([f"{HOME}/{path}" for path in paths] or [HOME], read, Context(pods=deployed))
    assert not loaded.problems
    return loaded


def apply(place: Place, loaded: Loaded, disk: Refusing | None = None, *, dry_run: bool = False) -> Report:
    deployment = place.deployment(disk)
    return deployment.apply(loaded.containers, pods=loaded.pods, prune=lambda _: False, dry_run=dry_run)


def up(place: Place) -> None:
    place.systemd = Systemd()
    place.systemd.active = dict.fromkeys((*UP, "ctr-netns@shop.service"), "active")


def test_a_pod_alone_is_as_everything(place: Place, change: tuple[str, str, list[str]]) -> None:
    """After it, an apply of everything finds nothing to do, and what runs is what it would have restarted."""
    before, after, anew = change
    apply(place, compiled(place, before))
    up(place)
    done = apply(place, compiled(place, after, "shop.pod"))
    found, calls = place.snapshot(), [call for call in place.systemd.calls if call != "daemon-reload"]
    assert sorted(done.changed) == anew and "alone" not in done.restarted
    up(place)
    again = apply(place, compiled(place, after))
    assert (again.changed, again.resources, place.systemd.calls) == ((), (), [])
    assert place.snapshot() == found
    # The other way round.
    apply(place, compiled(place, before))
    up(place)
    whole = apply(place, compiled(place, after))
    assert [call for call in place.systemd.calls if call != "daemon-reload"] == calls
    assert (whole.changed, whole.restarted) == (done.changed, done.restarted)


def test_what_would_be_done(place: Place, change: tuple[str, str, list[str]]) -> None:
    """A rehearsal names the containers, too, and changes nothing."""
    before, after, _ = change
    apply(place, compiled(place, before))
    found = place.snapshot()
    up(place)
    said = apply(place, compiled(place, after, "shop.pod"), dry_run=True)
    assert (place.snapshot(), place.systemd.calls) == (found, [])
    done = apply(place, compiled(place, after, "shop.pod"))
    assert (said.changed, said.restarted, said.resources) == (done.changed, done.restarted, done.resources)


def test_its_own_definition_is_not_read(place: Place) -> None:
    """What its author changed meanwhile, or got wrong, waits until it is applied itself."""
    apply(place, compiled(place, ""))
    web = state.read(place.layout, "web").container
    apply(place, compiled(place, "StopTimeout=3\n", "shop.pod", web="[Container]\nImage=\n"))
    now = state.read(place.layout, "web").container
    assert (now.stop_timeout, now.image, now.membership) == (3.0, "nginx", web.membership)


def test_a_container_alone_has_its_pod_as_deployed(place: Place) -> None:
    """Not as its definition is by now."""
    apply(place, compiled(place, "StopTimeout=3\n"))
    apply(place, compiled(place, "StopTimeout=9\n", "web.container", web=f"{OWN}Exec=two\n"))
    found = state.read(place.layout, "web").container
    assert (found.stop_timeout, found.command) == (3.0, ("two",))


def test_what_was_compiled_for_another_definition_of_the_pod(place: Place) -> None:
    """It changed since: what counts is the one that will be deployed."""
    everything = compiled(place, "StopTimeout=3\nUserNS=auto\n")
    apply(place, compiled(place, "StopTimeout=9\n"))
    deployment = place.deployment()
    deployment.apply(everything.containers, prune=lambda _: False)
    found = state.read(place.layout, "web").container
    assert (found.stop_timeout, found.user_namespace) == (9.0, None)


def test_what_its_pod_does_not_let_it_have_is_refused(place: Place) -> None:
    """Settings of the network are the host's with Network=host. Nothing is changed."""
    tuned = f"{OWN}Sysctl=net.core.somaxconn=1024\n"
    apply(place, compiled(place, "", web=tuned))
    before = place.snapshot()
    with pytest.raises(DefinitionError) as caught:
        apply(place, compiled(place, "Network=host\n", "shop.pod"))
    assert place.snapshot() == before
    (problem,) = caught.value.problems
    assert str(problem) == (
        "/etc/ctr/shop.pod: web: sysctl 'net.core.somaxconn': belongs to the host's network, "
        "which Network=host shares; set it on the host"
    )


def test_a_killed_apply_is_completed_by_the_same(place: Place) -> None:
    """Also if the containers have their new versions already, and were not restarted."""
    apply(place, compiled(place, ""))
    up(place)
    changed = compiled(place, "StopTimeout=3\n", "shop.pod")
    apply(place, changed)
    Path(place.layout.runtime, "deploy.pending").write_text("web\nalone\n")
    up(place)
    again = apply(place, changed)
    assert again.restarted == ("web",) and place.systemd.calls == ["daemon-reload", "try-restart ctr@web.service"]
    assert Path(place.layout.runtime, "deploy.pending").read_text() == "alone\n"
