"""Options of ``ctrctl run`` and ``create`` that leave a container in namespaces of the host. Pure."""

from __future__ import annotations

import argparse
from dataclasses import replace

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.container import Container, NamespaceMode

#: Option, and what of the host it is about.
_KINDS = {
    "pid": "processes",
    "ipc": "System V IPC and /dev/shm",
    "uts": "host name",
    "cgroupns": "tree of control groups",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("namespaces")
    for kind, what in _KINDS.items():
        group.add_argument(f"--{kind}", metavar="private|host", help=f"the host's {what}, or its own (default)")


def applied(container: Container, args: argparse.Namespace) -> Container:
    """*container* with what the options say. Raises `UserError` that names the option."""
    return replace(
        container,
        pid_namespace=_mode("pid", args),
        ipc_namespace=_mode("ipc", args),
        uts_namespace=_mode("uts", args),
        cgroup_namespace=_mode("cgroupns", args),
    )


def _mode(kind: str, args: argparse.Namespace) -> NamespaceMode:
    text = getattr(args, kind)
    if text in (None, "private"):
        return NamespaceMode.OWN
    if text != "host":
        raise UserError(f"--{kind}: {values.short(text)}: it is the container's own, or the host's; write host")
    return NamespaceMode.HOST
