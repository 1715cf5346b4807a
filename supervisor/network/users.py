"""Make user namespaces that nobody is in, as files to join (user_namespaces(7)).

Like `supervisor.network.namespace`: a name is a bind mount, and `namespace.delete` removes it.
"""

from __future__ import annotations

import ctypes
import os

from supervisor.errors import HostError
from supervisor.network import namespace
from supervisor.spec import mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CLONE_NEWUSER = 0x10000000


def create(path: str, user_map: Iterable[tuple[str, ...]], group_map: Iterable[tuple[str, ...]]) -> None:
    """A new user namespace at *path*. The maps: first number inside, first number outside, how many, as decimal texts.

    Raises `HostError`, among others for a mapping that the kernel does not take.
    """
    namespace.make_file(path)

    def write_maps(child: int) -> None:
        for kind, mapped in (("uid", user_map), ("gid", group_map)):
            text = "".join(f"{' '.join(one)}\n" for one in mapped)
            try:
                # The kernel takes all of it in one write(2), or nothing.
                with open(f"/proc/{child}/{kind}_map", "w", encoding="ascii") as file:
                    file.write(text)
            except OSError as error:
                raise HostError(f"user namespace: {kind} mapping '{text.strip()}': {error.strerror}") from error

    namespace.capture("user", path, _unshare, write_maps)


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) < 0:
        what = os.strerror(ctypes.get_errno())
        raise HostError(f"unshare user namespace: {what}; see /proc/sys/user/max_user_namespaces")


def outside(mapped: Iterable[tuple[str, ...]], number: int) -> int:
    """What *number* inside is outside; -1 when it is not mapped."""
    return mapping.outside(number, ((int(first), int(host), int(length)) for first, host, length in mapped))
