"""What a number of a user or group inside a user namespace is outside (user_namespaces(7)). Pure, and imports nothing
when it runs: starts need it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: A line of /proc/PID/uid_map: first number inside, first number outside, how many.
Range = tuple[int, int, int]


def outside(number: int, mapped: Iterable[Range]) -> int:
    """What *number* inside is outside; -1 when it is not mapped."""
    for first, host, length in mapped:
        if first <= number < first + length:
            return host + number - first
    return -1
