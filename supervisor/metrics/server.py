"""Serves a WSGI application to clients that nobody knows, on sockets that systemd listens on.

Owns what a client may take: a place among few, for a bounded time, with a small request. wsgiref does the HTTP; each
client has a thread, and none is waited for: when all places are taken, who has not asked yet gives way, and who does
not fetch the answer, so that a thousand idle connections delay a scrape by seconds at most.
"""

from __future__ import annotations

import contextlib
import io
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from enum import Enum
from http.client import HTTPException
from typing import TYPE_CHECKING, cast
from wsgiref.simple_server import WSGIRequestHandler

if TYPE_CHECKING:
    from socketserver import BaseServer
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from _typeshed import WriteableBuffer

PLACES = 32
#: Bytes of request line and headers together; Prometheus sends 300.
LONGEST_REQUEST = 16384
_ENVIRON = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_NAME": "localhost", "SERVER_PORT": "", "SCRIPT_NAME": ""}


class Stage(Enum):
    """How far an exchange has come."""

    REQUEST = "request"
    WORK = "work"
    """It waits for us, which is our own time."""
    RESPONSE = "response"


#: Seconds until a client has to give way to another, and until it has to go anyway. Of stages that it can draw out.
_YIELDS = {Stage.REQUEST: 0.1, Stage.RESPONSE: 1.0}
_ENDS = {Stage.REQUEST: 10.0, Stage.RESPONSE: 30.0}


class Client:
    """One connection; also all that wsgiref's handler wants of a server: `base_environ` and `get_app`."""

    base_environ = _ENVIRON

    def __init__(self, connection: socket.socket, application: WSGIApplication) -> None:
        self._connection = connection
        self._application = application
        self._stage = Stage.REQUEST
        self._since = time.monotonic()

    def attend(self) -> None:
        """Take the request and answer it; returns when the client is gone."""
        # It went away, was sent away, or sent too long a first line.
        with contextlib.suppress(OSError, HTTPException), self._connection:
            _Handler(self._connection, ("", 0), cast("BaseServer", self))
            self._connection.shutdown(socket.SHUT_WR)

    def get_app(self) -> WSGIApplication:
        """The application; asked for once the request is complete."""
        self._enter(Stage.WORK)

        def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            answer = self._application(environ, start)
            self._enter(Stage.RESPONSE)
            return answer

        return application

    def is_over(self, limits: dict[Stage, float], now: float) -> bool:
        """Whether it has been at its present stage for longer than *limits* allow."""
        return now - self._since > limits.get(self._stage, float("inf"))

    def dismiss(self) -> None:
        """End the connection; its thread finds out by itself."""
        with contextlib.suppress(OSError):  # it was faster
            self._connection.shutdown(socket.SHUT_RDWR)

    def _enter(self, stage: Stage) -> None:
        self._stage, self._since = stage, time.monotonic()


class Clients:
    """Those who are connected, the longest first."""

    def __init__(self, application: WSGIApplication, places: int = PLACES) -> None:
        self._application = application
        self._places = places
        self._present: list[Client] = []
        self._left = threading.Condition()

    def __bool__(self) -> bool:
        return bool(self._present)

    def admit(self, connection: socket.socket) -> None:
        """Give *connection* a place, as soon as there is one."""
        client = Client(connection, self._application)
        with self._left:
            while len(self._present) >= self._places:
                for other in self._over(_YIELDS)[:1]:
                    other.dismiss()
                self._left.wait(0.02)
            self._present.append(client)
        threading.Thread(target=self._attend, args=(client,), daemon=True).start()

    def dismiss_overdue(self) -> None:
        """End the connections that have lasted too long."""
        with self._left:
            for client in self._over(_ENDS):
                client.dismiss()

    def _over(self, limits: dict[Stage, float]) -> list[Client]:
        now = time.monotonic()
        return [client for client in self._present if client.is_over(limits, now)]

    def _attend(self, client: Client) -> None:
        try:
            client.attend()
        finally:
            with self._left:
                self._present.remove(client)
                self._left.notify()


def serve(listeners: Iterable[socket.socket], application: WSGIApplication, idle: float) -> None:
    """Serve until nobody has come for *idle* seconds. Connections that come later wait in the listening sockets."""
    clients = Clients(application)
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ)
        last = time.monotonic()
        while True:
            ready = selector.select(1.0 if clients else max(0.0, last + idle - time.monotonic()))
            for key, _ in ready:
                with contextlib.suppress(OSError):  # it has gone already
                    clients.admit(cast(socket.socket, key.fileobj).accept()[0])
            clients.dismiss_overdue()
            if ready or clients:
                last = time.monotonic()
            elif time.monotonic() - last >= idle:
                return


class _Handler(WSGIRequestHandler):
    """wsgiref's, with a bounded request and nothing to say in the journal."""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Request(self.connection))

    def log_message(self, *_: object) -> None:
        pass


class _Request(io.RawIOBase):
    """What a client sends. Raises `http.client.HTTPException` after `LONGEST_REQUEST`: http.server's status 431."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = LONGEST_REQUEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left:
            raise HTTPException("the request is too long")
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count
