"""``ctrctl exec``: one more process in a running container.

Owns the options and the process object they make, which is that of the container's own program with what differs.
Starting it and waiting for it is `execution`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.cli.console import Console
from supervisor.cli.containers import check_deployed, is_frozen, oom_kills
from supervisor.cli.execution import Execution, RefusedError
from supervisor.cli.failure import OUT_OF_MEMORY
from supervisor.cli.inside import Inside
from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.names import scope_unit, service_unit
from supervisor.paths import Layout
from supervisor.render.capabilities import NAMES, process_sets
from supervisor.render.users import Accounts, resolve
from supervisor.runtime import failure
from supervisor.runtime.entry import CGROUPS, control_group
from supervisor.systemd.manager import Manager

_KILLED = 137
_TERMINAL_TYPE = "xterm"  # docker-run(1): TERM of a container with a terminal

EXAMPLES = {
    "exec": (
        "ctrctl exec -it web bash                    a shell beside the program",
        "ctrctl exec web cat /etc/os-release",
        "ctrctl exec -i db psql < dump.sql           stdin passed on",
        "ctrctl exec -u root -e DEBUG=1 web id",
    ),
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options as docker-exec(1) names them."""
    parser.usage = f"ctrctl {verb} [OPTIONS] NAME COMMAND …"
    parser.add_argument("-d", "--detach", action="store_true", help="return once it runs")
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument("-e", "--env", action="append", metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="working directory")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="who the process runs as")
    parser.add_argument("--privileged", action="store_true", help="all capabilities")
    parser.add_argument("name", metavar="NAME", help="a container's name")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="program and its arguments")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Run the command; returns its exit code, 128 + signal, 126 or 127 as docker-exec(1)."""
    console.need_root(verb)
    if not args.command:
        raise UserError(f"exec: no command; write 'ctrctl exec {args.name} PROGRAM …'")
    if args.tty and args.interactive and not os.isatty(0):
        raise UserError("--tty: stdin is not a terminal; leave out -t, or -i")
    init = running_init(args.name, console.layout)
    group = control_group(init)
    with Inside(init) as inside:
        accounts = Accounts(inside.read_text("/etc/passwd"), inside.read_text("/etc/group")) if args.user else None
    available = available_capabilities() if args.privileged else ()
    document = process(_deployed_process(args.name, console.layout), args, console.environ, accounts, available)
    runtime = _runtime(args.name, console.layout)
    with Execution(document, interactive=args.interactive, quiet=args.detach, layout=console.layout) as execution:
        try:
            execution.start(args.name, runtime, init)
        except RefusedError as error:
            if args.detach or args.tty:
                # Otherwise the runtime had our stderr and has said it there.
                console.error(f"exec: {error}")
            return failure.exit_code(str(error))
        if args.detach:
            return 0
        before = oom_kills(group)
        code = execution.wait()
        if code == _KILLED and oom_kills(group) > before:
            console.error(f"exec: {OUT_OF_MEMORY}")
        return code


def running_init(name: str, layout: Layout, *, paused: bool = False) -> int:
    """The PID of the container's init. Raises `UserError` unless the container runs; *paused*: frozen will do too."""
    check_deployed((name,), layout)
    with Manager.open() as manager:
        unit = service_unit(name)
        state = manager.properties(unit, "Unit", "ActiveState")["ActiveState"]
        init = int(manager.properties(unit, "Service", "MainPID")["MainPID"])
    if state != "active" or not init:
        raise UserError(f"container '{name}' is not running; start it with 'ctrctl start {name}'")
    if not paused:
        _check_thawed(name, init)
    return init


def _check_thawed(name: str, init: int) -> None:
    """Raise `UserError` when what joins the container's control group would freeze at once, and we wait for it."""
    try:
        group = control_group(init)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise UserError(f"container '{name}' has just stopped; start it with 'ctrctl start {name}'") from error
    path = CGROUPS
    for part in group.removeprefix(CGROUPS).strip("/").split("/"):
        path = f"{path}/{part}"
        if not is_frozen(path):
            continue
        if part == scope_unit(name):
            raise UserError(f"container '{name}' is paused; let it go on with 'ctrctl unpause {name}'")
        if part.endswith(".slice"):
            raise UserError(f"container '{name}': {part} is frozen; let it go on with 'systemctl thaw {part}'")
        raise UserError(f"container '{name}': froze its own control group '{part}'; stop it with 'ctrctl kill {name}'")


def process(
    deployed: dict[str, Any],
    args: argparse.Namespace,
    environ: Mapping[str, str],
    accounts: Accounts | None,
    available: tuple[str, ...],
) -> dict[str, Any]:
    """The OCI process object of *args*: that of the container's own program, *deployed*, with what differs. Pure.

    *accounts* are the container's own; needed with ``--user``. *available*: all capabilities of this host, for
    ``--privileged``. Raises `UserError`.
    """
    changed = deployed | {"args": list(args.command), "terminal": args.tty and not args.detach}
    changed.pop("consoleSize", None)
    changed["env"] = _environment(deployed.get("env", []), args, environ)
    if args.workdir is not None:
        changed["cwd"] = values.path(args.workdir, "working directory")
    bounding = tuple(deployed.get("capabilities", {}).get("bounding", ()))
    user = deployed.get("user", {})
    if args.user is not None and accounts is not None:
        who = resolve(values.user(args.user), (), accounts, f"container '{args.name}'")
        user = {"uid": who.uid, "gid": who.gid, "additionalGids": list(who.groups)}
        changed["user"] = user
        changed["capabilities"] = process_sets(bounding, (), who.uid == 0)
    if args.privileged:
        changed["capabilities"] = process_sets(available, ("ALL",), True)
        changed["noNewPrivileges"] = False
    return changed


def _environment(deployed: Sequence[str], args: argparse.Namespace, environ: Mapping[str, str]) -> list[str]:
    pairs = dict(item.partition("=")[::2] for item in deployed)
    if args.tty:
        pairs.setdefault("TERM", _TERMINAL_TYPE)
    for text in args.env or ():
        if "=" in text:
            name, value = values.environment(text)
            pairs[name] = value
        elif text in environ:
            pairs[text] = environ[text]
    return [f"{name}={value}" for name, value in pairs.items()]


def available_capabilities() -> tuple[str, ...]:
    """What a process of this host can have at all: PID 1's bounding set, as for a container's own program."""
    with open("/proc/1/status", encoding="ascii", errors="replace") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return tuple(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def _deployed_process(name: str, layout: Layout) -> dict[str, Any]:
    """The process object the container was started with; the launcher's copy includes its environment files."""
    for directory in (layout.running(name), layout.container(name)):
        try:
            with open(f"{directory}/config.json", encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)["process"]
                return found
        except FileNotFoundError:
            continue
    raise UserError(f"container '{name}': its config.json is gone; run 'ctrctl apply' to write it anew")


def _runtime(name: str, layout: Layout) -> str:
    with open(f"{layout.container(name)}/plan", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "runtime":
                return value
    return "crun"
