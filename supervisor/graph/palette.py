"""The colours of every picture, and its words made safe: one set for graphs and timelines, readable on the background
that they bring along. Pure."""

from __future__ import annotations

from typing import NamedTuple

from supervisor.graph.model import State


class Paint(NamedTuple):
    """How a node in one state is drawn: '#rrggbb' for its area, its border and its words."""

    fill: str
    line: str
    text: str


BACKGROUND = "#ffffff"
INK = "#1f2733"
MUTED = "#677384"
FAINT = "#c5ccd6"
GROUP = "#f6f8fa"
GROUP_LINE = "#dbe1e8"
ALARM = "#cf3434"

STATES: dict[State, Paint] = {
    State.HEALTHY: Paint("#dcf5e5", "#2b9a57", "#17693a"),
    State.RUNNING: Paint("#eefaf2", "#6cc08c", "#2c7a4b"),
    State.DONE: Paint("#eef1f5", "#94a1b2", "#566173"),
    State.STARTING: Paint("#e2eefd", "#2f7de1", "#1a57a8"),
    State.WAITING: Paint("#f5f8fd", "#8cb2e6", "#3f6ca8"),
    State.RESTARTING: Paint("#fff2d6", "#e0991a", "#8d5c05"),
    State.PAUSED: Paint("#efe8fb", "#8f5fd0", "#62399c"),
    State.UNHEALTHY: Paint("#fde8d7", "#e06c16", "#9c4506"),
    State.STOPPING: Paint("#f5f0e5", "#b59a5f", "#77602b"),
    State.FAILED: Paint("#fde3e3", ALARM, "#9d1c1c"),
    State.STOPPED: Paint("#f5f6f7", "#b7bdc6", "#7a838f"),
    State.MISSING: Paint("#ffffff", ALARM, "#9d1c1c"),
}
#: Drawn with a dashed border: there is nothing yet, or at all.
DASHED = frozenset((State.WAITING, State.MISSING))


def shortened(text: str, width: int) -> str:
    """*text* in at most *width* characters, cut in the middle: both ends of an image's name matter."""
    if len(text) <= width:
        return text
    kept = width - 1
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def xml(text: str) -> str:
    """*text* for XML and for HTML-like labels; characters that XML 1.0 cannot hold become U+FFFD."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return "".join(c if _is_xml(c) else "\ufffd" for c in escaped)


def _is_xml(c: str) -> bool:
    return (c.isprintable() or c == "\u00a0") and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"
