"""The edge: what systemd's signals and journal entries say, as observations. Pure.

Two sources tell of the same things. D-Bus is quick, and silent while nobody listens; the journal keeps everything, and
PID 1's entries name run, job and result. Each becomes the same few words here, once, and nothing further in knows which
it was. Restarts, stops and their reasons come from the journal alone: only there does their order tell them apart.

PID 1's MESSAGE_IDs are those of systemd's catalog (``journalctl --catalog``, src/systemd/sd-messages.h).
"""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.events import records
from supervisor.events.event import NO_JOB, Job
from supervisor.lifecycle.observation import Observation, Sign, UnitState
from supervisor.names import is_name, name_of_scope, name_of_service

_STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
_STARTED = "39f53479d3a045ac8e11786248231fbf"
_STOPPED = "9d1aaa27d60140bd96365438aad20286"
_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_SUCCESS = "7ad2d189f7e94e70a38c781354912448"
_FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"
_RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"
_OUT_OF_MEMORY = ("fe6faa94e7774663a0da52717891d8ef", "d989611b15e44c9dbf31e3c81256e4ed")

_SCOPE_SIGNS = {_STARTED: Sign.SCOPE, **dict.fromkeys(_OUT_OF_MEMORY, Sign.OOM)}
_SERVICE_SIGNS = {
    _STARTING: Sign.STARTING,
    _STARTED: Sign.READY,
    _STOPPED: Sign.STOPPED,
    _SUCCESS: Sign.ENDED,
    _FAILURE: Sign.ENDED,
    _RESTART_SCHEDULED: Sign.RESTART,
}
_RAW_SIGNS = {
    records.DEPLOYED: Sign.CREATED,
    records.REMOVED: Sign.REMOVED,
    records.PULLED: Sign.PULLED,
    records.PAUSED: Sign.PAUSED,
    records.UNPAUSED: Sign.UNPAUSED,
    records.BECAME_HEALTHY: Sign.HEALTHY,
    records.BECAME_UNHEALTHY: Sign.UNHEALTHY,
}
_ID_LENGTH, _HEXADECIMAL = 32, frozenset("0123456789abcdef")
_MOST = 2**31 - 1
_OUR_EXITS = ("exited", "killed", "dumped")

#: What to ask the journal for.
MESSAGE_IDS = (
    *_SERVICE_SIGNS,
    _PROCESS_EXIT,
    *_OUT_OF_MEMORY,
    *_RAW_SIGNS,
    records.RUN_ENDED,
)
#: Fields of such entries that are looked at.
FIELDS = (
    *("MESSAGE_ID", "UNIT", "INVOCATION_ID", "JOB_ID", "JOB_TYPE", "JOB_RESULT", "EXIT_CODE", "EXIT_STATUS"),
    *("COMMAND", "N_RESTARTS", "UNIT_RESULT", "_PID", "_UID", "_SYSTEMD_UNIT"),
    *(records.CONTAINER, records.INVOCATION, records.EXIT_CODE, records.EXIT_STATUS, records.RESULT, records.OOM),
    records.DETAIL,
)


def of_entry(fields: Mapping[str, str], at: int, cursor: str) -> tuple[Observation, ...]:
    """What a journal entry tells. *at*: microseconds since the epoch; *cursor*: the entry's own.

    Entries are believed only from PID 1, and from uid 0 outside of containers: journald vouches for that. Of a sender
    that has died since it knows the unit no more; so without one only the end of a run is taken, of a known run.
    """
    message_id = fields.get("MESSAGE_ID", "")
    if fields.get("_PID") == "1":
        return _of_systemd(message_id, fields, at, cursor)
    unit = fields.get("_SYSTEMD_UNIT", "")
    if fields.get("_UID") != "0" or name_of_scope(unit) is not None:
        return ()
    if not unit and message_id != records.RUN_ENDED:
        return ()
    return _of_ours(message_id, fields, at, cursor, is_sure=bool(unit))


def _of_systemd(message_id: str, fields: Mapping[str, str], at: int, cursor: str) -> tuple[Observation, ...]:
    unit = fields.get("UNIT", "")
    if (name := name_of_scope(unit)) is not None:
        sign = _SCOPE_SIGNS.get(message_id)
        return (Observation(sign, name, at, source=cursor),) if sign else ()
    name = name_of_service(unit)
    return _of_service(name, message_id, fields, at, cursor) if name else ()


def _of_service(
    name: str, message_id: str, fields: Mapping[str, str], at: int, cursor: str
) -> tuple[Observation, ...]:
    job = Job(_number(fields.get("JOB_ID")), fields.get("JOB_TYPE", ""), fields.get("JOB_RESULT", ""))
    invocation = fields.get("INVOCATION_ID", "")
    if message_id == _PROCESS_EXIT:
        if fields.get("COMMAND") != "ExecStart":
            return ()  # of cleanup, or of a program that a definition's ExecStartPre= … names
        code, status = fields.get("EXIT_CODE", ""), _number(fields.get("EXIT_STATUS"))
        return (Observation(Sign.EXIT, name, at, invocation, code, status, source=cursor),)
    sign = _SERVICE_SIGNS.get(message_id)
    if sign is None:
        return ()
    detail = fields.get("UNIT_RESULT", "success") if sign is Sign.ENDED else ""
    status = _number(fields.get("N_RESTARTS")) if sign is Sign.RESTART else 0
    return (Observation(sign, name, at, invocation, "", status, detail, job, cursor),)


def _of_ours(
    message_id: str, fields: Mapping[str, str], at: int, cursor: str, *, is_sure: bool
) -> tuple[Observation, ...]:
    name, invocation = fields.get(records.CONTAINER, ""), fields.get(records.INVOCATION, "")
    if invocation and (len(invocation) != _ID_LENGTH or not _HEXADECIMAL.issuperset(invocation)):
        return ()
    if message_id == records.RUN_ENDED:
        return _of_end(name, invocation, fields, at, cursor, is_sure) if is_name(name) and invocation else ()
    sign = _RAW_SIGNS.get(message_id)
    if sign is None or not (is_name(name) or (sign is Sign.PULLED and not name)):
        return ()
    return (Observation(sign, name, at, invocation, detail=fields.get(records.DETAIL, ""), source=cursor),)


def _of_end(
    name: str, invocation: str, fields: Mapping[str, str], at: int, cursor: str, is_sure: bool
) -> tuple[Observation, ...]:
    found = []
    if _number(fields.get(records.OOM)):
        found.append(Observation(Sign.OOM, name, at, invocation, source=cursor, is_sure=is_sure))
    code, status = fields.get(records.EXIT_CODE, ""), _number(fields.get(records.EXIT_STATUS))
    if code in _OUR_EXITS:
        found.append(Observation(Sign.EXIT, name, at, invocation, code, status, source=cursor, is_sure=is_sure))
    return tuple(found)


def of_unit(before: UnitState, now: UnitState, at: int) -> tuple[Observation, ...]:
    """What a changed state of ctr@NAME.service tells, in the order in which it came to be. *at*: when it was seen."""
    found = []
    job = Job(now.job, now.job_type) if now.job else NO_JOB
    alive = now.active not in ("inactive", "failed")
    ended = bool(now.exit_code) and now.exited_at >= now.starting_at
    if now.invocation and (now.invocation != before.invocation or before.active in ("inactive", "failed")):
        # Of one that is down, the run is over: nothing begins any more, but how it ended can be told.
        found += [Observation(Sign.STARTING, now.name, now.starting_at or at, now.invocation, job=job)] if alive else []
    if now.invocation and now.ready_at >= now.starting_at > 0 and now.ready_at != before.ready_at:
        # One that runs to completion is ready when it has ended.
        had_scope = min(now.ready_at, now.exited_at or now.ready_at) if ended else now.ready_at
        found.append(Observation(Sign.SCOPE, now.name, had_scope, now.invocation))
        found.append(Observation(Sign.READY, now.name, now.ready_at, now.invocation))
    if now.invocation and ended and (before.exit_pid, before.exited_at) != (now.exit_pid, now.exited_at):
        when = now.exited_at or at
        found.append(Observation(Sign.EXIT, now.name, when, now.invocation, now.exit_code, now.exit_status))
    if now.frozen != before.frozen:
        found.append(Observation(Sign.PAUSED if now.frozen else Sign.UNPAUSED, now.name, at, now.invocation))
    # Stable: what is told of one moment stays in the order above.
    return tuple(sorted(found, key=lambda seen: seen.at))


def _number(text: str | None) -> int:
    """A number that a person or a program may have written; 0 for what is none."""
    try:
        return min(max(int(text or 0), 0), _MOST)
    except ValueError:
        return 0
