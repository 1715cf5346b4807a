"""A container in the foreground: start its unit, lend it the caller's streams or terminal, wait for its end.

One loop waits for everything: the launcher, the terminal, signals, and the thread that follows the unit on a
connection of its own. Only streams and signals pass through here; the container belongs to systemd and outlives us if
we are killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from supervisor.cli import attach
from supervisor.cli.containers import read_exit
from supervisor.cli.terminal import Pump, Signals, raw
from supervisor.errors import CtrError, HostError
from supervisor.names import service_unit
from supervisor.paths import Layout
from supervisor.systemd.manager import Manager

#: What is passed on to the container's init, as ``docker run --sig-proxy``.
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_ENDING = (signal.SIGINT, signal.SIGTERM)
#: So many SIGINT and SIGTERM end our waiting when the container does not care for them (docker run does the same).
_PATIENCE = 3
_FAILED = 125
#: Seconds between two looks at a unit of which no signal arrived.
_LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    job: str
    """Result of the start job; unless it is 'done' the container's program never ran."""
    code: int
    """The exit code to pass on: the container's own, 128 + signal, or the launcher's 125, 126, 127."""
    abandoned: bool = False
    """The caller lost patience; the container still runs."""


class Session:
    """One foreground run of container *name*; *interactive*: it gets our stdin (else none)."""

    def __init__(self, name: str, layout: Layout, *, interactive: bool) -> None:
        self._name = name
        self._layout = layout
        self._interactive = interactive
        self._stack = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._pump: Pump | None = None
        self._impatience = 0
        self._done = False

    def run(self) -> End:
        """Start, wait, and say how it ended. Raises `CtrError` when systemd cannot be asked."""
        with self._stack as stack:
            stack.enter_context(self._selector)
            point = stack.enter_context(attach.AttachPoint(self._layout.running(self._name)))
            signals = stack.enter_context(Signals((*FORWARDED, signal.SIGWINCH)))
            follower = Follower(self._name, self._layout)
            self._watch(point.fileno(), lambda: self._connected(point))
            self._watch(signals.fileno(), lambda: self._signalled(signals))
            self._watch(follower.fileno(), self._ended)
            follower.start()
            while not self._done:
                for key, _ in self._selector.select():
                    key.data()
            if self._impatience >= _PATIENCE:
                return End("done", code=128 + signal.SIGINT, abandoned=True)
            return follower.end()

    def _watch(self, fd: int, action: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        self._selector.register(fd, events, action)

    def _connected(self, point: attach.AttachPoint) -> None:
        self._selector.unregister(point.fileno())
        launcher = self._stack.enter_context(point.accept())
        self._watch(launcher.fileno(), lambda: self._asked(launcher))

    def _asked(self, launcher: socket.socket) -> None:
        self._selector.unregister(launcher.fileno())
        lent = attach.lend(self._interactive)
        master = attach.answer(launcher, lent)
        launcher.close()
        for fd in lent:
            os.close(fd)
        if master is not None:
            self._connect_terminal(master)

    def _connect_terminal(self, master: int) -> None:
        keys = 0 if self._interactive else None
        if keys is not None:
            self._stack.enter_context(raw(keys))
        self._pump = Pump(self._selector, keys, 1, master)
        self._stack.callback(self._pump.close)

    def _signalled(self, signals: Signals) -> None:
        for number in signals.take():
            if number == signal.SIGWINCH:
                if self._pump:
                    self._pump.resize()
                continue
            self._impatience += number in _ENDING
            self._done |= self._impatience >= _PATIENCE
            self._forward(number)

    def _forward(self, number: int) -> None:
        """Signal the main process: the launcher while the container starts (the start fails then), init afterwards."""
        with suppress(CtrError), Manager.open() as manager:
            # Refused when there is no process: it is just ending, or between two starts.
            manager.kill(service_unit(self._name), "main", number)

    def _ended(self) -> None:
        self._done = True
        if self._pump:
            self._pump.drain()


class Follower(threading.Thread):
    """Starts the unit and follows that one run to its end; its descriptor becomes readable then."""

    def __init__(self, name: str, layout: Layout) -> None:
        super().__init__(daemon=True)
        # Not _name: that is Thread's own.
        self._container = name
        self._unit = service_unit(name)
        self._layout = layout
        self._reader, self._writer = os.pipe()
        self._end: End | None = None
        self._error: CtrError | None = None

    def fileno(self) -> int:
        return self._reader

    def end(self) -> End:
        """How it ended, once it has. Raises what the thread ran into."""
        self.join()
        os.close(self._reader)
        if self._error:
            raise self._error
        if not self._end:
            raise HostError(f"{self._unit}: could not be followed to its end; see 'systemctl status {self._unit}'")
        return self._end

    def run(self) -> None:
        """The thread's body."""
        try:
            with Manager.open() as manager:
                self._end = self._follow(manager)
        except CtrError as error:
            self._error = error
        finally:
            os.close(self._writer)

    def _follow(self, manager: Manager) -> End:
        manager.watch(self._unit)
        job = manager.start(self._unit)
        while job == "done" and not self._is_over(manager):
            manager.next_signal(_LOOK_SECONDS)
        return End(job, exit_code(self._container, self._layout))

    def _is_over(self, manager: Manager) -> bool:
        state = manager.properties(self._unit, "Unit", "ActiveState", "SubState")
        if state["ActiveState"] in ("inactive", "failed") or str(state["SubState"]).startswith("auto-restart"):
            return True
        # Restart= may have been faster than our look.
        return bool(manager.properties(self._unit, "Service", "NRestarts")["NRestarts"])


def exit_code(name: str, layout: Layout) -> int:
    """The exit code of the run that just ended, as cleanup wrote it down; 125 when it did not come to that."""
    last = read_exit(name, layout)
    return last.number if last and last.code else _FAILED
