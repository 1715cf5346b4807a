"""Which of a container's sd_notify(3) assignments systemd may see. Pure.

Root in a container is not root of this host: MAINPID= would make any process the unit's main one, FDSTORE= would keep
descriptors of its choice, and a terminal escape in STATUS= would reach whoever types ``systemctl status``. So what is
not known to be harmless is dropped.
"""

from __future__ import annotations

#: What systemd reads of a message (NOTIFY_BUFFER_MAX).
LONGEST = 4096

_FLAGS = frozenset(("READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"))
#: The lowest and the highest value. systemd warns of each number that it cannot read, and its log is the host's.
_NUMBERS = {"ERRNO": (1, 4095), "EXTEND_TIMEOUT_USEC": (0, 2**63 - 1)}
_DIGITS = frozenset("0123456789")
_MOST_DIGITS = 19


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
        if line in _FLAGS or (key in _NUMBERS and _is_number(value, *_NUMBERS[key])):
            lines.append(line)
        elif key == "STATUS":
            lines.append("STATUS=" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value))
    return "\n".join(lines)


def _is_number(text: str, lowest: int, highest: int) -> bool:
    """Whether *text* is a decimal number in that range. With a zero before it systemd would read it as octal."""
    if not text or len(text) > _MOST_DIGITS or not _DIGITS.issuperset(text) or (text[0] == "0" and text != "0"):
        return False
    return lowest <= int(text) <= highest


def has_barrier(message: bytes) -> bool:
    """Whether its sender waits until everything sent before has been processed (sd_notify_barrier(3))."""
    return b"BARRIER=1" in message.split(b"\n")
