"""A burst of log lines: how fast a container may write, and whether every line is kept."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from measure import PATIENCE, BenchError, Limit, Row, Sampler, run, timed
from peers import Docker, Peer, Workload
from session import Session, say

LINES = 400_000
NAME = "bench-burst"
RELAY = "ctr-log.service"


def measure(session: Session) -> list[Row]:
    count = session.few()
    say(f"{LINES:,} log lines, {count} times")
    share = session.scratch / "burst"
    share.mkdir(exist_ok=True)
    fifo = share / "done"
    if not fifo.exists():
        os.mkfifo(fifo)
    columns = session.only("ctr", "podman", "docker")
    kept: dict[str, list[float]] = {}
    takes = {column: _taker(peer, fifo, kept.setdefault(column, [])) for column, peer in columns.items()}
    speed = Sampler().rounds(count, takes).samples
    rows = [
        Row("log burst, lines per second", "lines/s", speed, (), ("until the container has written its last line",)),
        Row(f"log burst, lines kept of {LINES:,}", "lines", kept, (Limit(LINES, at_least=True),)),
    ]
    if "ctr" in columns:
        rows.append(_with_kills(columns["ctr"], fifo))
    return rows


def _with_kills(peer: Peer, fifo: Path) -> Row:
    """The same while the relay is killed twice."""
    kept: list[float] = []
    killers = [
        threading.Timer(delay, subprocess.run, [["systemctl", "kill", "--signal=KILL", RELAY]], {"check": False})
        for delay in (0.8, 1.6)
    ]
    for killer in killers:
        killer.start()
    _taker(peer, fifo, kept)()
    for killer in killers:
        killer.join()
    what = "log burst, kept in order, relay killed twice"
    return Row(what, "lines", {"ctr": kept}, (Limit(LINES, at_least=True),))


def _taker(peer: Peer, fifo: Path, kept: list[float]) -> Callable[[], float]:
    script = f"seq {LINES}; echo done >/bench/done"
    workload = Workload(("sh", "-c", script), share=str(fifo.parent))

    def take() -> float:
        since = f"@{time.time():.6f}"
        with open(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as stream:
            peer.define([NAME], workload)
            started = time.monotonic()
            timed(peer.start(NAME))
            if not select.select([stream], [], [], PATIENCE)[0]:
                raise BenchError(f"{peer.name}: the burst is not written within {PATIENCE} s")
            seconds = time.monotonic() - started
            stream.read(4096)
        try:
            kept.append(_kept(peer, since))
        finally:
            peer.remove([NAME])
        return LINES / seconds

    return take


def _kept(peer: Peer, since: str) -> float:
    """How many of the lines 1, 2, 3… are in the peer's log, in this order, once it does not grow any more."""
    command = {
        "ctr": ["journalctl", "--unit", f"ctr@{NAME}", "--since", since, "--output", "cat", "--no-pager"],
        "podman": ["podman", "logs", NAME],
        "docker": [*(peer.command() if isinstance(peer, Docker) else []), "logs", NAME],
    }[peer.name]
    before = -1
    while True:
        found = _in_order(run(command))
        if found in (before, LINES):
            return float(found)
        before = found
        time.sleep(2)  # a log that is still being written grows by more than nothing in this time


def _in_order(text: str) -> int:
    """How many lines are numbers, each greater than the one before."""
    last = found = 0
    for line in text.splitlines():
        if line.isdigit() and int(line) > last:
            last, found = int(line), found + 1
    return found
