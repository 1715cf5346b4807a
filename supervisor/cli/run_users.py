"""Options of ``ctrctl run`` and ``create`` about a user namespace, as podman-run(1) has them. Pure.

How values read, and what contradicts what, is `supervisor.definitions`' to say.
"""

from __future__ import annotations

import argparse

from supervisor.cli import option
from supervisor.definitions import userns
from supervisor.spec.userns import UserNamespace


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("users")
    group.add_argument("--userns", metavar="MODE", help="auto[:size=…], keep-id[:uid=…,gid=…] or host")
    group.add_argument("--uidmap", action="append", metavar="CONTAINER:HOST:LENGTH", help="users it has on the host")
    group.add_argument("--gidmap", action="append", metavar="CONTAINER:HOST:LENGTH", help="groups it has on the host")
    group.add_argument("--subuidname", metavar="NAME", help="users of the host: those of NAME in /etc/subuid")
    group.add_argument("--subgidname", metavar="NAME", help="groups of the host: those of NAME in /etc/subgid")


def namespace(args: argparse.Namespace) -> UserNamespace | None:
    """What the options say; None: the host's users. Raises `UserError` that names the option."""
    wish = userns.Wish(
        args.userns or "",
        tuple(args.uidmap or ()),
        tuple(args.gidmap or ()),
        args.subuidname or "",
        args.subgidname or "",
    )
    given = [flag for flag in ("userns", "uidmap", "gidmap", "subuidname", "subgidname") if getattr(args, flag)]
    if not given:
        return None
    with option.named(f"--{given[0]}"):
        return userns.compiled(wish)
