"""How soon a container may be acted on again because it is unhealthy (restart, kill, stop). Pure.

systemd has no answer to a container that is unhealthy after every restart. Start jobs count against its start limit (5
in 10 s), whoever asks for them: a quick check leaves the container failed and down for good, and one that is slower is
restarted for ever at its own pace. Neither is what ``HealthOnFailure=restart`` says. So the first action comes at once,
and each further one `SHORTEST` seconds after the last, doubled each time, up to `LONGEST`. At that pace the start limit
is not reached, though a restart by ``Restart=`` may count twice.

A plain class for the reason given in `supervisor.health.plan`.
"""

from __future__ import annotations

#: Seconds.
SHORTEST, LONGEST = 5.0, 300.0
#: After so many seconds without, the next action is a first one again.
FORGOTTEN = 2 * LONGEST


class Acted:
    """What was done to a container on account of its health: *count* actions in a row, the last one at *last* (seconds
    since the epoch: it has to survive the run, and may survive the boot)."""

    __slots__ = ("count", "last")

    def __init__(self, count: int = 0, last: float = 0.0) -> None:
        self.count = count
        self.last = last


def left(acted: Acted, now: float) -> float:
    """Seconds until it may be acted on; 0 for now."""
    passed = now - acted.last
    if acted.count == 0 or not 0 <= passed < FORGOTTEN:  # a clock that was set back tells nothing
        return 0.0
    return max(0.0, min(LONGEST, SHORTEST * 2.0 ** min(acted.count - 1, 16)) - passed)


def after(acted: Acted, now: float) -> Acted:
    """*acted* with one more action, at *now*."""
    return Acted(acted.count + 1 if 0 <= now - acted.last < FORGOTTEN else 1, now)


def dumps(acted: Acted) -> str:
    """*acted* as text."""
    return f"{acted.count} {acted.last!r}\n"


def loads(text: str) -> Acted:
    """Inverse of `dumps`; a text that is none of ours says that nothing was done."""
    try:
        count, last = text.split()
        return Acted(int(count), float(last))
    except ValueError:
        return Acted()
