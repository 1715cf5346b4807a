"""One more process in a running container, from fork to exit status.

The process is in the container's control group from its first instruction (`supervisor.runtime.entry`). The runtime
leaves as soon as the process runs; as nearest subreaper (prctl(2)) we then are its parent, so its exit status, its
signals and its terminal's size are ours to deal with, the same way with crun and runc. Knows nothing of options.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import tempfile
from contextlib import ExitStack
from typing import Any

from supervisor.cli.attach import lend
from supervisor.cli.terminal import Pump, Signals, raw
from supervisor.errors import HostError
from supervisor.paths import Layout
from supervisor.runtime import argv, entry, failure
from supervisor.runtime.foreign import Numbers, give_pipes

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_DUMPABLE = 4
_LONGEST_LOG = 1 << 16


class RefusedError(HostError):
    """The runtime did not start the process; the message is its own."""


class Execution:
    """A process to be; a context manager.

    *document*: its OCI process object. *interactive*: it gets our stdin, else none. *quiet*: it gets none of our
    streams and is not waited for.
    """

    def __init__(self, document: dict[str, Any], *, interactive: bool, quiet: bool, layout: Layout) -> None:
        self._document = document
        self._interactive = interactive
        self._quiet = quiet
        self._layout = layout
        self._stack = ExitStack()
        self._pid = 0
        self._ended = False
        self._runs = False
        self._early: list[int] = []
        self._pump: Pump | None = None

    def __enter__(self) -> Execution:
        # /run: only root comes here, and the path is short enough for a socket.
        self._directory = tempfile.TemporaryDirectory(dir=self._layout.runtime, prefix="exec-")
        self._places = self._stack.enter_context(self._directory)
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._signals = self._stack.enter_context(Signals((*_FORWARDED, signal.SIGWINCH)))
        self._selector.register(self._signals, selectors.EVENT_READ, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, runtime: str, init: int) -> None:
        """Run it in container *name*, whose init is the process *init*. Raises `RefusedError`, `HostError`."""
        console = f"{self._places}/console.sock" if self._document.get("terminal") else ""
        if console:
            self._listen(console)
        with open(f"{self._places}/process.json", "x", encoding="utf-8") as file:
            json.dump(self._document, file)
        command = argv.exec_(
            runtime,
            self._layout.runtime_state(runtime),
            name,
            f"{self._places}/process.json",
            f"{self._places}/pid",
            console,
            log=f"{self._places}/log",
        )
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # The container's variables may be secrets: no core dump of us.
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if self._wait_for(self._spawn(command, init)):
            raise RefusedError(self._said() or f"{runtime} exec failed")
        with open(f"{self._places}/pid", encoding="ascii") as file:
            self._pid = int(file.read())
        self._runs = True
        for number in self._early:
            os.kill(self._pid, number)
        # Nobody reads it any more, and we may be killed before the process ends.
        self._directory.cleanup()

    def wait(self) -> int:
        """Pass signals and the terminal on until it ends; its exit status, or 128 + signal."""
        status = self._wait_for(self._pid)
        if self._pump:
            self._pump.drain()
        return status

    def _wait_for(self, pid: int) -> int:
        self._pid = pid
        self._ended = False
        handle = os.pidfd_open(pid)
        self._selector.register(handle, selectors.EVENT_READ, self._end)
        try:
            while not self._ended:
                for key, _ in self._selector.select():
                    key.data()
        finally:
            self._selector.unregister(handle)
            os.close(handle)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if status >= 0 else 128 - status

    def _end(self) -> None:
        self._ended = True

    def _signalled(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGWINCH:
                if self._pump:
                    self._pump.resize()
            elif self._runs:
                os.kill(self._pid, number)
            else:
                # Not for the runtime, which would keep it to itself, or die and leave the process to nobody.
                self._early.append(number)

    def _listen(self, path: str) -> None:
        listener = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(path)
        listener.listen(1)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._connect_terminal(listener))

    def _connect_terminal(self, listener: socket.socket) -> None:
        self._selector.unregister(listener)
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        if not descriptors:
            return  # the runtime failed, and says so in its log
        keys = 0 if self._interactive else None
        if keys is not None:
            self._stack.enter_context(raw(keys))
        self._pump = Pump(self._selector, keys, 1, descriptors[0])
        self._stack.callback(self._pump.close)

    def _spawn(self, command: tuple[str, ...], init: int) -> int:
        """A child that executes *command* in the control group of *init*: the scope's, or one below it that the
        container's program made; its PID."""
        if self._quiet or self._document.get("terminal"):
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            streams = null, null, null
        else:
            streams = lend(self._interactive)
            self._give(streams, init)
        try:
            return entry.spawn(command, entry.control_group(init), streams)
        except FileNotFoundError as error:
            raise HostError(f"exec: the container has just stopped: {error}") from error
        finally:
            for fd in set(streams):
                os.close(fd)

    def _give(self, streams: tuple[int, int, int], init: int) -> None:
        """Let the container's root open /dev/stdout anew, also where it is another user of the host."""
        root = Numbers(init).root
        if root != (0, 0):
            give_pipes(streams, *root)

    def _said(self) -> str:
        try:
            with open(f"{self._places}/log", encoding="utf-8", errors="replace") as file:
                return failure.message(file.read(_LONGEST_LOG))
        except FileNotFoundError:
            return ""
