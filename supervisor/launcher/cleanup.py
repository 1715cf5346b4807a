"""``ExecStopPost=``: after a container ended, however it ended, remove what its start left behind.

Also runs when the launcher was killed half-way, so every step copes with its object missing. What it writes down is
systemd's own verdict ($SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS, systemd.exec(5)), for ``ctrctl ps -a`` and ``wait``.
"""

from __future__ import annotations

import os
import sys
import time

from supervisor.errors import CtrError
from supervisor.launcher import plan as plans
from supervisor.launcher import programs
from supervisor.names import check_name, scope_unit
from supervisor.paths import Layout
from supervisor.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CGROUPS = "/sys/fs/cgroup"
_EMPTY_SECONDS = 10.0
_REMOVE_SECONDS = 300
_POLL_SECONDS = 0.005


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-cleanup NAME``; 0 even when there was nothing to do."""
    name = arguments[0] if arguments else ""
    layout = Layout()
    try:
        ask_for_time(environ)
        plan = plan_of_the_run(name, layout)
        kill_scope(plan)
        # Not through the runtime's own `delete`: with every process gone, its state directory is all it would remove,
        # and a `create` that was killed half-way leaves one that it does not take for a container.
        state = f"{layout.runtime_state(plan.runtime)}/{plan.name}"
        programs.remove_trees(state, layout.running(name), *((plan.upper,) if plan.upper and plan.fresh else ()))
        # Last: a full disk has room again when the layer that filled it is gone.
        record_exit(f"{layout.container(name)}/last-exit", environ, time.time())
    except (CtrError, OSError) as error:
        print(f"{name}: cleanup: {error}", file=sys.stderr)
        return 1
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
    path = f"{_CGROUPS}/{slice_path(plan.slice)}/{scope_unit(plan.name)}"
    deadline = time.monotonic() + _EMPTY_SECONDS
    try:
        while _populated(path) and time.monotonic() < deadline:
            with open(f"{path}/cgroup.kill", "w") as file:
                file.write("1")
            time.sleep(_POLL_SECONDS)
    except OSError:
        return


def slice_path(unit: str) -> str:
    """The cgroup path of a slice: 'a-b.slice' lies in 'a.slice' (systemd.slice(5))."""
    parts = unit.removesuffix(".slice").split("-")
    return "/".join("-".join(parts[: end + 1]) + ".slice" for end in range(len(parts)))


def record_exit(path: str, environ: Mapping[str, str], now: float) -> None:
    """Write ``last-exit``: *now* in seconds since the epoch, the rest as systemd says it; replaced atomically."""
    fields = {
        "invocation": environ.get("INVOCATION_ID", ""),
        "result": environ.get("SERVICE_RESULT", ""),
        "code": environ.get("EXIT_CODE", ""),
    }
    words = [f'"{key}": "{value}"' for key, value in fields.items()]
    words += [f'"status": {_status(environ.get("EXIT_STATUS", "0"))}', f'"time": {now:.6f}']
    with open(f"{path}.new", "w") as file:
        file.write("{" + ", ".join(words) + "}\n")
    os.rename(f"{path}.new", path)


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
