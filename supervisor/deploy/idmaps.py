"""Which users of the host the containers and pods of one apply get as theirs. Writes nothing.

Decided here, once, and recorded: what one was given it keeps until it is removed or asks for something else. Numbers
are anybody's only if nobody else can have them: not another container (what it asks for by number, and until it is
restarted what it had), not a user or group of the host, not one of /etc/subuid and /etc/subgid, not systemd-nspawn's.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from supervisor.definitions import idmap_text
from supervisor.deploy.state import Deployed
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import oci, userns
from supervisor.render.users import Accounts, User
from supervisor.spec.container import Container
from supervisor.spec.image import Image
from supervisor.spec.userns import AUTO_SIZE, IdMaps, IdRange, UserNamespace, UserNamespaceMode

#: Whose ranges in /etc/subuid and /etc/subgid are ours, when it has some in both. Not podman's "containers": podman
#: gives from those without asking us.
OWNER = "ctr"

#: Otherwise: the upper part of what systemd reserves for containers (systemd.io/UIDS-GIDS, 524288 to 1879048191), which
#: useradd(8) never hands out (login.defs(5), SUB_UID_MAX is 600100000). Starts are multiples of 65536, as it asks.
AREA = (0x40000000, 0x70000000)
_STEP = 65536

#: Every number but the last, which stands for none: what /proc/1/uid_map has.
IDENTITY = IdMaps((IdRange(0, 0, 2**32 - 1),), (IdRange(0, 0, 2**32 - 1),))

#: First number and the one after the last.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class HostNumbers:
    """Whom the host's numbers belong to: the texts of its files, and the ranges of systemd-nspawn's containers."""

    passwd: str = ""
    group: str = ""
    subuid: str = ""
    subgid: str = ""
    machines: tuple[int, ...] = ()
    """Each the first of 65536."""
    running: tuple[Span, ...] = ()
    """What namespaces of ours are made with now, whatever the records say."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a container or pod asked for, and got."""

    wish: UserNamespace | None
    maps: IdMaps | None


def host_numbers(layout: Layout) -> HostNumbers:
    """Those of this host; a missing file has none."""

    def text(path: str) -> str:
        try:
            with open(layout.root + path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    try:
        machines = os.listdir(f"{layout.root}/run/systemd/nspawn-uid")
    except FileNotFoundError:
        machines = []
    return HostNumbers(
        text("/etc/passwd"),
        text("/etc/group"),
        text("/etc/subuid"),
        text("/etc/subgid"),
        tuple(sorted(int(name) for name in machines if _is_number(name))),
        tuple(_running(layout)),
    )


def is_somebodys(number: int) -> bool:
    """Whether the host's name services know *number* (nsswitch.conf(5)), as a user or a group."""
    for lookup in (pwd.getpwuid, grp.getgrgid):
        with suppress(KeyError):
            return bool(lookup(number))
    return False


def least_size(user: User, accounts: Accounts) -> int:
    """How many users a container needs that runs as *user* from a root with *accounts* (as podman estimates it)."""
    numbers = [user.uid, user.gid, *user.groups]
    for text, nobody in ((accounts.passwd, "nobody"), (accounts.group, "nogroup")):
        for row in (line.split(":") for line in text.splitlines()):
            if len(row) > 2 and row[0] != nobody and _is_number(row[2]) and len(row[2]) <= 10:
                numbers.append(int(row[2]))
    return max(AUTO_SIZE, max(numbers) + 1)


class Allotment:
    """Hands out numbers among the containers and pods of one host."""

    def __init__(
        self,
        before: Mapping[str, Given],
        host: HostNumbers,
        wishes: Mapping[str, UserNamespace | None] | None = None,
        is_somebodys: Callable[[int], bool] = lambda number: False,
    ) -> None:
        """*before*: what those have that stay, or are deployed anew. *wishes*: of all that are deployed (anew).
        *is_somebodys*: whether a number is, which the files of the host need not tell."""
        self._given = dict(before)
        self._left: list[IdMaps] = []
        self._host = host
        self._wishes = wishes or {}
        self._is_somebodys = is_somebodys
        self._areas = tuple(tuple(_ranges_of(OWNER, text)) for text in (host.subuid, host.subgid))
        self._asked: list[Span] = []
        for wish in self._wishes.values():
            with suppress(UserError):  # told when it is its turn
                self._asked += _spans(self._by_number(wish) if wish else None)

    def maps(self, name: str, wish: UserNamespace | None, least: int) -> IdMaps | None:
        """The mapping of *name*, which needs *least* users if its author says no number; None without *wish*.

        Raises `UserError`: there is no range of that size left, or the mapping is none.
        """
        before = self._given.pop(name, None)
        if before and before.maps:
            # It may still run with those, until it is restarted.
            self._left.append(before.maps)
        if wish is None:
            return None
        try:
            maps = self._maps(wish, before, wish.size or least)
        except UserError as error:
            error.asked_by(userns.KEYS)
            raise
        self._given[name] = Given(wish, maps)
        return maps

    def of_container(self, container: Container, image: Image | None, accounts: Accounts) -> IdMaps | None:
        """`maps` of *container*, which is in no pod."""
        wish = container.user_namespace
        user = oci.user(container, image, accounts) if wish else None
        return self.maps(container.name, wish, least_size(user, accounts) if user else 0)

    def _maps(self, wish: UserNamespace, before: Given | None, size: int) -> IdMaps:
        if wish.mode is UserNamespaceMode.KEEP_ID:
            return IDENTITY
        asked = self._by_number(wish)
        self._check(asked)
        if wish.mode is UserNamespaceMode.MAPPED:
            return asked
        if before and before.maps and before.wish == wish and _covers(before.maps, size):
            return before.maps
        return self._auto(wish, size)

    def _by_number(self, wish: UserNamespace) -> IdMaps:
        """What of *wish* says the host's numbers itself."""
        if wish.mode is not UserNamespaceMode.MAPPED:
            return IdMaps(wish.uids, wish.gids)
        if OWNER in (wish.sub_uid, wish.sub_gid) and all(self._areas):
            text = f"the ranges of {OWNER} in /etc/subuid and /etc/subgid are what UserNS=auto takes from"
            raise UserError(f"user namespace: {text}; name another")
        return IdMaps(
            _mapped(wish.sub_uid, "/etc/subuid", self._host.subuid, wish.uids),
            _mapped(wish.sub_gid, "/etc/subgid", self._host.subgid, wish.gids),
        )

    def _check(self, asked: IdMaps) -> None:
        """Raises `UserError` when somebody was given one of those, and does not give them up now."""
        for name, given in self._given.items():
            if self._wishes.get(name, given.wish) != given.wish:
                continue
            drawn = _drawn(given)
            for kind, ours, theirs in (("users", asked.uids, drawn.uids), ("groups", asked.gids, drawn.gids)):
                for start, end in _ranges(ours):
                    if any(start < until and first < end for first, until in _ranges(theirs)):
                        text = f"{kind} {start} to {end - 1} of the host are, or are in part, what '{name}' was given"
                        raise UserError(f"user namespace: {text} for its UserNS=auto; map others")

    def _auto(self, wish: UserNamespace, size: int) -> IdMaps:
        areas = self._areas
        own = all(areas)
        busy = [*self._busy(own), *_ranges((*wish.uids, *wish.gids))]
        found = []
        for kind, area, extra in (("users", areas[0], wish.uids), ("groups", areas[1], wish.gids)):
            while True:
                start = free(area if own else [AREA], busy, size, 1 if own else _STEP)
                if start is None or not self._is_somebodys(start):
                    break
                busy.append((start, start + 1))
            if start is None:
                where = f"{AREA[0]} to {AREA[1] - 1}"
                where = f"the ranges of {OWNER} in /etc/subuid and /etc/subgid" if own else where
                raise UserError(
                    f"user namespace: no {size} consecutive {kind} are left in {where}; "
                    "remove containers that have some, or ask for fewer with UserNS=auto:size="
                )
            found.append(laid(extra, start, size))
        return IdMaps(*found)

    def _busy(self, own: bool) -> Iterator[Span]:
        """What is somebody's, as a user or as a group: the same numbers for both are easier to read. *own*: the ranges
        of `OWNER` are not meant."""
        for maps in (*(given.maps for given in self._given.values()), *self._left):
            yield from _spans(maps)
        yield from self._asked
        yield from self._host.running
        for text in (self._host.passwd, self._host.group):
            yield from _numbers(text)
        for text in (self._host.subuid, self._host.subgid):
            yield from (span for name, span in _rows(text) if not (own and name == OWNER))
        yield from ((first, first + _STEP) for first in self._host.machines)


def of_deployed(staying: Iterable[Deployed], wanted: Iterable[Container], layout: Layout) -> Allotment:
    """What there is to hand out to *wanted* beside what *staying* have."""
    before = {d.name: Given(d.container.user_namespace, d.record.id_maps) for d in staying if not d.container.pod}
    wishes = {container.name: container.user_namespace for container in wanted if not container.pod}
    return Allotment(before, host_numbers(layout), wishes, is_somebodys)


def free(areas: Iterable[Span], busy: Iterable[Span], size: int, step: int) -> int | None:
    """The first multiple of *step* in one of *areas* from which *size* numbers are nobody's of *busy*."""
    spans = sorted(busy)
    for start, end in sorted(areas):
        at = -(-start // step) * step
        for first, after in spans:
            if first < at + size and at < after:
                at = -(-after // step) * step
        if at + size <= end:
            return at
    return None


def laid(extra: tuple[IdRange, ...], start: int, size: int) -> tuple[IdRange, ...]:
    """*extra*, and where it says nothing *size* numbers from *start* on. Raises `UserError` when they clash."""
    parts, at = list(extra), 0
    for one in (*sorted(extra, key=lambda r: r.container), IdRange(size, 0, 0)):
        if (until := min(one.container, size)) > at:
            parts.append(IdRange(at, start + at, until - at))
        at = max(at, one.container + one.length)
    return idmap_text.checked(parts)


def _mapped(name: str, path: str, text: str, ranges: tuple[IdRange, ...]) -> tuple[IdRange, ...]:
    """The ranges of *name* one after the other from 0 on (containers/storage, NewIDMappings), and *ranges*."""
    parts, at = list(ranges), 0
    for start, end in _ranges_of(name, text) if name else ():
        parts.append(IdRange(at, start, end - start))
        at += end - start
    if name and not at:
        text = f"user namespace: {path} has no range of '{name}'; add one with usermod(8), or name another"
        raise UserError(text).asked_by("SubUIDMap" if path == "/etc/subuid" else "SubGIDMap", name)
    return idmap_text.checked(parts)


def _covers(maps: IdMaps, size: int) -> bool:
    """Whether *maps* have every number from 0 to *size* - 1."""
    for ranges in (maps.uids, maps.gids):
        at = 0
        for one in sorted(ranges, key=lambda r: r.container):
            at = max(at, one.container + one.length) if one.container <= at else at
        if at < size:
            return False
    return True


def _drawn(given: Given) -> IdMaps:
    """What of *given* was chosen for it."""
    wish, maps = given.wish, given.maps
    if not wish or not maps or wish.mode is not UserNamespaceMode.AUTO:
        return IdMaps((), ())

    def others(ranges: tuple[IdRange, ...], asked: tuple[IdRange, ...]) -> tuple[IdRange, ...]:
        return tuple(r for r in ranges if not any(a.container <= r.container < a.container + a.length for a in asked))

    return IdMaps(others(maps.uids, wish.uids), others(maps.gids, wish.gids))


def _ranges(ranges: Iterable[IdRange]) -> Iterator[Span]:
    """On the host. All of it is nobody's own, but what the administrator means to share."""
    return ((one.host, one.host + one.length) for one in ranges if one not in IDENTITY.uids)


def _spans(maps: IdMaps | None) -> Iterator[Span]:
    return _ranges((*maps.uids, *maps.gids)) if maps else iter(())


def _running(layout: Layout) -> Iterator[Span]:
    """What the documents say that namespaces were made from (`supervisor.network.document`), of any version."""
    directory = layout.networking("")
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        with suppress(FileNotFoundError, NotADirectoryError):  # gone meanwhile
            with open(f"{directory}/{name}/document", encoding="utf-8", errors="replace") as file:
                lines = [line.partition("=") for line in file.read().splitlines()]
            for fields in (value.split("\t") for key, _, value in lines if key in ("user-map", "group-map")):
                if len(fields) == 3 and all(map(_is_number, fields)):
                    yield from _ranges((IdRange(*map(int, fields)),))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _rows(text: str) -> Iterator[tuple[str, Span]]:
    """Names and ranges of subuid(5)."""
    for line in text.splitlines():
        name, _, numbers = line.strip().partition(":")
        first, _, length = numbers.partition(":")
        if name and not name.startswith("#") and _is_number(first) and _is_number(length):
            yield name, (int(first), int(first) + int(length))


def _ranges_of(name: str, text: str) -> Iterator[Span]:
    return (span for owner, span in _rows(text) if owner == name and span[1] > span[0])


def _numbers(text: str) -> Iterator[Span]:
    """Those of passwd(5) or group(5)."""
    for row in (line.split(":") for line in text.splitlines()):
        if len(row) > 2 and _is_number(row[2]):
            yield int(row[2]), int(row[2]) + 1
