"""What observing costs: the supervisor with a thousand idle containers, and how soon the end of one is known.

docker and podman stand beside it where they have the same thing: an event stream. Theirs runs with a hundred
containers, since a thousand take docker's shims several gigabytes.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from measure import BenchError, Limit, Row, run, timed
from peers import Docker, Peer, Workload, kill
from session import Session, say

CONTAINERS, PEERS_CONTAINERS = 1000, 100
EXITS = 200
IDLE_SECONDS = 30
UNIT = "ctr-supervisor.service"
#: Between two kills: the one before has been told, restarted nothing, and left the machine quiet.
_PAUSE_SECONDS = 0.05
_PATIENCE = 10.0
_BATCH = 100


def measure(session: Session) -> list[Row]:
    columns = session.only("ctr", "podman", "docker")
    rows = []
    latencies: dict[str, list[float]] = {}
    for column, peer in columns.items():
        count = CONTAINERS if column == "ctr" else PEERS_CONTAINERS
        say(f"{column}: {count} idle containers")
        names = [f"bench-{number}" for number in range(count)]
        with _running(peer, names):
            if column == "ctr":
                rows += _supervisor(session)
            latencies[column] = _latencies(column, peer, names[: min(EXITS, count)])
    p50 = {column: [statistics.median(values)] for column, values in latencies.items()}
    p99 = {column: [_percentile(values, 0.99)] for column, values in latencies.items()}
    note = f"SIGKILL of the main process until the event is read; {CONTAINERS} run, of the peers {PEERS_CONTAINERS}"
    return [
        *rows,
        Row("exit until its event, median", "s", p50),
        Row("exit until its event, 99th percentile", "s", p99, (Limit(0.020),), (note,)),
    ]


def _supervisor(session: Session) -> list[Row]:
    """Memory, idle CPU, rebuild and listing, of ctr alone."""
    rebuilds = []
    for _ in range(session.few()):
        before = _pid()
        kill(before)
        started = time.monotonic()
        while _pid() in (0, before) or run(["systemctl", "is-active", UNIT], check=False).strip() != "active":
            if time.monotonic() > started + _PATIENCE:
                raise BenchError(f"{UNIT}: not back {_PATIENCE:g} s after SIGKILL")
            time.sleep(0.005)
        rebuilds.append(time.monotonic() - started)
    time.sleep(10)  # what came of being killed is over
    cpu = _cpu()
    time.sleep(IDLE_SECONDS)
    idle = (_cpu() - cpu) / IDLE_SECONDS
    rollup = Path(f"/proc/{_pid()}/smaps_rollup").read_text()
    sizes = {words[0]: int(words[1]) / 1e3 for line in rollup.splitlines()[1:] if (words := line.split())}
    listing = [timed(["ctrctl", "ps"]) for _ in range(session.count)]
    resident = f"anonymous {sizes['Anonymous:']:.0f} MB, PSS {sizes['Pss:']:.0f} MB; the rest is mapped files"
    return [
        Row(f"supervisor, {CONTAINERS} idle: memory", "MB", {"ctr": [sizes["Rss:"]]}, (Limit(80),), (resident,)),
        Row("supervisor: idle CPU, of one processor", "%", {"ctr": [idle * 100]}, (Limit(1.0),)),
        Row("supervisor: SIGKILL until rebuilt", "s", {"ctr": rebuilds}, (Limit(2.0),), ("RestartSec=500ms is in it",)),
        Row(f"ps, {CONTAINERS} containers", "s", {"ctr": listing}),
    ]


@contextmanager
def _running(peer: Peer, names: Sequence[str]) -> Iterator[None]:
    peer.define(names, Workload())
    for start in range(0, len(names), _BATCH):
        timed(peer.start_all(names[start : start + _BATCH], 4))
    try:
        yield
    finally:
        for start in range(0, len(names), _BATCH):
            peer.remove(names[start : start + _BATCH])


def _latencies(column: str, peer: Peer, names: Sequence[str]) -> list[float]:
    """Seconds from each kill to the event of it."""
    pids = {name: peer.main_pid(name) for name in names}
    found = []
    with subprocess.Popen(_stream(column, peer), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as stream:
        try:
            assert stream.stdout
            time.sleep(2)  # until it listens
            os.set_blocking(stream.stdout.fileno(), False)
            for name in names:
                _drain(stream.stdout.fileno())
                killed = time.monotonic()
                kill(pids[name])
                found.append(_told(stream.stdout.fileno(), name, killed) - killed)
                time.sleep(_PAUSE_SECONDS)
        finally:
            stream.kill()
    return found


def _stream(column: str, peer: Peer) -> list[str]:
    if column == "ctr":
        match = "type='signal',interface='io.ctr.Supervisor1',member='Event',arg0='exited'"
        return ["busctl", "--json=short", f"--match={match}", "monitor"]
    command = peer.command() if isinstance(peer, Docker) else ["podman"]
    event, form = ("die", "{{.Actor.Attributes.name}}") if isinstance(peer, Docker) else ("died", "{{.Name}}")
    return [*command, "events", "--filter", f"event={event}", "--format", form]


def _told(stream: int, name: str, killed: float) -> float:
    seen = b""
    while time.monotonic() < killed + _PATIENCE:
        if select.select([stream], [], [], 0.1)[0]:
            seen += os.read(stream, 65536)
            now = time.monotonic()
            if f'"{name}"'.encode() in seen or f"{name}\n".encode() in seen:
                return now
    raise BenchError(f"{name}: killed, and no event in {_PATIENCE:g} s")


def _drain(stream: int) -> None:
    while select.select([stream], [], [], 0)[0] and os.read(stream, 65536):
        continue


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _pid() -> int:
    return int(run(["systemctl", "show", "-P", "MainPID", UNIT]))


def _cpu() -> float:
    """CPU seconds of the supervisor's main process so far (proc_pid_stat(5), utime and stime)."""
    words = Path(f"/proc/{_pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
