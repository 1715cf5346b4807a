"""``ctrctl version``: our version and those of the programs we stand on, for bug reports.

Runs each program once with its own version option; one that is missing is said to be missing, which is half the use.
"""

from __future__ import annotations

import os
import re
import sys

from supervisor.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from supervisor.cli.console import Console

EXAMPLES = {"version": ("ctrctl version", "ctrctl version --format json")}

_PROGRAMS = {
    "systemd": ("systemctl", "--version"),
    "crun": ("crun", "--version"),
    "runc": ("runc", "--version"),
    "netavark": ("/usr/lib/podman/netavark", "--version"),
    "aardvark-dns": ("/usr/lib/podman/aardvark-dns", "--version"),
    "skopeo": ("skopeo", "--version"),
    "mkfs.erofs": ("mkfs.erofs", "--version"),
}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)*[^\s()]*")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``version``."""
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print name and version of each."""
    found = {"ctr": VERSION, **{name: program_version(command) for name, command in _PROGRAMS.items()}}
    found |= {"python": sys.version.split()[0], "kernel": os.uname().release}
    if args.format == "json":
        console.json(found)
    else:
        console.table(("NAME", "VERSION"), [(name, version or "not installed") for name, version in found.items()])
    return 0


def program_version(command: tuple[str, ...]) -> str | None:
    """The version *command* prints in its first line, None when there is no such program."""
    import subprocess

    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout or done.stderr)


def parse_version(text: str) -> str | None:
    """The first word with a number in the first line of *text*: 'crun version 1.21' is '1.21'. Pure."""
    match = _NUMBER.search(text.partition("\n")[0])
    return match[0] if match else None
