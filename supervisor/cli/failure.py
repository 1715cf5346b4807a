"""What went wrong, in words: of an exception, and of a job that systemd could not do.

Asks systemd and the journal only after the fact; decides no exit code. Not imported by a verb that succeeds.
"""

from __future__ import annotations

import os
from contextlib import suppress

from supervisor.errors import CtrError, HostError, InternalError
from supervisor.names import name_of_scope, namespace_unit, scope_unit, service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from supervisor.cli.journal import Entry
    from supervisor.systemd.manager import Manager

_DENIED = (".AccessDenied", ".InteractiveAuthorizationRequired", ".AuthFailed", ".NotPrivileged")

_LINES = 10
#: Whose entry it is: journald's own word (systemd.journal-fields(7), "trusted").
_UNIT = "_SYSTEMD_UNIT"
#: How cleanup's record of a run begins, which says no more than systemd does.
_RUN_ENDED = "run ended: "
#: Of systemd's own lines about start jobs, the newest: all the units that one start needs, and then some.
_JOBS_READ = 200

#: The launcher's own exit codes (docker's, podman's): the container's program never ran.
_LAUNCHER = (125, 126, 127)

#: EXIT_CREDENTIALS of systemd.exec(5), "Process Exit Codes".
_CREDENTIALS = 243

#: Job results of org.freedesktop.systemd1(5), JobRemoved, other than 'failed' and 'dependency'.
_JOBS = {
    "canceled": "another job took its place",
    "timeout": "the job waited too long",
    "skipped": "there was nothing to do",
    "assert": "an Assert… line of its unit is not met",
    "unsupported": "this host cannot run such a unit",
    "collected": "its unit was removed",
    "once": "it may run only once per boot",
}

OUT_OF_MEMORY = "out of memory: the kernel's OOM killer ended a process; raise MemoryMax=, or --memory"

#: Values of a service's Result property (systemd.exec(5), $SERVICE_RESULT) that need no number beside them.
_RESULTS = {
    "protocol": "ended before it was up",
    "resources": "systemd could not set it up",
    "watchdog": "its watchdog ran out",
    "oom-kill": OUT_OF_MEMORY,
    "start-limit-hit": "started too often in a short time; 'systemctl reset-failed' lets it start again",
    "exec-condition": "its ExecCondition= is not met",
}


def sentence(error: BaseException) -> str:
    """*error* as one message for the caller."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        text = f"{where}{error.strerror or error}"
    elif isinstance(error, CtrError) and not isinstance(error, InternalError):
        text = str(error)
    else:
        about = f"{type(error).__name__}: {error}"
        return f"internal error: {about}; please report it with the output of CTR_DEBUG=1 ctrctl …"
    return f"{text}: needs root (or polkit permission)" if _denied(error) else text


def _denied(error: BaseException | None) -> bool:
    """Whether systemd, polkit or the file system refused *error*'s cause for lack of privilege."""
    while error is not None:
        # The D-Bus error's name, never its text; `supervisor.systemd.sdbus.BusError` is not imported for a look.
        if isinstance(error, PermissionError) or str(getattr(error, "name", "")).endswith(_DENIED):
            return True
        error = error.__cause__
    return False


class Failure:
    """Why a job failed: *reason* in a few words, and of the last *lines* that this run logged those it does not say."""

    __slots__ = ("lines", "reason")

    def __init__(self, reason: str, lines: tuple[str, ...] = ()) -> None:
        self.reason = reason
        self.lines = lines


def explain(manager: Manager, name: str, verb: str, result: str) -> Failure:
    """Why the *verb* job of container *name* ended as *result* ('failed', 'dependency', 'canceled' …)."""
    unit = service_unit(name)
    if result == "dependency":
        return Failure(_dependency(manager, name))
    if result != "failed":
        return Failure(_JOBS.get(result, result))
    invocation = bytes(manager.properties(unit, "Unit", "InvocationID")["InvocationID"]).hex()
    state = manager.properties(unit, "Service", "Result", "ExecMainCode", "ExecMainStatus", "ExecMainStartTimestamp")
    lines = last_lines(invocation, name, int(state["ExecMainStartTimestamp"])) if invocation else ()
    if _was_oom(name, invocation):
        state["Result"] = "oom-kill"
    if state["Result"] == "exit-code" and state["ExecMainStatus"] == _CREDENTIALS:
        why = _credentials(manager, unit)
    else:
        why = reason(verb, state, [text for text, ours in lines if ours])
    return Failure(why, unsaid(why, [text for text, _ in lines]))


def unsaid(reason: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Those of *lines* that *reason* does not quote, each once. Pure."""
    return tuple(line for line in dict.fromkeys(lines) if line not in reason)


def _was_oom(name: str, invocation: str) -> bool:
    """Whether the OOM killer had a part in the end of that run; of the service, systemd only knows SIGKILL."""
    from supervisor.cli.containers import read_exit
    from supervisor.paths import Layout

    last = read_exit(name, Layout())
    return last is not None and last.oom > 0 and last.invocation == invocation


def reason(verb: str, state: Mapping[str, Any], launcher: list[str]) -> str:
    """The words for a service's Result, ExecMainCode and ExecMainStatus; *launcher*: what it printed. Pure."""
    result, status = str(state["Result"]), int(state["ExecMainStatus"])
    if result == "timeout":
        return f"timed out ({'TimeoutStopSec=' if verb == 'stop' else 'TimeoutStartSec='} of its unit)"
    if result in _RESULTS:
        return _RESULTS[result]
    if result in ("signal", "core-dump"):
        from supervisor.cli.containers import signal_words

        return f"killed by {signal_words(status)}{', core dumped' if result == 'core-dump' else ''}"
    if result == "exit-code":
        if status in _LAUNCHER and launcher:
            return f"the launcher said: {launcher[-1]}"
        return f"exited with status {status}"
    return f"systemd's result is '{result}'"


def _credentials(manager: Manager, unit: str) -> str:
    """Which secret systemd could not load, as far as its file tells; systemd's own words name none."""
    from supervisor.deploy.host import credential
    from supervisor.paths import Layout

    loads = manager.properties(unit, "Service", "LoadCredential", "LoadCredentialEncrypted")
    for name, path in (pair for pairs in loads.values() for pair in pairs):
        if os.path.lexists(path) or not os.access(os.path.dirname(path), os.X_OK):
            continue
        if found := credential(Layout(), name):
            return f"secret '{name}': is {found[0]} now, not {path}; deploy the container anew ('ctrctl apply')"
        return f"secret '{name}': {path} is gone; create it anew with 'ctrctl secret create {name} FILE'"
    return "systemd could not load its secrets: too large (1 MiB in all), or not encrypted for this host and name"


def _dependency(manager: Manager, name: str) -> str:
    unit = service_unit(name)
    failed = root_causes(manager, unit)
    if not failed:
        return f"a unit it requires failed; see 'systemctl list-dependencies {unit}'"
    # Its own network is a part of the container, to whoever reads this.
    return "; ".join(
        last_words(run).removeprefix(f"{name}: ")
        if way[-1] == namespace_unit(name)
        else f"{way[-1]}, which it requires, failed: {last_words(run)}"
        for way, run in failed
    )


def root_causes(manager: Manager, unit: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """The ways from *unit* to the units that failed by themselves and so kept it from starting, each with the
    invocation ID of the unit it ends with; what only failed for lack of another is on the way, not its end.

    The journal tells, as a unit with CollectMode=inactive-or-failed is forgotten at once, and one that only waited for
    another is inactive, not failed. Without the right to read it, what systemd still knows has to do.
    """
    from supervisor.graph.cause import roots

    needs = _missing(manager, unit)
    missing = needs.keys() - {unit}
    if not missing:
        return ()
    starts = last_starts(missing)
    failed = {name: (run, at) for name, (result, run, at) in starts.items() if result in ("failed", "timeout")}
    for status in manager.units(*missing):
        if status.active == "failed" and status.name not in failed:
            found = manager.properties(status.name, "Unit", "InvocationID", "InactiveEnterTimestamp")
            failed[status.name] = bytes(found["InvocationID"]).hex(), int(found["InactiveEnterTimestamp"])
    ways = roots(unit, needs, {name: at for name, (_, at) in failed.items()})
    return tuple((way, failed[way[-1]][0]) for way in ways)


def _missing(manager: Manager, unit: str) -> dict[str, set[str]]:
    """*unit* and what it needs, directly or not, and is not active; of each, those of the others that it needs."""
    missing: dict[str, set[str]] = {}
    waiting = [unit]
    while waiting:
        now = waiting.pop()
        if now in missing:
            continue
        needs = manager.properties(now, "Unit", "Requires", "BindsTo", "Requisite").values()
        needed = {other for names in needs for other in names}
        if needed:
            needed -= {status.name for status in manager.units(*needed) if status.active == "active"}
        missing[now] = needed
        waiting += needed
    return missing


def last_starts(units: Iterable[str]) -> dict[str, tuple[str, str, int]]:
    """Of the last start job of each of *units* in this boot: its result, the invocation ID, and when it ended, in
    microseconds since the epoch; result '' when it goes on. Empty without the right to read the journal."""
    from supervisor.cli.journal import read

    fields = ("UNIT", "JOB_RESULT", "INVOCATION_ID")
    matches = ("--boot", "-n", str(_JOBS_READ), "_PID=1", "JOB_TYPE=start", *(f"UNIT={unit}" for unit in units))
    last: dict[str, tuple[str, str, int]] = {}
    try:
        sync()
        for entry in read(matches, fields):
            name, result, run = (entry.get(field, b"").decode(errors="replace") for field in fields)
            last[name] = result, run, int(entry.get("__REALTIME_TIMESTAMP", b"0"))
    except HostError:
        return {}
    return last


def last_words(invocation: str) -> str:
    """The last line that one run of a unit logged itself; of a container's unit rather than of the container."""
    entries = _logged(invocation) if invocation else []
    lines = [line for line in map(_line, entries) if line[0]]
    said = [text for text, ours in lines if ours and not text.startswith(_RUN_ENDED)][-1:]
    last = said or [text for text, ours in lines if not ours][-1:] or [text for text, _ in lines[-1:]]
    return last[0].removeprefix(_RUN_ENDED) if last else "it said nothing; see 'journalctl -xe'"


def last_lines(invocation: str, name: str = "", since: int = 0) -> tuple[tuple[str, bool], ...]:
    """The last lines one run of a unit logged, oldest first, each with whether it is the launcher's own.

    With passthrough the scope of container *name* logs itself. That has an invocation ID of its own, so that only the
    time tells which run its lines are of: *since*, when the main process started, in microseconds since the epoch.
    """
    scope = scope_unit(name).encode()
    entries = _logged(invocation, name if since else "")
    mine = (e for e in entries if e.get(_UNIT) != scope or int(e.get("__REALTIME_TIMESTAMP", b"0")) >= since)
    return tuple(line for line in map(_line, mine) if not (line[1] and line[0].startswith(_RUN_ENDED)))


def logged_by(invocation: str, name: str = "") -> tuple[str, ...]:
    """journalctl's matches for what one run of a unit logged, and of container *name* its scope besides. Pure.

    Anybody can send CONTAINER_ID= to journald: it counts only from our relay.
    """
    from supervisor.cli.logs import RELAY

    own = f"_SYSTEMD_INVOCATION_ID={invocation}"
    scope = ("+", f"{_UNIT}={scope_unit(name)}") if name else ()
    return (own, "+", f"CONTAINER_ID={invocation}", f"{_UNIT}={RELAY}", *scope)


def _logged(invocation: str, name: str = "") -> list[Entry]:
    """The last journal entries of `logged_by`; none without the right to read them."""
    from supervisor.cli.journal import read

    arguments = ("-n", str(_LINES), *logged_by(invocation, name))
    try:
        sync()
        return list(read(arguments, ("MESSAGE", "CONTAINER_ID", _UNIT)))
    except HostError:
        return []


def is_own(entry: Entry) -> bool:
    """Whether it is the launcher's (or systemd's) own line, rather than the container's. Pure."""
    scope = name_of_scope(entry.get(_UNIT, b"").decode(errors="replace"))
    return "CONTAINER_ID" not in entry and scope is None


def _line(entry: Entry) -> tuple[str, bool]:
    from supervisor.cli.console import printable

    return printable(entry.get("MESSAGE", b"").decode(errors="replace")), is_own(entry)


def sync(seconds: float = 10) -> None:
    """Have journald write down what it was sent; without it, a line printed just now is missing.

    Waits so long; where journald does not answer, what it has written down has to do.
    """
    import subprocess

    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(("journalctl", "--sync"), check=False, capture_output=True, timeout=seconds)
