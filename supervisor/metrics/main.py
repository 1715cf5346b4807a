"""The program ctr-metrics: answers Prometheus' scrapes on the sockets of ctr-metrics.socket.

Started by the first scrape, and gone when nobody has asked for a while: it has no state of its own. It reads,
decides nothing, and nothing needs it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from supervisor.errors import CtrError, HostError
from supervisor.metrics.families import metrics
from supervisor.metrics.page import Page
from supervisor.metrics.server import serve
from supervisor.metrics.sources import take
from supervisor.paths import Layout

#: Longer than Prometheus' default scrape interval, a minute: then it stays.
IDLE_SECONDS = 90.0
_FIRST_FD = 3


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until idle; 1 when systemd has not passed a socket. Without a socket, ``--print`` prints the page."""
    try:
        if list(argv) == ["--print"]:
            sys.stdout.buffer.write(render(Layout()))
        else:
            page = Page(lambda: render(Layout()))
            serve(listeners(environ), page, IDLE_SECONDS)
    except CtrError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def render(layout: Layout) -> bytes:
    """A page that is true now."""
    return generate_latest(_Now(layout))


class _Now(Collector):
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def collect(self) -> Iterator[Metric]:
        return metrics(take(self._layout))


def listeners(environ: Mapping[str, str]) -> list[socket.socket]:
    """The sockets systemd listens on (sd_listen_fds(3)). Raises `HostError` when there are none."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or count == "0":
        raise HostError("ctr-metrics: no socket from systemd; start ctr-metrics.socket, or use --print")
    return [socket.socket(fileno=_FIRST_FD + n) for n in range(int(count))]
