"""``ctrctl pod``: what is said of a pod. What happens to it is shown in tests/system/test_pods.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli import containers, pod
from supervisor.cli.completion import candidates
from supervisor.cli.containers import Details, Listing
from supervisor.cli.main import parse
from supervisor.cli.pod_actions import check
from supervisor.cli.pod_logs import writer
from supervisor.deploy.state import DeployedPod
from supervisor.errors import NotFoundError, UserError
from supervisor.lifecycle.phase import Phase
from supervisor.paths import Layout
from supervisor.spec.container import Container, Entry, Mount, MountType, UnitSections
from supervisor.spec.network import Lease, PublishedPort
from supervisor.spec.pod import Pod
from supervisor.spec.record import Record


def listing(name: str, phase: Phase) -> Listing:
    return Listing(name, phase, None, None, Details())


def test_everything_known() -> None:
    """The pod, what it was given, and its containers."""
    shop = Pod("my-shop", "/etc/ctr/my-shop.pod", mounts=(Mount(MountType.BIND, "/a", "/b"),), labels=(("a", "b"),))
    lease = Lease("ctr", "eth0", ("10.90.0.2",), "02:00")
    given = Record("/etc/ctr/my-shop.pod", leases=(lease,), ports=(PublishedPort(80, 8080),))
    starts = UnitSections(install=(Entry("WantedBy", "x.target ctr@my-shop.target"),))
    members = [Container("db", "", unit=starts), Container("off", "")]
    found = pod.document(DeployedPod(shop, given), members, {"db": listing("db", Phase.RUNNING)}, 100.0, kept=True)
    assert (found["unit"], found["slice"]) == ("ctr@my-shop.target", r"ctr-my\x2dshop.slice")
    assert (found["hostname"], found["state"], found["labels"]) == ("my-shop", "degraded", {"a": "b"})
    assert found["mounts"] == [{"type": "bind", "target": "/a", "source": "/b", "options": ()}]
    assert found["networks"][0]["addresses"] == ("10.90.0.2",)
    assert found["containers"] == {
        "db": {"state": "running", "up": True, "starts_with_pod": True},
        "off": {"state": "created", "up": False, "starts_with_pod": False},
    }
    assert pod.row(found, 3700.0) == ("my-shop", "degraded", "1/2", "0.0.0.0:8080->80/tcp", "about an hour ago")


@pytest.mark.parametrize(
    ("phases", "kept", "expected"),
    [
        ([], False, "stopped"),
        ([Phase.EXITED, Phase.CREATED], False, "stopped"),
        ([Phase.EXITED, Phase.FAILED], True, "running"),
        ([Phase.RUNNING, Phase.FAILED], True, "degraded"),
        ([Phase.RUNNING, Phase.STARTING], True, "running"),
        ([Phase.RUNNING, Phase.PAUSED], True, "running"),
        ([Phase.PAUSED, Phase.PAUSED], True, "paused"),
        ([Phase.PAUSED, Phase.EXITED], True, "degraded"),
    ],
)
def test_the_state_of_a_pod(phases: list[Phase], kept: bool, expected: str) -> None:
    """In podman's words; ExitPolicy=continue keeps one without containers."""
    assert pod.summary(phases, kept=kept) == expected


@pytest.mark.parametrize("action", ["create", "clone", "exists", "prune", "stats", "top"])
def test_what_podman_has_and_this_has_not(action: str) -> None:
    """Whatever follows, it says what to do instead; it is neither in the help nor completed."""
    for words in ([action], [action, "--name", "x", "-f"]):
        with pytest.raises(UserError, match=rf"^pod {action}: .*'?ctrctl "):
            parse("pod", words)
    assert action not in [word for word, _ in candidates(["pod", ""], Layout("/nowhere"))]
    with pytest.raises(UserError, match="invalid choice: 'strat'") as caught:
        parse("pod", ["strat"])
    assert f"'{action}'" not in str(caught.value)


def test_podmans_other_words_for_a_list() -> None:
    """Are understood, and one of them is offered."""
    for word in ("ls", "ps", "list"):
        assert parse("pod", [word, "-q", "--filter", "name=x"])[1].filter == ["name=x"]
    offered = [word for word, _ in candidates(["pod", ""], Layout("/nowhere"))]
    assert offered[:2] == ["ls", "inspect"] and not {"ps", "list"} & {*offered}
    assert "--filter" in [word for word, _ in candidates(["pod", "ps", "-"], Layout("/nowhere"))]


def test_names_that_are_no_pods(tmp_path: Path) -> None:
    """A container is called one, and the nearest pods are named."""
    layout = Layout(str(tmp_path))
    Path(layout.container("web")).mkdir(parents=True)
    for name, text in (
        ("web", "pod web: is a container, no pod; leave out the word 'pod'"),
        ("shpo", "pod shpo: not deployed; did you mean shop?"),
        ("zzz", "pod zzz: not deployed; 'ctrctl pod ls' lists those that are"),
    ):
        with pytest.raises(NotFoundError) as caught:
            check(name, ("shop",), layout)
        assert str(caught.value) == text
    check("shop", ("shop",), layout)


def test_whose_line_it_is() -> None:
    """The relay says so; what a container sends to journald itself is known by its scope, whatever it claims."""
    assert writer({"CONTAINER_NAME": b"web", "_SYSTEMD_UNIT": b"ctr-log.service"}) == "web"
    assert writer({"CONTAINER_NAME": b"web", "_SYSTEMD_UNIT": b"ctr-db.scope"}) == "db"


def test_a_pod_is_no_container(tmp_path: Path) -> None:
    """Lists and completion of containers pass it over, and who takes it for one is told."""
    layout = Layout(str(tmp_path))
    for name, record in (("web", "spec.json"), ("shop", "pod.json")):
        Path(layout.container(name)).mkdir(parents=True)
        Path(layout.container(name), record).write_text("{}")
    assert containers.deployed(layout) == {"web"} and containers.pods(layout) == {"shop"}
    assert [word for word, _ in candidates(["start", ""], layout) if not word.startswith("-")] == ["web"]
    assert [word for word, _ in candidates(["pod", "stop", ""], layout) if not word.startswith("-")] == ["shop"]
    with pytest.raises(NotFoundError, match="it is a pod; use 'ctrctl pod'"):
        containers.check_deployed(("shop",), layout)
