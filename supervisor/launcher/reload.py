"""``ExecReload=``: have a running container reload, by a signal to its program or a command inside it.

systemd runs it, and reports its exit status; whatever that is, the container goes on. Needs neither bus nor supervisor.
"""

from __future__ import annotations

import os
import sys

from supervisor.errors import CtrError, HostError, UserError
from supervisor.launcher import plan as plans
from supervisor.names import check_name
from supervisor.paths import Layout
from supervisor.runtime import argv, entry, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The command's OCI process object, beside config.json.
PROCESS = "reload.json"
_MERGED = "reload-process.json"
#: Bytes of the command's output that are passed on.
_LONGEST = 1 << 16


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-reload NAME [SIGNAL]``, SIGNAL a number; the exit status is the command's own, or 125."""
    name = arguments[0] if arguments else ""
    try:
        layout = Layout()
        check_name(name)
        init = int(environ.get("MAINPID") or 0)
        if not init:
            raise UserError("is not running; start it")
        if len(arguments) > 1:
            os.kill(init, int(arguments[1]))
            return 0
        return execute(name, init, layout)
    except (CtrError, OSError, ValueError) as error:
        print(f"{name}: reload: {error}", file=sys.stderr)
        return failure.FAILED


def execute(name: str, init: int, layout: Layout) -> int:
    """Run the command in the container whose init is the process *init*; its exit status, or 128 + signal."""
    places = layout.running(name)
    plan = plans.read(f"{places}/plan")
    group = entry.control_group(init)
    if _is_frozen(group):
        raise UserError(f"is paused; go on with 'ctrctl unpause {name}'")
    document = _document(f"{layout.container(name)}/current/{PROCESS}", places)
    command = argv.exec_(plan.runtime, layout.runtime_state(plan.runtime), name, document)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # Not our own stdout: journald would file lines of a process in the scope under the scope. The memory it takes is
    # the container's, within its limits.
    output = os.memfd_create("output")
    code = os.waitstatus_to_exitcode(os.waitpid(entry.spawn(command, group, (null, output, output)), 0)[1])
    os.write(1, os.pread(output, _LONGEST, 0))
    if code:
        print(f"{name}: reload: the command ended with {code}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _is_frozen(group: str) -> bool:
    with open(f"{group}/cgroup.events", encoding="ascii") as file:
        return "frozen 1" in file.read()


def _document(path: str, places: str) -> str:
    """The file with the process object: what deploy wrote, or, where the environment is known only since the start
    (environment files), the same with that. Only such containers pay for the JSON."""
    if not os.path.exists(path):
        raise HostError(f"{path}: no such file; run 'ctrctl apply'")
    if not os.path.exists(f"{places}/config.json"):
        return path
    import json

    with open(path, encoding="utf-8") as file, open(f"{places}/config.json", encoding="utf-8") as launched:
        document = json.load(file) | {"env": json.load(launched)["process"]["env"]}
    merged = f"{places}/{_MERGED}"
    with open(os.open(merged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(document, file)
    return merged
