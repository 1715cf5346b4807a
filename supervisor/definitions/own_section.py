"""[X-Ctr] of a ``.container``: what ctr knows and podman does not. Pure.

podman and systemd leave sections that begin with X- alone (podman-systemd.unit(5)), so a file that has one still works
there. Here nobody else may use this one: a key that is not known is a mistake.
"""

from __future__ import annotations

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import UserError

SECTION = "X-Ctr"


def idle_timeout(file: UnitFile, lines: Lines, findings: Findings, *, oneshot: bool) -> float:
    """StopWhenIdleSec= in seconds, 0 for never. *lines*: those of the section in *file*, whose mistakes go to
    *findings*."""
    for section in file.sections:
        if section.name != SECTION and section.name.lower() == SECTION.lower():
            findings.refuse_file(section.line, f"[{section.name}] is read by nobody; did you mean [{SECTION}]?")
    seconds = lines.get("StopWhenIdleSec", _idle, 0.0)
    for at in lines.of("StopWhenIdleSec") if oneshot and seconds else ():
        findings.refuse(at, "a container with Type=oneshot ends by itself; remove the line")
    return seconds


def _idle(text: str) -> float:
    if text == "infinity":
        return 0.0
    seconds = values.duration(text)
    if seconds < 1:
        raise UserError(f"{values.short(text)} is too short to tell; write 1s or more, or infinity for never")
    return seconds
