"""Memory that containers cost beyond their own processes: what the programs around them hold.

PSS (proc(5), smaps_rollup) of every process that is not in a container, with containers running minus without, per
container. PID 1 and journald count for everyone, so that what ctr leaves to systemd is not hidden.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from measure import Limit, Row
from peers import Workload
from session import Session, say

CONTAINERS = 100
READINGS = 4
#: The container's own process; everything else counts.
_OWN = "sleep"


@dataclass(frozen=True, slots=True)
class Around:
    """What the processes around the containers hold, in bytes."""

    processes: int
    pss: int
    rss: int


def measure(session: Session) -> list[Row]:
    say(f"memory around {CONTAINERS} containers")
    pss: dict[str, list[float]] = {}
    rss: dict[str, list[float]] = {}
    processes: dict[str, list[float]] = {}
    names = [f"bench-{number}" for number in range(CONTAINERS)]
    for column, peer in session.only("ctr", "podman", "docker").items():
        # Once before, so that what a program allocates once and for all is not charged to its containers.
        with session.running(peer, names, Workload()):
            pass
        before = _settled()
        with session.running(peer, names, Workload()):
            after = _settled()
        pss[column] = [max(0.0, (after.pss - before.pss) / CONTAINERS / 1e6)]
        rss[column] = [max(0.0, (after.rss - before.rss) / CONTAINERS / 1e6)]
        processes[column] = [max(0.0, (after.processes - before.processes) / CONTAINERS)]
    note = f"with {CONTAINERS} containers; shared pages divided among those who share them"
    return [
        Row("memory per container beyond its own, PSS", "MB", pss, (Limit(0.1),), (note,)),
        Row("memory per container beyond its own, RSS", "MB", rss),
        Row("processes per container beyond its own", "processes", processes, (Limit(0.1),)),
    ]


def _settled() -> Around:
    """The smallest of a few readings: the host's own short-lived programs come and go."""
    readings = [_around()]
    while len(readings) < READINGS:
        time.sleep(1)
        readings.append(_around())
    return min(readings, key=lambda around: around.rss)


def _around() -> Around:
    """All processes but the containers' own and kernel threads."""
    count = pss = rss = 0
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            if (directory / "comm").read_text().strip() == _OWN:
                continue
            rollup = (directory / "smaps_rollup").read_text()
        except (OSError, UnicodeDecodeError):
            continue  # gone, or a kernel thread
        sizes = {words[0]: int(words[1]) * 1024 for line in rollup.splitlines()[1:] if (words := line.split())}
        count, pss, rss = count + 1, pss + sizes["Pss:"], rss + sizes["Rss:"]
    return Around(count, pss, rss)
