"""A container's own /etc/passwd and /etc/group, where its root's do not know the number it runs as. Pure.

Programs that ask for their user's name or home (getpwuid(3): postgres, git, ssh, java) fail without a line. podman adds
one too: in the container's layer, or in copies that it mounts read-only where the root is read-only. Here it is always
read-only copies; whoever runs as a mere number hardly ever may write these files.
"""

from __future__ import annotations

import posixpath

from supervisor.render.users import Accounts, User, is_id, knows_group, knows_user
from supervisor.spec.container import Container

_ETC = "/etc"


def completed(container: Container, wanted: str, user: User, accounts: Accounts, working_directory: str) -> Accounts:
    """The texts of the files that get a line, because *user*, who was *wanted* as 'USER[:GROUP]', has none in the
    root's *accounts*; '' for one that stays as it is. That is also one that the root does not have, or that the
    author mounts over."""
    mounted = {posixpath.normpath(mount.target) for mount in container.mounts}
    if not wanted or _ETC in mounted:
        return Accounts()
    name = wanted.partition(":")[0]
    passwd = group = ""
    if is_id(name) and not knows_user(accounts, user.uid) and f"{_ETC}/passwd" not in mounted:
        line = f"{user.uid}:*:{user.uid}:{user.gid}:container user:{home(working_directory)}:/bin/sh\n"
        passwd = _with(accounts.passwd, line)
    if not knows_group(accounts, user.gid) and f"{_ETC}/group" not in mounted:
        group = _with(accounts.group, f"{user.gid}:x:{user.gid}:{name}\n")
    return Accounts(passwd, group)


def home(working_directory: str) -> str:
    """The home of a user who gets a line: where the process starts, if that fits into one (passwd(5))."""
    return "/" if set(working_directory) & set(":\n") else working_directory


def names(changed: Accounts) -> tuple[str, ...]:
    """Which files of /etc have a text in *changed*."""
    return tuple(name for name, text in (("passwd", changed.passwd), ("group", changed.group)) if text)


def _with(text: str, line: str) -> str:
    """An empty text is a file that is not there, and stays away."""
    return text + ("" if text.endswith("\n") else "\n") + line if text else ""
