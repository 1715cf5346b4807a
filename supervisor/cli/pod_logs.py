"""``ctrctl pod logs``: what the containers of a pod wrote, in the order it was written, each line with whose it is.

How lines are found and printed is `supervisor.cli.logs`' business.
"""

from __future__ import annotations

import argparse

from supervisor.cli import logs, pod_actions
from supervisor.cli.console import Console
from supervisor.cli.containers import is_pod
from supervisor.cli.journal import Entry, read
from supervisor.errors import UserError
from supervisor.names import name_of_scope
from supervisor.systemd.manager import Manager

#: What tells whose line it is.
_WRITER = ("CONTAINER_NAME", "_SYSTEMD_UNIT")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``pod logs``."""
    parser.add_argument("name", metavar="POD", help="a pod's name")
    logs.configure_selection(parser, "pod")


def show(args: argparse.Namespace, manager: Manager, console: Console) -> int:
    """Print the lines; 0 also when there are none."""
    names = [member.name for member in pod_actions.members(args.name, console.layout)]
    if not names:
        raise UserError(f"pod {args.name}: no container is in it; write Pod={args.name}.pod in one's definition")
    selection = logs.arguments(names, args.follow, args.tail, args.since, args.until)
    width = max(map(len, names))

    def is_over() -> bool:
        return not is_pod(args.name, console.layout) or not console.has_reader()

    def prefix(entry: Entry) -> bytes:
        return f"{writer(entry):<{width}} | ".encode()

    entries = read(selection, (*logs.FIELDS, *_WRITER), is_over if args.follow else None)
    for error, data in logs.rendered(entries, timestamps=args.timestamps, prefix=prefix):
        console.bytes(data, error=error)
    return 0


def writer(entry: Entry) -> str:
    """The container that wrote *entry*: the relay says so, or it is in its scope."""
    unit = entry.get("_SYSTEMD_UNIT", b"").decode()
    return name_of_scope(unit) or entry.get("CONTAINER_NAME", b"").decode("ascii", "replace")
