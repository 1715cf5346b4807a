"""``ctrctl inspect``: members by path, and the state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.cli.containers import Exit
from supervisor.cli.inspect import in_pod, member, networks, state
from supervisor.deploy.records import NetworkRecord
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Lease, Network, Subnet
from supervisor.spec.pod import Pod
from supervisor.spec.record import Record

UNIT = {"ActiveState": "active", "SubState": "running", "ActiveEnterTimestamp": 1_700_000_000_000_000}
SERVICE = {"MainPID": 42, "NRestarts": 2, "Result": "success"}


def test_members_by_dotted_path() -> None:
    """Objects by name, lists by number."""
    value = {"state": {"pid": 1}, "mounts": [{"target": "/a"}]}
    assert member(value, "state.pid") == 1
    assert member(value, "mounts.0.target") == "/a"


@pytest.mark.parametrize("path", ["", "state.nope", "mounts.1", "state.pid.x", "{{.State.Pid}}"])
def test_unknown_members_name_what_there_is(path: str) -> None:
    """A path that leads nowhere says which part of it does not exist."""
    with pytest.raises(UserError, match=r"^field "):
        member({"state": {"pid": 1}, "mounts": []}, path)


def test_a_running_container_has_no_exit_code() -> None:
    """The last run's end is not this run's."""
    found = state(UNIT, SERVICE, Exit("", "exit-code", "exited", 3, 1.0))
    assert (found["status"], found["running"], found["pid"], found["exit_code"]) == ("running", True, 42, None)
    assert found["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert found["finished_at"] is None
    assert found["restarts"] == 2


def test_a_stopped_container_has_one() -> None:
    """Exit code and time come from the record of the last run."""
    unit = UNIT | {"ActiveState": "failed", "SubState": "failed"}
    found = state(unit, SERVICE | {"MainPID": 0}, Exit("", "signal", "killed", 9, 1.0))
    assert (found["status"], found["exit_code"], found["pid"]) == ("exited", 137, None)
    assert found["finished_at"] == "1970-01-01T00:00:01.000000Z"


def test_kills_for_lack_of_memory_are_those_of_the_run_shown() -> None:
    """While it runs, the cgroup's; afterwards, what was written down of the end."""
    last = Exit("", "signal", "killed", 9, 1.0, 1)
    down = {"ActiveState": "failed", "SubState": "failed"}
    for unit, oom, expected in ((UNIT, 0, (False, 0)), (UNIT, 2, (True, 2)), (UNIT | down, 0, (True, 1))):
        found = state(unit, SERVICE, last, oom=oom)
        assert (found["oom_killed"], found["oom_kills"]) == expected


def test_a_finished_oneshot_has_exited_well() -> None:
    """active (exited) is success, whatever an earlier run left behind."""
    found = state(UNIT | {"SubState": "exited"}, SERVICE | {"MainPID": 0}, Exit("", "exit-code", "exited", 3, 1.0))
    assert (found["status"], found["exit_code"]) == ("exited", 0)


def test_what_is_starting_runs_only_if_it_is_to_end() -> None:
    """Both have a main process by then: one that is to say when it is ready (Notify=), and a oneshot."""
    unit = UNIT | {"ActiveState": "activating", "SubState": "start"}
    assert [state(unit, SERVICE, None, oneshot=oneshot)["status"] for oneshot in (False, True)] == [
        "starting",
        "running",
    ]


def test_networks_are_what_the_container_was_given(tmp_path: Path) -> None:
    """Addresses and MAC of its record, aliases of its spec, gateways of the network's record."""
    subnets = (Subnet("10.90.0.0/24", "10.90.0.1"), Subnet("fd00::/64", "fd00::1"))
    definition, network = Network("back", "x"), Network("back", "x", subnets=subnets, interface="ctr1")
    (tmp_path / "var/lib/ctr/networks").mkdir(parents=True)
    (tmp_path / "var/lib/ctr/networks/back.json").write_text(codec.dumps(NetworkRecord(definition, network)))
    container = Container("web", "x", image="i", attachments=(Attachment("back", aliases=("www",)),))
    lease = Lease("back", "eth0", ("10.90.0.5", "fd00::5"), "02:00:00:00:00:05")
    gone = Lease("gone", "eth1", ("10.91.0.5",), "02:00:00:00:00:06")
    spec, record = (json.loads(codec.dumps(v)) for v in (container, Record("x", leases=(lease, gone))))
    assert networks(spec, record, Layout(str(tmp_path))) == {
        "back": {
            "interface": "eth0",
            "addresses": ["10.90.0.5", "fd00::5"],
            "gateways": ["10.90.0.1", "fd00::1"],
            "mac": "02:00:00:00:00:05",
            "aliases": ["www"],
        },
        "gone": {
            "interface": "eth1",
            "addresses": ["10.91.0.5"],
            "gateways": [],
            "mac": "02:00:00:00:00:06",
            "aliases": [],
        },
    }


def test_what_leads_to_a_container_in_a_pod(tmp_path: Path) -> None:
    """Is the pod's: where it was put, and its ports. One that is in none has its own."""
    layout = Layout(str(tmp_path))
    directory = Path(layout.container("shop"))
    directory.mkdir(parents=True)
    shop = Pod("shop", "", attachments=(Attachment("back", aliases=("db",)),))
    given = Record("", leases=(Lease("back", "eth0", ("10.90.1.2",), "aa:bb:cc:dd:ee:ff"),))
    (directory / "pod.json").write_text(codec.dumps(shop))
    (directory / "deployed.json").write_text(codec.dumps(given))
    found = in_pod({"pod": "shop"}, layout)
    assert found and networks(*found, layout)["back"]["aliases"] == ["db"]
    assert found[1]["leases"][0]["addresses"] == ["10.90.1.2"]
    assert in_pod({}, layout) is None and in_pod(None, layout) is None
