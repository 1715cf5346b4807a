"""One line as one entry of the native journal protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). Pure.

All fields but three are the same for every line of a stream: they are encoded once (`constant`). MESSAGE always
takes the protocol's length-prefixed form, which carries any bytes, so a line is never inspected for what it holds.

From uid 0, OBJECT_SYSTEMD_UNIT makes ``journalctl -u`` and ``systemctl status`` show the entry with the container's
unit (systemd.journal-fields(7)), and OBJECT_SYSTEMD_INVOCATION_ID ``journalctl --invocation`` (systemd >= 257).
The fields of a split line are docker's: CONTAINER_PARTIAL_MESSAGE=true on all parts but the last,
CONTAINER_PARTIAL_ORDINAL from 1, CONTAINER_PARTIAL_LAST.
"""

from __future__ import annotations

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.logs.source import Source

#: syslog levels (syslog(3)): informational for stdout, error for stderr.
_PRIORITY = {"stdout": 6, "stderr": 3}

#: What precedes the message's length, by priority.
_MESSAGE = tuple(b"PRIORITY=%d\nMESSAGE\n" % level for level in range(8))


def priority(source: Source) -> int:
    """The syslog level of a line that names none itself."""
    return _PRIORITY[source.stream]


def constant(source: Source) -> bytes:
    """The fields that every entry of *source* carries."""
    fields = (
        ("SYSLOG_IDENTIFIER", source.identifier),
        ("CONTAINER_NAME", source.name),
        ("CONTAINER_ID", source.invocation),
        *((("CTR_PROJECT", source.project),) if source.project else ()),
        ("CTR_STREAM", source.stream),
        ("OBJECT_SYSTEMD_UNIT", source.unit),
        ("OBJECT_SYSTEMD_INVOCATION_ID", source.invocation),
    )
    return "".join(f"{key}={value}\n" for key, value in fields).encode()


def encode(constant: bytes, priority: int, text: bytes, part: int = 0, more: bool = False) -> bytes:
    """The datagram for one piece of output, as `supervisor.logs.framing` yields it.

    A leading ``<N>``, N from 0 to 7, sets the level and is taken off, as systemd does for its services
    (SyslogLevelPrefix= in systemd.exec(5), sd-daemon(3)); the later parts of a split line have *priority*.
    """
    if part:
        constant += _partial(part, more)
    if text[:1] == b"<" and part <= 1 and text[2:3] == b">" and 0x30 <= text[1] <= 0x37:
        priority = text[1] - 0x30
        text = text[3:]
    return b"".join((constant, _MESSAGE[priority], pack("<Q", len(text)), text, b"\n"))


def _partial(part: int, more: bool) -> bytes:
    if more:
        return b"CONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_PARTIAL_ORDINAL=%d\nCONTAINER_PARTIAL_LAST=false\n" % part
    return b"CONTAINER_PARTIAL_ORDINAL=%d\nCONTAINER_PARTIAL_LAST=true\n" % part
