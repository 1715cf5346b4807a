"""An event as a journal entry and back: the fields, and the sentence a person reads. Pure.

What `journalctl MESSAGE_ID=…`, `ctrctl events` and other programs may rely on is documented in ctrctl(1).
"""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.events import records
from supervisor.events.event import MESSAGE_IDS, NO_JOB, Event, Job, Kind
from supervisor.names import name_of_scope

#: Whose entries are events: journald vouches for the sender's user, also of one that has just died, of which it can
#: tell the unit no more (systemd.journal-fields(7), trusted fields).
WRITER = "ctr-supervisor"

#: What `event` looks at.
FIELDS = (
    *("MESSAGE_ID", "_UID", "_SYSTEMD_UNIT", "CTR_EVENT", "CTR_AT", "CTR_PROJECT", "CTR_SOURCE"),
    *("CTR_JOB_ID", "CTR_JOB_TYPE", "CTR_JOB_RESULT"),
    *(records.CONTAINER, records.INVOCATION, records.EXIT_CODE, records.EXIT_STATUS, records.DETAIL),
)

_PRIORITIES = {Kind.UNHEALTHY: 4, Kind.OOM: 3, Kind.GIVEN_UP: 3, Kind.LOST: 4}
_NOTICE, _INFO = 5, 6
_SENTENCES = {
    Kind.CREATED: "deployed",
    Kind.STARTING: "starting",
    Kind.STARTED: "started",
    Kind.READY: "ready",
    Kind.HEALTHY: "healthy",
    Kind.UNHEALTHY: "unhealthy",
    Kind.OOM: "out of memory",
    Kind.RESTARTING: "restarting",
    Kind.GIVEN_UP: "given up",
    Kind.STOPPED: "stopped",
    Kind.PAUSED: "paused",
    Kind.UNPAUSED: "unpaused",
    Kind.REMOVED: "removed",
    Kind.PULLED: "image pulled",
    Kind.LOST: "events lost",
}


def fields(event: Event) -> dict[str, str]:
    """The entry's fields but for those journald adds."""
    found = {
        "MESSAGE": message(event),
        "MESSAGE_ID": MESSAGE_IDS[event.kind],
        "PRIORITY": str(priority(event)),
        "SYSLOG_IDENTIFIER": "ctr-supervisor",
        "CTR_EVENT": event.kind.value,
        "CTR_AT": str(event.at),
    }
    optional = {
        records.CONTAINER: event.name,
        records.INVOCATION: event.invocation,
        records.DETAIL: event.detail,
        "CTR_PROJECT": event.project,
        "CTR_SOURCE": event.source,
        "CTR_JOB_ID": str(event.job.id or ""),
        "CTR_JOB_TYPE": event.job.type,
        "CTR_JOB_RESULT": event.job.result,
    }
    if event.kind is Kind.EXITED:
        optional |= {records.EXIT_CODE: event.code, records.EXIT_STATUS: str(event.status)}
    return found | {key: value for key, value in optional.items() if value}


def event(fields: Mapping[str, str], writer: int) -> Event | None:
    """Inverse of `fields`; None for an entry that is no event of ours, or not whole. *writer*: uid of `WRITER`."""
    kind = _KINDS.get(fields.get("MESSAGE_ID", ""))
    # In a container that number is just a number.
    is_ours = fields.get("_UID") == str(writer) and name_of_scope(fields.get("_SYSTEMD_UNIT", "")) is None
    if kind is None or not is_ours:
        return None
    try:
        job = Job(
            int(fields.get("CTR_JOB_ID", "0")), fields.get("CTR_JOB_TYPE", ""), fields.get("CTR_JOB_RESULT", "")
        )
        return Event(
            kind,
            fields.get(records.CONTAINER, ""),
            int(fields["CTR_AT"]),
            fields.get(records.INVOCATION, ""),
            fields.get(records.EXIT_CODE, ""),
            int(fields.get(records.EXIT_STATUS, "0")),
            fields.get(records.DETAIL, ""),
            fields.get("CTR_PROJECT", ""),
            NO_JOB if job == NO_JOB else job,
            fields.get("CTR_SOURCE", ""),
        )
    except (KeyError, ValueError):
        return None


_KINDS = {message_id: kind for kind, message_id in MESSAGE_IDS.items()}


def message(event: Event) -> str:
    """'web: exited with status 3': what ``journalctl`` shows."""
    if event.kind is Kind.EXITED:
        what = {
            "exited": f"exited with status {event.status}",
            "killed": f"killed by signal {event.status}",
            "dumped": f"killed by signal {event.status}, core dumped",
        }.get(event.code, "ended; how is not known")
    else:
        what = _SENTENCES[event.kind]
    text = f"{event.name}: {what}" if event.name else what
    return f"{text}: {event.detail}" if event.detail else text


def priority(event: Event) -> int:
    """syslog(3) level: what went wrong is a warning or worse, the end of a run by itself a notice."""
    if event.kind is Kind.EXITED and event.exit_code not in (0, 143):
        return _NOTICE
    return _PRIORITIES.get(event.kind, _INFO)
