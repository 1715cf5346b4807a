"""One run of the bench: the peers that are there, where to put files, how often to measure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import Sampler, timed
from peers import Peer, Workload

#: How many containers a peer that is told may start at the same time.
WIDTHS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Session:
    """*count*: samples of a quick measurement; slow ones take fewer. *archive*: the busybox image."""

    peers: Mapping[str, Peer]
    count: int
    scratch: Path
    archive: Path

    def few(self) -> int:
        """Samples of a slow measurement."""
        return max(3, self.count // 3)

    def only(self, *names: str) -> dict[str, Peer]:
        """Those of *names* that are there, in this order."""
        return {name: self.peers[name] for name in names if name in self.peers}

    def starts(self, names: Sequence[str], count: int, columns: Mapping[str, Peer], workload: Workload) -> Sampler:
        """Samples of the time until the start command of all *names* returns; they are removed after each."""
        for peer in columns.values():
            peer.define(names, workload)
        takes = {column: _start_taker(peer, names) for column, peer in columns.items()}
        return Sampler().rounds(count, takes)

    @contextmanager
    def running(self, peer: Peer, names: Sequence[str], workload: Workload) -> Iterator[None]:
        """All of *names* run during the block."""
        peer.define(names, workload)
        timed(peer.start_all(names, 4))
        try:
            yield
        finally:
            peer.remove(names)


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _start_taker(peer: Peer, names: Sequence[str]) -> Callable[[], float]:
    widths: list[int] = []

    def one(width: int) -> float:
        command = peer.start(names[0]) if len(names) == 1 else peer.start_all(names, width)
        seconds = timed(command)
        peer.remove(names)
        return seconds

    def take() -> float:
        if not widths:
            # How many at once suits a peer is its own affair: the first round, which is not kept, tries.
            asks = len(names) > 1 and peer.start_all(names, 1) != peer.start_all(names, 2)
            widths.append(min(WIDTHS, key=one) if asks else 1)
        return one(widths[0])

    return take
