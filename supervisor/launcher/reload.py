"""``ExecReload=``: have a running container reload, by a signal to its program or a command inside it.

systemd runs it, and reports its exit status; whatever that is, the container goes on. Needs neither bus nor supervisor.
"""

from __future__ import annotations

import os
import sys

from supervisor.errors import CtrError, HostError, UserError
from supervisor.launcher import plan as plans
from supervisor.names import check_name, scope_unit
from supervisor.paths import Layout
from supervisor.runtime import argv, entry, failure, group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The command's OCI process object, beside config.json.
PROCESS = "reload.json"
_MERGED = "reload-process.json"
_GROUP = "ctr-reload"
#: Bytes of the command's output that are passed on, and of one line: journald reads 48 KiB as one (LineMax=).
_LONGEST = 1 << 16
_LINE = 1 << 13
#: sd-daemon(3): what a line begins with tells its priority, here "informational".
_PRIORITY = b"<6>"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-reload NAME SIGNAL``, SIGNAL a number, or ``ctr-reload NAME [--within SECONDS]`` for the command; the exit
    status is the command's own, or 125."""
    name = arguments[0] if arguments else ""
    try:
        layout = Layout()
        check_name(name)
        init = int(environ.get("MAINPID") or 0)
        if not init:
            raise UserError("is not running; start it")
        if arguments[1:2] == ["--within"]:
            return execute(name, init, layout, float(arguments[2]))
        if len(arguments) > 1:
            os.kill(init, int(arguments[1]))
            return 0
        return execute(name, init, layout)
    except (CtrError, OSError, ValueError, IndexError) as error:
        print(f"{name}: reload: {error}", file=sys.stderr)
        return failure.FAILED


def execute(name: str, init: int, layout: Layout, seconds: float = 0.0) -> int:
    """Run the command in the container whose init is the process *init*; its exit status, or 128 + signal. After
    *seconds* (0: never) it is killed, with all it has started. Raises `CtrError`, OSError when it cannot be tried."""
    places = layout.running(name)
    plan = plans.read(f"{places}/plan")
    containers = entry.control_group(init)
    scope = group.of_scope(containers, scope_unit(name))
    if not scope:
        raise UserError("is not running; start it")
    if _is_frozen(scope):
        raise UserError(f"is paused; go on with 'ctrctl unpause {name}'")
    document = _document(f"{layout.container(name)}/current/{PROCESS}", places)
    command = argv.exec_(plan.runtime, layout.runtime_state(plan.runtime), name, document)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # Not our own stdout: journald would file lines of a process in the scope under the scope. The memory it takes is
    # the container's, within its limits.
    output = os.memfd_create("output")
    own = f"{scope}/{_GROUP}"
    group.remove(own)  # of a reload that was killed
    os.mkdir(own)
    try:
        child = entry.spawn(command, own, (null, output, output))
        if not (in_time := group.wait(child, seconds)):
            group.kill(own, child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        # What the command left behind on purpose goes on, as after 'ctrctl exec'.
        group.dissolve(own, containers)
    os.write(1, lines(os.pread(output, _LONGEST, 0)))
    if not in_time:
        raise HostError(f"the command did not end within {seconds:g} s and was killed; see TimeoutStartSec=")
    if code:
        print(f"{name}: reload: the command ended with {code}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def lines(output: bytes) -> bytes:
    """*output* for the journal: every line begins with a priority, so that none is taken for what it says itself."""
    found = output.replace(b"\0", b"\n").removesuffix(b"\n").split(b"\n") if output else []
    pieces = [line[start : start + _LINE] for line in found for start in range(0, len(line) or 1, _LINE)]
    return b"".join(_PRIORITY + piece + b"\n" for piece in pieces)


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
