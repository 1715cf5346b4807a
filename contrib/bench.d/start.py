"""Start latency, one and a hundred at once, and the way back after SIGKILL."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from measure import PATIENCE, BenchError, Budget, Row, Sampler, timed
from peers import Peer, Workload, kill
from session import Session, say

HUNDRED = 100
_PORT = 18080


def measure(session: Session) -> list[Row]:
    return [_one(session), _network(session), _hundred(session), _killed(session)]


def _one(session: Session) -> Row:
    say(f"one start, {session.count} times")
    columns = session.only("ctr", "podman", "docker", "crun", "service")
    sampler = session.starts(["bench"], session.count, columns, Workload())
    budgets = (Budget("podman", 0.5), Budget("docker", 0.25))
    return Row("start, no network, image present", "s", sampler.samples, budgets)


def _network(session: Session) -> Row:
    """The network namespace is made for the start and goes with the container, so every start is a first one."""
    say(f"one start with a bridge network and a published port, {session.count} times")
    columns = session.only("ctr", "podman", "docker")
    sampler = session.starts(["bench-port"], session.count, columns, Workload(port=_PORT))
    return Row("start, bridge network and a published port", "s", sampler.samples, (Budget("podman", 0.6),))


def _hundred(session: Session) -> Row:
    count = session.few()
    say(f"{HUNDRED} starts at once, {count} times")
    columns = session.only("ctr", "podman", "docker", "crun", "service")
    names = [f"bench-{number}" for number in range(HUNDRED)]
    sampler = session.starts(names, count, columns, Workload())
    note = "ctr and service: one systemctl start; the others: xargs -P 2, 4 or 8, whichever was best in a first round"
    return Row(f"start, {HUNDRED} at once", "s", sampler.samples, (Budget("podman", 0.45),), (note,))


def _killed(session: Session) -> Row:
    """From SIGKILL of the first process until its successor says so through a FIFO."""
    say(f"SIGKILL until running again, {session.count} times")
    share = session.scratch / "share"
    share.mkdir(exist_ok=True)
    fifo = share / "up"
    if not fifo.exists():
        os.mkfifo(fifo)
    takes = {column: _killed_taker(peer, fifo) for column, peer in session.only("ctr", "podman", "docker").items()}
    samples = Sampler().rounds(session.count, takes).samples
    note = "ctr: RestartSec=0; podman, docker: --restart=always (docker waits 100 ms before it restarts)"
    return Row("SIGKILL until running again", "s", samples, (Budget("podman", 0.5),), (note,))


def _killed_taker(peer: Peer, fifo: Path) -> Callable[[], float]:
    workload = Workload(("sh", "-c", "echo up >/bench/up; exec sleep infinity"), restart=True, share=str(fifo.parent))

    def take() -> float:
        # Opened for both, so that neither side waits for the other and no end of file comes.
        with open(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as stream:
            peer.define(["bench-killed"], workload)
            timed(peer.start("bench-killed"))
            try:
                _wait(stream.fileno(), peer)
                pid = peer.main_pid("bench-killed")
                started = time.monotonic()
                kill(pid)
                _wait(stream.fileno(), peer)
                return time.monotonic() - started
            finally:
                peer.remove(["bench-killed"])

    return take


def _wait(descriptor: int, peer: Peer) -> None:
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    if not ready:
        raise BenchError(f"{peer.name}: the container does not come up within {PATIENCE} s")
    os.read(descriptor, 4096)
