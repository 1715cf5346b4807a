"""The monitor's loop: waits for keys, signals, journal entries and the clock, and has the screen drawn.

Owns every effect: child processes, the timing of samples and frames, how it ends. What a key means is
`supervisor.cli.monitor_state`'s, how a screen looks `supervisor.cli.monitor_view`'s. Verbs are run as ``ctrctl VERB``,
so that the monitor's stop is the same as a typed one.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from supervisor.cli import monitor_source as source
from supervisor.cli.console import Console
from supervisor.cli.journal import Entry
from supervisor.cli.monitor_keys import keys
from supervisor.cli.monitor_state import Action, Level, Line, Screen, more, press, select
from supervisor.cli.monitor_terminal import Surface, read_keys
from supervisor.cli.monitor_view import draw
from supervisor.cli.stats import memory_total
from supervisor.cli.terminal import Signals
from supervisor.errors import CtrError

#: Between two frames: of what changes by itself, and of what a key did.
_FRAME_SECONDS, _KEY_SECONDS = 0.25, 0.05
#: Sampling takes at most this share of a processor.
_LOAD = 0.1
#: A selection has to rest so long before its logs are read: one that moves fast starts no journalctl for each step.
_REST_SECONDS = 0.15
#: So far behind, the logs of a container that floods are begun anew at their end.
_BEHIND_SECONDS = 5.0
_WORDS = 4096
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_NO_EVENTS = "none in this boot; ctr-supervisor.service writes them"
_NO_LOGS = "nothing yet"
_NOT_YOURS = "; only root and the group systemd-journal may read"
_DOING = {"start": "starting", "stop": "stopping", "restart": "restarting"}
_DONE = {"start": "started", "stop": "stopped", "restart": "restarted"}


def watch(console: Console, name: str, interval: float, program: str) -> int:
    """Show the screen until it is quit: 0, or 128 and the number of the signal that ended it. *name*: selected first;
    *program*: ctrctl's path."""
    with ExitStack() as stack:
        surface = Surface(console.stdin.fileno(), console.stdout.fileno(), console.environ)
        stack.callback(surface.close)
        signals = stack.enter_context(Signals((*_ENDING, signal.SIGWINCH, signal.SIGCONT)))
        loop = _Loop(source.Source(console.layout), surface, signals, program, interval)
        stack.callback(loop.close)
        loop.screen = replace(loop.screen, selected=name, memory_total=memory_total())
        loop.sample()
        with surface.shown():
            return loop.run()


class _Loop:
    """What goes on."""

    def __init__(self, rows: source.Source, surface: Surface, signals: Signals, program: str, interval: float) -> None:
        others = "" if os.geteuid() == 0 else _NOT_YOURS
        self.screen = Screen(events_note=_NO_EVENTS + others, logs_note=_NO_LOGS + others)
        self._source = rows
        self._surface = surface
        self._signals = signals
        self._program = program
        self._interval = interval
        self._selector = selectors.DefaultSelector()
        self._selector.register(surface.keys, selectors.EVENT_READ, self._typed)
        self._selector.register(signals, selectors.EVENT_READ, self._signalled)
        self._code: int | None = None
        self._next_sample = self._next_frame = 0.0
        self._drawn = 0.0
        self._dirty = True
        self._paused: list[source.Follow] = []
        self._writer = source.writer()
        self._events = self._follow(lambda: source.follow_events(self._writer), self._event)
        self._logs: source.Follow | None = None
        self._logs_of = ""
        self._logs_began = 0.0
        self._rested = 0.0

    def close(self) -> None:
        """End the children that only we read."""
        for follow in (self._events, self._logs):
            if follow:
                follow.close()
        self._selector.close()

    def run(self) -> int:
        """Until it ends; the exit code."""
        while self._code is None:
            now = time.monotonic()
            if now >= self._next_sample:
                self.sample()
            if self._logs_of != self.screen.selected and now >= self._rested:
                self._read_logs()
            if self._dirty and now >= self._next_frame:
                self._draw()
            self._wait()
        return self._code

    def sample(self) -> None:
        """Read the list anew."""
        began, work = time.monotonic(), time.process_time()
        try:
            rows = self._source.rows(self.screen.rows)
            self.screen = select(replace(self.screen, rows=rows, now=time.time()))
        except CtrError as error:
            self._say(f"systemd does not answer: {error}", Level.BAD)
        self._next_sample = began + max(self._interval, (time.process_time() - work) / _LOAD)
        self._changed()

    def _wait(self) -> None:
        """Sleep until something is to be done, and do what came from outside."""
        due = [self._next_sample]
        if self._dirty:
            due.append(self._next_frame)
        if self._logs_of != self.screen.selected:
            due.append(self._rested)
        writable = self._surface.waiting
        if writable >= 0:
            self._selector.register(writable, selectors.EVENT_WRITE, self._surface.flush)
        for key, _ in self._selector.select(max(0.0, min(due) - time.monotonic())):
            if self._code is None:
                key.data()
        if writable >= 0:
            self._selector.unregister(writable)

    def _draw(self) -> None:
        size = self._surface.size
        self._surface.draw(draw(self.screen, *size), size)
        self._dirty = False
        self._drawn = time.monotonic()
        self._go_on()

    def _changed(self, wait: float = _FRAME_SECONDS) -> None:
        """Have a frame drawn, *wait* seconds after the last one at the earliest."""
        due = self._drawn + wait
        self._next_frame = min(self._next_frame, due) if self._dirty else due
        self._dirty = True

    def _say(self, text: str, level: Level = Level.PLAIN) -> None:
        self.screen = replace(self.screen, message=Line(time.time(), text, level))
        self._changed(_KEY_SECONDS)

    # keys and signals

    def _typed(self) -> None:
        data = read_keys(self._surface.keys)
        if not data:
            self._code = 128 + signal.SIGHUP
        for key in keys(data):
            before = self.screen.selected
            self.screen, action = press(self.screen, key)
            if self.screen.selected != before:
                self._rested = time.monotonic() + _REST_SECONDS
            if action:
                self._act(action)
            if self._code is not None:
                return
        self._changed(_KEY_SECONDS)

    def _signalled(self) -> None:
        for number in self._signals.take():
            if number in _ENDING:
                self._code = 128 + number
            elif number == signal.SIGCONT:
                self._surface.enter()
            self._changed(_KEY_SECONDS)

    def _act(self, action: Action) -> None:
        if action.verb == "quit":
            self._code = 0
        elif action.verb == "redraw":
            self._surface.enter()
        elif action.verb == "shell":
            self._shell(action.name)
        else:
            self._do(action)

    # children

    def _do(self, action: Action) -> None:
        """Run the verb; say what became of it when it ends. It goes on when the monitor is quit."""
        words: list[bytes] = []
        child = subprocess.Popen(
            (self._program, action.verb, action.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stderr
        stderr = child.stderr

        def readable() -> None:
            if data := read_keys(stderr.fileno()):
                if sum(map(len, words)) < _WORDS:
                    words.append(data)
                return
            self._selector.unregister(stderr)
            stderr.close()
            text = b"".join(words).decode("utf-8", "replace").partition("\n")[0]
            if child.wait():
                self._say(text.removeprefix("ctrctl: ") or f"{action.name}: {action.verb} failed", Level.BAD)
            else:
                self._say(f"{_DONE[action.verb]} {action.name}", Level.GOOD)
            self._next_sample = 0.0

        self._selector.register(stderr, selectors.EVENT_READ, readable)
        self._say(f"{_DOING[action.verb]} {action.name} …", Level.WARNING)

    def _shell(self, name: str) -> None:
        """Give the terminal away until the shell ends. A signal that ends us ends the shell first."""
        command = (self._program, "exec", "-it", name, "sh")
        self._surface.leave()
        with subprocess.Popen(command) as child, selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            ended = os.pidfd_open(child.pid)
            selector.register(ended, selectors.EVENT_READ)
            while child.poll() is None:
                selector.select()
                if ending := [n for n in self._signals.take() if n in (signal.SIGTERM, signal.SIGHUP)]:
                    self._code = 128 + ending[0]
                    child.terminate()
            os.close(ended)
        self._surface.enter()
        self._next_sample = 0.0
        if child.returncode in range(125, 128):
            self._say(f"no shell: '{' '.join(command[1:])}' ended with {child.returncode}", Level.BAD)

    # journal

    def _follow(self, begin: Callable[[], source.Follow], take: Callable[[], None]) -> source.Follow | None:
        try:
            follow = begin()
        except CtrError as error:
            self._say(str(error), Level.BAD)
            return None
        self._selector.register(follow, selectors.EVENT_READ, take)
        return follow

    def _event(self) -> None:
        if new := self._taken(self._events, lambda entries: source.event_lines(entries, self._writer)):
            self.screen = replace(self.screen, events=more(self.screen.events, new))

    def _read_logs(self) -> None:
        """Follow the logs of what is selected now."""
        if self._logs:
            self._pause(self._logs)
            self._logs.close()
        self._logs_of = name = self.screen.selected
        self.screen = replace(self.screen, logs=(), back=0)
        self._logs = self._follow(lambda: source.follow_logs(name), self._log) if name else None
        self._logs_began = time.time()
        self._changed()

    def _log(self) -> None:
        if new := self._taken(self._logs, source.log_lines):
            logs = more(self.screen.logs, new)
            # Who reads what was, goes on reading it.
            back = min(self.screen.back + len(new), len(logs) - 1) if self.screen.back else 0
            self.screen = replace(self.screen, logs=logs, back=back)
            if self._logs and self._logs.is_full and self._is_behind(new[-1]):
                self._read_logs()

    def _taken(
        self, follow: source.Follow | None, lines: Callable[[Sequence[Entry]], tuple[Line, ...]]
    ) -> tuple[Line, ...]:
        """What *follow* has; more is read when that was drawn, so that a flood costs no more than frames do."""
        assert follow
        self._pause(follow)
        entries = follow.take()
        if entries is None:
            return ()
        self._paused.append(follow)
        self._changed()
        return lines(entries)

    def _pause(self, follow: source.Follow) -> None:
        if follow.fileno() in self._selector.get_map():
            self._selector.unregister(follow)
        if follow in self._paused:
            self._paused.remove(follow)

    def _go_on(self) -> None:
        for follow in self._paused:
            self._selector.register(follow, selectors.EVENT_READ, self._log if follow is self._logs else self._event)
        self._paused.clear()

    def _is_behind(self, line: Line) -> bool:
        return line.at > self._logs_began and time.time() - line.at > _BEHIND_SECONDS
