"""``ExecStopPost=``: after a container ended, however it ended, remove what its start left behind.

Also runs when the launcher was killed half-way, so every step copes with its object missing. What it writes down is
systemd's own verdict ($SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS, systemd.exec(5)), for ``ctrctl ps -a`` and ``wait``;
and whether the OOM killer had a part in it, which systemd tells only the journal: the container's processes are in a
scope, and SIGKILL is all that the service sees.
"""

from __future__ import annotations

import os
import sys
import time

from supervisor.errors import CtrError
from supervisor.events import records
from supervisor.launcher import plan as plans
from supervisor.launcher import programs
from supervisor.names import check_name, scope_unit, service_unit
from supervisor.paths import Layout
from supervisor.systemd import journal, notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CGROUPS = "/sys/fs/cgroup"
_EMPTY_SECONDS = 10.0
_REMOVE_SECONDS = 300
_POLL_SECONDS = 0.005
_RECENT_SECONDS = 60.0
#: $EXIT_STATUS of a container whose init, or whose init's child, was killed.
_KILLED = ("KILL", "137")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-cleanup NAME``; 0 even when there was nothing to do."""
    name = arguments[0] if arguments else ""
    layout = Layout()
    try:
        ask_for_time(environ)
        plan = plan_of_the_run(name, layout)
        record = f"{layout.container(name)}/last-exit"
        kill_scope(plan)
        ooms = oom_kills(plan, environ, record) if is_suspicious(plan, environ) else {}
        if plan.poststop:
            from supervisor.runtime import argv

            programs.run(argv.delete(plan.runtime, layout.runtime_state(plan.runtime), plan.name))
        # Otherwise not through the runtime's own `delete`: with every process gone, its state directory is all it would
        # remove, and a `create` that was killed half-way leaves one that it does not take for a container.
        state = f"{layout.runtime_state(plan.runtime)}/{plan.name}"
        programs.remove_trees(state, layout.running(name), *((plan.upper,) if plan.upper and plan.fresh else ()))
        if plan.scratch:
            programs.remove_trees(plan.scratch)
        # Last: a full disk has room again when the layer that filled it is gone.
        record_exit(record, environ, time.time(), ooms)
        tell(name, environ, ooms, layout)
    except (CtrError, OSError) as error:
        print(f"{name}: cleanup: {error}", file=sys.stderr)
        return 1
    if ooms.get("oom"):
        print(f"{name}: out of memory: the kernel's OOM killer ended a process; raise MemoryMax=, or --memory")
    return 0


def ask_for_time(environ: Mapping[str, str]) -> None:
    """TimeoutStopSec=, meant for the container, limits ExecStopPost= too; a large layer takes longer to remove."""
    if address := environ.get("NOTIFY_SOCKET"):
        notify.notify(address, f"EXTEND_TIMEOUT_USEC={_REMOVE_SECONDS * 1_000_000}")


def plan_of_the_run(name: str, layout: Layout) -> plans.Plan:
    """The plan the run was started with; `ctrctl apply` may have deployed another since."""
    try:
        return plans.read(f"{layout.running(check_name(name))}/plan")
    except CtrError:
        return plans.read(f"{layout.container(name)}/plan")


def kill_scope(plan: plans.Plan) -> None:
    """Kill what is left in the scope (cgroups(7) cgroup.kill) and wait until the kernel says it is empty.

    In an ordinary stop init's death has ended everything already; this is for launchers killed half-way.
    """
    path = scope_path(plan)
    deadline = time.monotonic() + _EMPTY_SECONDS
    try:
        while _populated(path) and time.monotonic() < deadline:
            with open(f"{path}/cgroup.kill", "w") as file:
                file.write("1")
            time.sleep(_POLL_SECONDS)
    except OSError:
        return


def is_suspicious(plan: plans.Plan, environ: Mapping[str, str]) -> bool:
    """Whether lack of memory may be why it ended: SIGKILL, or a failure of a program that has a limit."""
    if environ.get("SERVICE_RESULT") == "success":
        return False
    return environ.get("EXIT_STATUS") in _KILLED or any(" MemoryMax" in line for line in plan.properties)


def oom_kills(plan: plans.Plan, environ: Mapping[str, str], record: str) -> dict[str, int]:
    """What to write down: 'oom', kills in the run that ended, and 'host_oom', those of the host since it booted.

    The journal, which costs more than the rest of cleanup, is asked only when the host has had kills since the end that
    *record* tells of.
    """
    from supervisor.systemd import oom

    host = oom.host_kills()
    found = oom.kills(scope_path(plan))
    if found is None:
        found = 0
        before = host_count(record) if host else 0
        if host != before or any(" ManagedOOM" in line for line in plan.properties):
            found = oom.logged(scope_unit(plan.name), _began(plan.name))
    return {"oom": found, "host_oom": host}


def host_count(path: str) -> int:
    """'host_oom' of the end that the record at *path* tells of; -1 when it has none of this boot."""
    try:
        with open(path) as file:
            text = file.read()
        if os.stat(path).st_mtime < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME):
            return -1
        return int(text.partition('"host_oom": ')[2].rstrip("}\n").partition(",")[0])
    except (OSError, ValueError):
        return -1


def _began(name: str) -> float:
    """When the run began; systemd makes this link with every invocation."""
    try:
        return os.lstat(f"/run/systemd/units/invocation:{service_unit(name)}").st_mtime
    except OSError:
        return time.time() - _RECENT_SECONDS


def scope_path(plan: plans.Plan) -> str:
    """The directory of the scope's cgroup."""
    return f"{_CGROUPS}/{slice_path(plan.slice)}/{scope_unit(plan.name)}"


def slice_path(unit: str) -> str:
    """The cgroup path of a slice: 'a-b.slice' lies in 'a.slice' (systemd.slice(5))."""
    parts = unit.removesuffix(".slice").split("-")
    return "/".join("-".join(parts[: end + 1]) + ".slice" for end in range(len(parts)))


def record_exit(path: str, environ: Mapping[str, str], now: float, ooms: Mapping[str, int]) -> None:
    """Write ``last-exit``: *now* in seconds since the epoch, *ooms* of `oom_kills`, the rest as systemd says it;
    replaced atomically."""
    fields = {
        "invocation": environ.get("INVOCATION_ID", ""),
        "result": environ.get("SERVICE_RESULT", ""),
        "code": environ.get("EXIT_CODE", ""),
    }
    words = [f'"{key}": "{value}"' for key, value in fields.items()]
    words += [f'"status": {_status(environ.get("EXIT_STATUS", "0"))}', f'"time": {now:.6f}']
    words += [f'"{key}": {number}' for key, number in ooms.items()]
    with open(f"{path}.new", "w") as file:
        file.write("{" + ", ".join(words) + "}\n")
    os.rename(f"{path}.new", path)


def tell(name: str, environ: Mapping[str, str], ooms: Mapping[str, int], layout: Layout) -> None:
    """The same for the journal, where the supervisor finds it also when it was not there to see it."""
    code, status = environ.get("EXIT_CODE", ""), _status(environ.get("EXIT_STATUS", "0"))
    words = {"exited": f"exited with status {status}", "": "did not run"}
    fields = {
        "MESSAGE_ID": records.RUN_ENDED,
        "SYSLOG_IDENTIFIER": name,
        records.CONTAINER: name,
        records.INVOCATION: environ.get("INVOCATION_ID", ""),
        records.EXIT_CODE: code,
        records.EXIT_STATUS: str(status),
        records.RESULT: environ.get("SERVICE_RESULT", ""),
        records.OOM: str(ooms.get("oom", 0)),
    }
    text = f"run ended: {words.get(code, f'{code} by signal {status}')}"
    journal.record(text, journal.INFO, fields, layout.journal)


def _populated(path: str) -> bool:
    with open(f"{path}/cgroup.events") as file:
        return "populated 1" in file.read()


def _status(text: str) -> int:
    """$EXIT_STATUS is a number for an exit and a name such as 'KILL' for a signal."""
    if text.isdigit():
        return int(text)
    import signal

    base, _, offset = text.partition("+")
    return int(getattr(signal, f"SIG{base}", 0)) + int(offset or 0)
