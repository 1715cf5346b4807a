"""What systemd and the journal say, in our words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import records
from supervisor.events.event import Job
from supervisor.lifecycle.causes import FIELDS, MESSAGE_IDS, of_entry, of_unit
from supervisor.lifecycle.observation import Sign, UnitState

RUN = "c" * 32
PID1 = {"_PID": "1", "_UID": "0", "_SYSTEMD_UNIT": "init.scope", "UNIT": "ctr@web.service", "INVOCATION_ID": RUN}
SENDER = {"_PID": "77", "_UID": "0", "_SYSTEMD_UNIT": "ctr@web.service"}
OURS = SENDER | {records.CONTAINER: "web", records.INVOCATION: RUN}
UNIT = UnitState("web", "active", "running", RUN, main_pid=7, exit_pid=7, starting_at=10, ready_at=20)


def signs(fields: dict[str, str]) -> list[Sign]:
    return [seen.sign for seen in of_entry(fields, 5, "cursor")]


def test_systemd_starts_a_container() -> None:
    """The run, the job and its type are PID 1's own words."""
    fields = {"MESSAGE_ID": "7d4958e842da4a758f6c1cdc7b36dcc5", "JOB_ID": "12", "JOB_TYPE": "start"}
    (seen,) = of_entry(PID1 | fields, 5, "cursor")
    assert (seen.sign, seen.name, seen.invocation, seen.at, seen.source) == (Sign.STARTING, "web", RUN, 5, "cursor")
    assert seen.job == Job(12, "start")


@pytest.mark.parametrize(
    ("message_id", "unit", "expected"),
    [
        ("39f53479d3a045ac8e11786248231fbf", "ctr@web.service", [Sign.READY]),
        ("39f53479d3a045ac8e11786248231fbf", "ctr-web.scope", [Sign.SCOPE]),
        ("39f53479d3a045ac8e11786248231fbf", "nginx.service", []),
        ("fe6faa94e7774663a0da52717891d8ef", "ctr-web.scope", [Sign.OOM]),
        ("9d1aaa27d60140bd96365438aad20286", "ctr@web.service", [Sign.STOPPED]),
        ("9d1aaa27d60140bd96365438aad20286", "ctr-web.scope", []),
        ("d9b373ed55a64feb8242e02dbe79a49c", "ctr@web.service", [Sign.ENDED]),
        ("5eb03494b6584870a536b337290809b3", "ctr@web.service", [Sign.RESTART]),
    ],
)
def test_systemds_messages(message_id: str, unit: str, expected: list[Sign]) -> None:
    """Each MESSAGE_ID of PID 1 means one thing, for units of ours only."""
    assert signs(PID1 | {"MESSAGE_ID": message_id, "UNIT": unit}) == expected


def test_only_the_main_process_makes_an_exit() -> None:
    """Cleanup and a definition's ExecStartPre= are processes of the unit too."""
    exit = {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "EXIT_CODE": "killed", "EXIT_STATUS": "9"}
    (seen,) = of_entry(PID1 | exit | {"COMMAND": "ExecStart"}, 5, "")
    assert (seen.sign, seen.code, seen.status) == (Sign.EXIT, "killed", 9)
    assert signs(PID1 | exit | {"COMMAND": "ExecStopPost"}) == []


def test_cleanup_tells_what_systemd_only_logs_for_debugging() -> None:
    """A clean exit, and what the kernel killed."""
    fields = {records.EXIT_CODE: "exited", records.EXIT_STATUS: "0", "MESSAGE_ID": records.RUN_ENDED}
    assert signs(OURS | fields) == [Sign.EXIT]
    assert signs(OURS | fields | {records.OOM: "2"}) == [Sign.OOM, Sign.EXIT]
    assert signs(OURS | fields | {records.EXIT_CODE: ""}) == []


def test_of_a_sender_that_is_gone_little_is_believed() -> None:
    """journald knows its user, not its unit: it may have been in a container. The end of a run that is known is all."""
    gone = {key: value for key, value in OURS.items() if key != "_SYSTEMD_UNIT"}
    assert signs(gone | {"MESSAGE_ID": records.REMOVED}) == []
    end = {"MESSAGE_ID": records.RUN_ENDED, records.EXIT_CODE: "exited", records.EXIT_STATUS: "3"}
    assert [seen.is_sure for seen in of_entry(gone | end, 5, "")] == [False]
    assert [seen.is_sure for seen in of_entry(OURS | end, 5, "")] == [True]
    assert signs(gone | end | {records.INVOCATION: ""}) == signs(gone | end | {records.INVOCATION: "x" * 32}) == []


@pytest.mark.parametrize("name", ["", "a\0b", "../web", "x" * 200])
def test_what_cannot_be_a_name_is_none(name: str) -> None:
    """Of the records without a container there is one kind only."""
    for message_id in (records.RUN_ENDED, records.DEPLOYED, records.BECAME_HEALTHY):
        fields = {"MESSAGE_ID": message_id, records.CONTAINER: name, records.EXIT_CODE: "exited"}
        assert signs(OURS | fields) == []
    assert signs(OURS | {"MESSAGE_ID": records.PULLED, records.CONTAINER: ""}) == [Sign.PULLED]


@pytest.mark.parametrize(("text", "number"), [("-4", 0), ("99999999999", 2**31 - 1), ("x", 0)])
def test_numbers_have_bounds(text: str, number: int) -> None:
    """What is shown on the bus has 32 bits."""
    fields = {"MESSAGE_ID": records.RUN_ENDED, records.EXIT_CODE: "exited", records.EXIT_STATUS: text}
    assert [seen.status for seen in of_entry(OURS | fields, 5, "")] == [number]


def test_one_that_runs_to_completion_is_told_in_order() -> None:
    """Its unit is active when it has ended."""
    done = replace(UNIT, sub="exited", starting_at=10, ready_at=31, exit_code="exited", exited_at=30)
    seen = of_unit(UnitState("web"), done, 99)
    assert [(one.sign, one.at) for one in seen] == [
        (Sign.STARTING, 10),
        (Sign.SCOPE, 30),
        (Sign.EXIT, 30),
        (Sign.READY, 31),
    ]


@pytest.mark.parametrize(
    "sender",
    [{"_UID": "1000"}, {"_SYSTEMD_UNIT": "ctr-web.scope"}, {"_UID": "0", "_SYSTEMD_UNIT": "ctr-other.scope"}],
)
def test_a_container_is_not_believed(sender: dict[str, str]) -> None:
    """Who has the journal's socket can write any field but those journald adds: they say where it came from."""
    forged = OURS | {"MESSAGE_ID": records.RUN_ENDED, records.EXIT_CODE: "exited", "UNIT": "ctr@web.service"} | sender
    assert signs(forged) == []
    assert signs(forged | {"MESSAGE_ID": "9d1aaa27d60140bd96365438aad20286"}) == []


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=20)), st.sampled_from(MESSAGE_IDS), st.booleans())
def test_nothing_in_an_entry_is_too_strange(fields: dict[str, str], message_id: str, from_systemd: bool) -> None:
    """Numbers that are none, names that are none: no observation, or a harmless one, and no crash."""
    of_entry(fields | {"MESSAGE_ID": message_id} | ({"_PID": "1"} if from_systemd else {"_UID": "0"}), 5, "")


def test_a_state_tells_what_came_before_it() -> None:
    """Of a container that was started unseen: its beginning, in order, at its own times."""
    seen = of_unit(UnitState("web"), UNIT, 99)
    assert [(one.sign, one.at) for one in seen] == [(Sign.STARTING, 10), (Sign.SCOPE, 20), (Sign.READY, 20)]
    assert of_unit(UNIT, UNIT, 100) == ()


def test_an_exit_is_told_by_the_state_that_first_has_it() -> None:
    """With code and status, at systemd's time; not again by the states that follow."""
    ended = replace(UNIT, active="deactivating", sub="stop-post", exit_code="exited", exit_status=3, exited_at=30)
    (seen,) = of_unit(UNIT, ended, 99)
    assert (seen.sign, seen.at, seen.code, seen.status, seen.invocation) == (Sign.EXIT, 30, "exited", 3, RUN)
    assert of_unit(ended, replace(ended, active="failed", sub="failed"), 100) == ()


def test_an_exit_of_the_run_before_is_not_this_runs() -> None:
    """systemd keeps the last exit while the next run begins."""
    ended = replace(UNIT, active="failed", exit_code="exited", exit_status=3, exited_at=30)
    again = replace(ended, active="activating", invocation="d" * 32, starting_at=40)
    assert [one.sign for one in of_unit(ended, again, 99)] == [Sign.STARTING]


def test_freezing_is_a_pause() -> None:
    """Also when somebody else than ctrctl does it."""
    frozen = replace(UNIT, frozen=True)
    assert [one.sign for one in of_unit(UNIT, frozen, 5)] == [Sign.PAUSED]
    assert [one.sign for one in of_unit(frozen, UNIT, 5)] == [Sign.UNPAUSED]
