"""Who a container runs as: ``USER[:GROUP]`` resolved against its own /etc/passwd and /etc/group texts.

The rules are those docker and podman share (moby/sys/user GetExecUser): the first line that matches by name or by
number counts; a number needs no line, a name does; supplementary groups are looked up only when no group was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from supervisor.errors import UserError

_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Accounts:
    """The account files of one root file system; empty texts when it has none."""

    passwd: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A resolved process owner."""

    uid: int
    gid: int
    home: str
    groups: tuple[int, ...]
    """Supplementary group ids, ascending."""


def resolve(spec: str, extra_groups: tuple[str, ...], accounts: Accounts, origin: str) -> User:
    """The owner that *spec* ('', 'USER', 'UID', 'USER:GROUP' …) means; *extra_groups* are names or numbers.

    Raises `UserError` naming the user or group and *origin* (an image or a directory) when it is not there.
    """
    wanted_user, _, wanted_group = spec.partition(":")
    uid, gid, name, home = _user(wanted_user or "0", accounts, origin)
    groups = set[int]()
    if wanted_group:
        gid = _group(wanted_group, accounts, origin)
    elif name:
        groups = {int(g[2]) for g in _rows(accounts.group, 4) if is_id(g[2]) and name in g[3].split(",")}
    groups |= {_group(group, accounts, origin) for group in extra_groups}
    if spec:
        # Without its primary group among the supplementary ones a process could shed it and so get past a mode that
        # denies exactly this group (CVE-2022-2989).
        groups.add(gid)
    return User(uid, gid, home, tuple(sorted(groups)))


def _user(wanted: str, accounts: Accounts, origin: str) -> tuple[int, int, str, str]:
    for row in _rows(accounts.passwd, 6):
        if wanted in (row[0], row[2]) and is_id(row[2]) and is_id(row[3]):
            return int(row[2]), int(row[3]), row[0], row[5] or "/"
    if is_id(wanted):
        return int(wanted), 0, "", "/root" if wanted == "0" else "/"
    text = f"user '{wanted}': not in /etc/passwd of {origin}; use one that is there, or a number"
    raise UserError(text).asked_by("User", wanted)


def _group(wanted: str, accounts: Accounts, origin: str) -> int:
    for row in _rows(accounts.group, 3):
        if wanted in (row[0], row[2]) and is_id(row[2]):
            return int(row[2])
    if is_id(wanted):
        return int(wanted)
    text = f"group '{wanted}': not in /etc/group of {origin}; use one that is there, or a number"
    raise UserError(text).asked_by("Group GroupAdd User", wanted)


def knows_user(accounts: Accounts, uid: int) -> bool:
    """Whether a line has this number."""
    return any(row[2] == str(uid) for row in _rows(accounts.passwd, 6))


def knows_group(accounts: Accounts, gid: int) -> bool:
    """Whether a line has this number."""
    return any(row[2] == str(gid) for row in _rows(accounts.group, 3))


def is_id(text: str) -> bool:
    """Whether *text* is the number of a user or group."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_ID


def _rows(text: str, fields: int) -> Iterator[list[str]]:
    """The lines of an account file with at least *fields* fields; comments and broken lines match nobody."""
    for line in text.split("\n"):
        row = line.strip().split(":")
        if len(row) >= fields and not line.startswith("#"):
            yield row
