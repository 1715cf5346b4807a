"""The page that is scraped, as a WSGI application (PEP 3333).

Owns how often it is made. However many ask, it is made once at a time and then kept for a moment, so that neither a
crowd nor somebody in a hurry costs the host more than a fifth of a processor, and all who are answered share its bytes.
The text is prometheus-client's. Its own WSGI application is not used: that makes a page for every reader, and in Debian
12's version also for POST.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

#: The text format of Prometheus 1 and 2, which is what `prometheus_client.generate_latest` writes.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATH = "/metrics"
#: How long a page is kept at least, seconds, and how many times the processor time that it took.
_SHORTEST, _TIMES = 1.0, 4.0


class Page:
    """Calls *make* for a fresh page when somebody asks and the last one is too old."""

    def __init__(
        self,
        make: Callable[[], bytes],
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """*clock* and *spent*, the processor time of this thread, are in seconds."""
        self._make = make
        self._clock = clock
        self._spent = spent
        self._lock = threading.Lock()
        self._body = b""
        self._until = float("-inf")

    def __call__(self, environ: Mapping[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            return _answer(start, "405 Method Not Allowed", b"use GET\n", method, Allow="GET, HEAD")
        if environ["PATH_INFO"] != PATH:
            return _answer(start, "404 Not Found", f"the metrics are at {PATH}\n".encode(), method)
        return _answer(start, "200 OK", self.body(), method, Content_Type=CONTENT_TYPE)

    def body(self) -> bytes:
        """The page; a kept one if it is fresh enough."""
        with self._lock:
            if self._clock() >= self._until:
                before = self._spent()
                self._body = self._make()
                # Not what it waited for somebody who does not answer.
                self._until = self._clock() + max(_SHORTEST, _TIMES * (self._spent() - before))
            return self._body


def _answer(start: StartResponse, status: str, body: bytes, method: str, **headers: str) -> Iterable[bytes]:
    given = {"Content-Type": "text/plain; charset=utf-8", **{k.replace("_", "-"): v for k, v in headers.items()}}
    start(status, [*given.items(), ("Content-Length", str(len(body)))])
    return [] if method == "HEAD" else [body]
