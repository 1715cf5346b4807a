"""Which of a container's sd_notify(3) assignments systemd may see. Pure.

Root in a container is not root of this host: MAINPID= would make any process the unit's main one, FDSTORE= would keep
descriptors of its choice, and a terminal escape in STATUS= would reach whoever types ``systemctl status``. So what is
not known to be harmless is dropped.
"""

from __future__ import annotations

#: What systemd reads of a message (NOTIFY_BUFFER_MAX).
LONGEST = 4096

_FLAGS = frozenset(("READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"))
_NUMBERS = frozenset(("ERRNO", "EXTEND_TIMEOUT_USEC"))
_DIGITS = frozenset("0123456789")
_LONGEST_NUMBER = 20


def allowed(message: bytes) -> str:
    """The assignments in *message* that may pass, one per line; empty when there are none."""
    if len(message) > LONGEST:
        return ""
    lines = []
    for raw in message.split(b"\n"):
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            continue
        key, _, value = line.partition("=")
        is_number = value and len(value) <= _LONGEST_NUMBER and _DIGITS.issuperset(value)
        if line in _FLAGS or (key in _NUMBERS and is_number):
            lines.append(line)
        elif key == "STATUS":
            lines.append("STATUS=" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value))
    return "\n".join(lines)


def has_barrier(message: bytes) -> bool:
    """Whether its sender waits until everything sent before has been processed (sd_notify_barrier(3))."""
    return b"BARRIER=1" in message.split(b"\n")
