"""What went wrong, in words: of an exception, and of a job that systemd could not do.

Asks systemd and the journal only after the fact; decides no exit code. Not imported by a verb that succeeds.
"""

from __future__ import annotations

from supervisor.errors import CtrError, HostError, InternalError
from supervisor.names import service_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from supervisor.systemd.manager import Manager

_DENIED = (".AccessDenied", ".InteractiveAuthorizationRequired", ".AuthFailed", ".NotPrivileged")

_LINES = 10

#: The launcher's own exit codes (docker's, podman's): the container's program never ran.
_LAUNCHER = (125, 126, 127)

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

#: Values of a service's Result property (systemd.exec(5), $SERVICE_RESULT) that need no number beside them.
_RESULTS = {
    "protocol": "ended before it was up",
    "resources": "systemd could not set it up",
    "watchdog": "its watchdog ran out",
    "oom-kill": "killed for lack of memory",
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
    """Why a job failed: *reason* in a few words, and the last *lines* that this run logged."""

    __slots__ = ("lines", "reason")

    def __init__(self, reason: str, lines: tuple[str, ...] = ()) -> None:
        self.reason = reason
        self.lines = lines


def explain(manager: Manager, name: str, verb: str, result: str) -> Failure:
    """Why the *verb* job of container *name* ended as *result* ('failed', 'dependency', 'canceled' …)."""
    unit = service_unit(name)
    if result == "dependency":
        return Failure(_dependency(manager, unit))
    if result != "failed":
        return Failure(_JOBS.get(result, result))
    invocation = bytes(manager.properties(unit, "Unit", "InvocationID")["InvocationID"]).hex()
    state = manager.properties(unit, "Service", "Result", "ExecMainCode", "ExecMainStatus")
    lines = last_lines(invocation) if invocation else ()
    return Failure(reason(verb, state, [text for text, ours in lines if ours]), tuple(text for text, _ in lines))


def reason(verb: str, state: Mapping[str, Any], launcher: list[str]) -> str:
    """The words for a service's Result, ExecMainCode and ExecMainStatus; *launcher*: what it printed. Pure."""
    result, status = str(state["Result"]), int(state["ExecMainStatus"])
    if result == "timeout":
        return f"timed out ({'TimeoutStopSec=' if verb == 'stop' else 'TimeoutStartSec='} of its unit)"
    if result in _RESULTS:
        return _RESULTS[result]
    if result in ("signal", "core-dump"):
        from supervisor.cli.containers import signal_name

        return f"killed by {signal_name(status)}{' (core dumped)' if result == 'core-dump' else ''}"
    if result == "exit-code":
        if status in _LAUNCHER and launcher:
            return f"the launcher said: {launcher[-1]}"
        return f"exited with status {status}"
    return f"systemd's result is '{result}'"


def _dependency(manager: Manager, unit: str) -> str:
    wants = ("Requires", "BindsTo", "Requisite")
    needed = {other for names in manager.properties(unit, "Unit", *wants).values() for other in names}
    failed = [status.name for status in manager.units(*needed) if status.active == "failed"] if needed else []
    what = f"{', '.join(sorted(failed))}, which it requires, failed" if failed else "a unit it requires failed"
    return f"{what}; see 'systemctl list-dependencies {unit}'"


def last_lines(invocation: str) -> tuple[tuple[str, bool], ...]:
    """The last lines one run of a container logged, oldest first, each with whether it is the launcher's own."""
    from supervisor.cli.console import printable
    from supervisor.cli.journal import read

    ours = f"_SYSTEMD_INVOCATION_ID={invocation}"
    arguments = ("-n", str(_LINES), ours, "+", f"CONTAINER_ID={invocation}")
    try:
        _sync()
        entries = list(read(arguments, ("MESSAGE", "CONTAINER_ID")))
    except HostError:
        return ()
    return tuple(
        (printable(entry.get("MESSAGE", b"").decode(errors="replace")), "CONTAINER_ID" not in entry)
        for entry in entries
    )


def _sync() -> None:
    """Have journald write down what it was sent; without it, a line printed just now is missing."""
    import subprocess

    subprocess.run(("journalctl", "--sync"), check=False, capture_output=True, timeout=10)
