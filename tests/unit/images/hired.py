"""Image workers for unit tests: the real program's `serve`, each in a thread at the other end of a socket pair."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from supervisor.images import fetcher
from supervisor.images.channel import Channel
from supervisor.images.workers import Workers


@contextmanager
def workers() -> Iterator[Workers]:
    """Workers as `ctr-image.socket` gives them, but for systemd; all have ended when the context does."""
    threads: list[threading.Thread] = []

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        threads.append(threading.Thread(target=_serve, args=(theirs,)))
        threads[-1].start()
        return ours

    made = Workers(connect)
    try:
        yield made
    finally:
        made.close()
        for thread in threads:
            thread.join()


def _serve(connection: socket.socket) -> None:
    line = Channel(connection)
    with tempfile.TemporaryDirectory() as scratch:
        fetcher.serve(line, scratch)
    line.close()
