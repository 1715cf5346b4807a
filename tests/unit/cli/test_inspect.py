"""``ctrctl inspect``: members by path, and the state."""

from __future__ import annotations

import pytest

from supervisor.cli.containers import Exit
from supervisor.cli.inspect import member, state
from supervisor.errors import UserError

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


def test_a_finished_oneshot_has_exited_well() -> None:
    """active (exited) is success, whatever an earlier run left behind."""
    found = state(UNIT | {"SubState": "exited"}, SERVICE | {"MainPID": 0}, Exit("", "exit-code", "exited", 3, 1.0))
    assert (found["status"], found["exit_code"]) == ("exited", 0)
