"""User namespaces: which users of the host a container's users are (user_namespaces(7), podman-run(1) ``--userns``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: How many users a container with a range of its own has.
AUTO_SIZE = 65536


class UserNamespaceMode(Enum):
    """Where the mapping comes from."""

    AUTO = "auto"
    """A range of the host's numbers that nobody else has, chosen when the container is deployed and recorded."""
    KEEP_ID = "keep-id"
    """A namespace in which every user is itself: what podman makes of it for root."""
    MAPPED = "mapped"
    """As the definition says."""


@dataclass(frozen=True, slots=True)
class IdRange:
    """*length* consecutive numbers: *container* and on inside are *host* and on outside."""

    container: int
    host: int
    length: int


@dataclass(frozen=True, slots=True)
class IdMaps:
    """A complete mapping, as in /proc/PID/uid_map and gid_map; never empty."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """What the author of a container or pod asked for; `IdMaps` is what it was given."""

    mode: UserNamespaceMode = UserNamespaceMode.AUTO
    size: int = 0
    """AUTO: how many users; 0: as many as the image needs, at least `AUTO_SIZE`."""
    uids: tuple[IdRange, ...] = ()
    """MAPPED: all of it. AUTO: numbers that are mapped so and not from the range."""
    gids: tuple[IdRange, ...] = ()
    """As *uids*; where MAPPED has none, *uids* count for groups too."""
    sub_uid: str = ""
    """MAPPED by the ranges of this name in /etc/subuid."""
    sub_gid: str = ""
    """The same in /etc/subgid; where one of the two names is missing, it is the other."""
    user: str = ""
    """KEEP_ID: who the container runs as unless it says so itself, 'UID:GID'."""
