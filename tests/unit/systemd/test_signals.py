"""supervisor.systemd.signals: which messages matter, and what they say."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest
from dbus_next import Message, Variant
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle.observation import UnitState
from supervisor.systemd import signals
from supervisor.systemd.manager import unit_path
from supervisor.systemd.signals import SCOPE, SERVICE, UNIT, Known

NAMES = st.builds(
    str.__add__,
    st.sampled_from(string.ascii_letters + string.digits),
    st.text(string.ascii_letters + string.digits + "_.-", max_size=40),
)
OURS = {"ctr@{}.service": "service", "ctr-{}.scope": "scope", "ctr-healthy@{}.service": "gate"}
OURS["ctr-health@{}.timer"] = "timer"
OTHERS = ("ctr-netns@{}.service", "ctr-health@{}.service", "ctr@{}.target", "{}.service", "ctr-{}.slice")


def changed(unit: str, interface: str) -> bytearray:
    """PropertiesChanged as it is on the wire."""
    body = [interface, {"ActiveState": Variant("s", "active")}, []]
    message = Message.new_signal(
        unit_path(unit), "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body
    )
    return bytearray(message._marshall())


def manager(member: str, signature: str, *body: object) -> bytearray:
    """A signal of the manager as it is on the wire."""
    path, interface = "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
    return bytearray(Message.new_signal(path, interface, member, signature, list(body))._marshall())


@given(NAMES, st.sampled_from(sorted(OURS)))
def test_units_of_containers(name: str, pattern: str) -> None:
    """Every container's service, scope, gate and timer is recognised by name, by path and on the wire, whatever the
    container is called; of all but the service, only the Unit interface matters."""
    unit, kind = pattern.format(name), OURS[pattern]
    assert signals.kind_of(unit) == (kind, name)
    assert signals.unit_of(unit_path(unit)) == (kind, name)
    assert signals.wanted(changed(unit, UNIT))
    assert signals.wanted(changed(unit, SERVICE)) == (kind == "service")
    assert not signals.wanted(changed(unit, SCOPE)) or kind == "service"


@given(NAMES, st.sampled_from(OTHERS))
def test_units_of_others(name: str, pattern: str) -> None:
    """No other unit passes, its probes and project targets included."""
    unit = pattern.format(name)
    if pattern == "{}.service" and unit.startswith("ctr"):
        return
    assert signals.kind_of(unit) == ("", "")
    assert not signals.wanted(changed(unit, UNIT))


def test_signals_of_the_manager() -> None:
    """Ended jobs pass for all of ctr's units, new jobs and forgotten units only for containers, reloads always."""
    assert signals.wanted(manager("JobRemoved", "uoss", 1, "/j", "ctr-health@a.service", "done"))
    assert not signals.wanted(manager("JobRemoved", "uoss", 1, "/j", "dbus.service", "done"))
    for member, signature, before in (("JobNew", "uos", (1, "/j")), ("UnitRemoved", "s", ())):
        assert signals.wanted(manager(member, signature, *before, "ctr@a.service"))
        assert not signals.wanted(manager(member, signature, *before, "ctr-health@a.service"))
    assert signals.wanted(manager("Reloading", "b", True))


@given(st.text(max_size=60))
def test_any_path(tail: str) -> None:
    """Paths that are no unit's are nobody's; none raises."""
    kind, name = signals.unit_of(signals.UNITS + tail)
    assert bool(kind) == bool(name)


SERVICE_VALUES: dict[str, Any] = {
    "MainPID": 0,
    "ExecMainPID": 10,
    "ExecMainCode": 3,
    "ExecMainStatus": 6,
    "ExecMainExitTimestamp": 5000,
    "Result": "core-dump",
    "NRestarts": 2,
}
UNIT_VALUES: dict[str, Any] = {
    "ActiveState": "failed",
    "SubState": "failed",
    "InvocationID": bytes(16),
    "Job": [3, "/j"],
    "StateChangeTimestamp": 5001,
    "InactiveExitTimestamp": 1000,
    "ActiveEnterTimestamp": 2000,
}


def test_state_of_a_pair() -> None:
    """Every member comes from its property."""
    now = signals.state("a", SERVICE_VALUES, UNIT_VALUES, None, {3: "stop"})
    assert now == Known(
        UnitState(
            "a",
            active="failed",
            sub="failed",
            invocation="00" * 16,
            job=3,
            job_type="stop",
            exit_pid=10,
            exit_code="dumped",
            exit_status=6,
            exited_at=5000,
            result="core-dump",
            restarts=2,
            starting_at=1000,
            ready_at=2000,
        ),
        5001,
    )


@pytest.mark.parametrize("missing", [*SERVICE_VALUES, *UNIT_VALUES])
def test_a_property_that_is_missing(missing: str) -> None:
    """It is a KeyError, never a default."""
    service = {key: value for key, value in SERVICE_VALUES.items() if key != missing}
    unit = {key: value for key, value in UNIT_VALUES.items() if key != missing}
    with pytest.raises(KeyError):
        signals.state("a", service, unit, None, {})


UP = Known(UnitState("a", active="active", sub="running", invocation="a" * 32, main_pid=1, starting_at=10), 20)
DOWN = Known(replace(UP.state, active="inactive", sub="dead", main_pid=0, exit_code="exited"), 30)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (Known(replace(DOWN.state, invocation="b" * 32, main_pid=2), 30), DOWN, True),
        (Known(replace(DOWN.state, invocation="b" * 32), 30), DOWN, True),  # ExecStartPre= runs
        (Known(replace(DOWN.state, invocation="b" * 32, main_pid=2), 30), UP, True),  # 'dead' was never told
        (Known(UnitState("a", invocation="b" * 32, main_pid=2)), None, True),  # the first run
        (Known(UnitState("a", invocation="b" * 32)), None, True),
        (Known(replace(DOWN.state, invocation="b" * 32, result="resources"), 40), DOWN, False),  # no process at all
        (Known(UnitState("a")), None, False),  # only a job
        (DOWN, UP, False),
        (DOWN, None, False),
        (UP, DOWN, False),
        (Known(replace(UP.state, invocation="b" * 32), 40), DOWN, False),
    ],
)
def test_a_pair_between_two_runs(now: Known, before: Known | None, expected: bool) -> None:
    """The new run's invocation in the old run's state is between; an end of its own is not."""
    assert signals.is_between(now, before) is expected


def test_a_fetched_state_knows_what_was_known() -> None:
    """The beginning that a signal told stays, for the same run only."""
    of = {"MainPID": 1, "NRestarts": 0, "InactiveExitTimestamp": 12, "ActiveEnterTimestamp": 15}
    fetched = signals.fetched("a", ("active", "running"), (0, ""), "a" * 32, 11, of)
    assert (fetched.state.starting_at, fetched.state.ready_at) == (12, 15)
    assert fetched.after(UP).state.starting_at == 10
    assert fetched.after(Known(replace(UP.state, invocation="b" * 32))) == fetched
    assert fetched.after(None) == fetched


def test_a_restarted_run_begins_with_its_link() -> None:
    """InactiveExitTimestamp is of the wait before a restart; the link in /run/systemd/units is of the run. A unit that
    waits for its restart does not tell when its last run began."""
    of = {"MainPID": 1, "NRestarts": 1, "InactiveExitTimestamp": 12, "ActiveEnterTimestamp": 5}
    state = signals.fetched("a", ("active", "running"), (0, ""), "a" * 32, 14, of).state
    assert (state.starting_at, state.ready_at) == (14, 0)
    of |= {"ExecMainCode": 1, "ExecMainStatus": 3, "ExecMainExitTimestamp": 11, "ExecMainPID": 1, "Result": "exit-code"}
    state = signals.fetched("a", ("activating", "auto-restart"), (0, ""), "a" * 32, 14, of).state
    assert (state.starting_at, state.exit_code, state.exit_status) == (0, "exited", 3)
