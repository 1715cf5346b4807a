"""The relay's claim, at every statement: killed there, it goes on, and each line is sent once, in order.

Real pipes, memfds and sockets; the fd store is this test, which keeps them open from one life of the relay to the next.
A life runs the relay's own code under a trace function that ends it at the statement of choice, by an exception that
nothing in these modules catches or acts on.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from supervisor.logs import handover, source
from supervisor.logs.framing import LONGEST
from supervisor.relay.main import resume
from supervisor.relay.outbox import Outbox
from supervisor.relay.spool import Spool
from supervisor.relay.stream import Stream
from tests.unit.logs.journal import decode

#: Where the code lives that changes what outlives a relay. The rest of it computes.
_STATEFUL = ("logs/ledger.py", "relay/spool.py", "relay/outbox.py", "relay/stream.py", "relay/main.py")

#: What two containers write, phase by phase; the relay gets to rest between two phases.
PHASES = (
    (b"a\n\nc\nbegin", b"b1\n"),  # five bytes settled, five not: the compaction that just does not fit
    (b" end\n" + b"x" * 50, b"b2\n<4>b3\n"),
    (b"\nlast, no newline", b"\n" + b"y" * (LONGEST + 9) + b"\n" + b"z" * (LONGEST + 1)),
)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> None:
    """Where the relay dies here, nobody closes what it had just opened; the kernel would."""


class Host:
    """What outlives a relay: pipes, spools, the outbox, and a journal."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "journal")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(self.address)
        self.journal.setblocking(False)
        self.outbox = Outbox.create(self.address)
        self.readers, self.writers = zip(*(os.pipe() for _ in range(2)), strict=True)
        for writer in self.writers:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 256 * 1024)
        datagram = handover.message(name="c", unit="ctr@c.service", invocation="0" * 32, identifier="c")
        self.spools = [Spool.create(source.with_stream(datagram, name)) for name in ("stdout", "stderr")]
        self.received: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self.parts = {"stdout": 0, "stderr": 0}

    def close(self) -> None:
        self.journal.close()
        for spool in self.spools:
            spool.close()
        for fd in (*self.readers, *self.writers, self.outbox.reader, self.outbox.writer):
            os.close(fd)
        os.unlink(self.address)

    def collect(self) -> None:
        """Read what the relay sent; parts of a line are joined again."""
        while True:
            try:
                fields = decode(self.journal.recv(1 << 17))
            except BlockingIOError:
                return
            stream, part = fields["CTR_STREAM"].decode(), int(fields.get("CONTAINER_PARTIAL_ORDINAL", 0))
            lines = self.received[stream]
            if part <= 1:
                lines.append(fields["MESSAGE"])
            else:
                assert part == self.parts[stream] + 1
                lines[-1] += fields["MESSAGE"]
            self.parts[stream] = part

    def relay(self, kill_at: int | None = None) -> int:
        """One life of a relay, until it has nothing to do or is killed before its *kill_at*-th statement.

        Returns how many statements it ran, -1 if it was killed. When the journal is full, it is emptied.
        """
        with Death(kill_at) as death:
            self._live()
        self.collect()
        return -1 if death.happened else death.statements

    def _live(self) -> None:
        outbox = Outbox(self.outbox.reader, self.outbox.writer, self.address)
        given = [os.dup(fd) for pair in zip(self.readers, self.spools, strict=True) for fd in (pair[0], pair[1].fd)]
        streams: list[Stream] = []
        try:
            for index in range(len(self.spools)):
                streams.append(Stream(str(index), given[2 * index], Spool(given[2 * index + 1])))
            resume(streams, outbox, known=True)
            busy = streams
            while busy:
                again = []
                for stream in busy:
                    if stream.turn(outbox):
                        again.append(stream)
                    while not outbox.push():
                        self.collect()
                busy = again
        finally:
            sys.settrace(None)
            for stream in streams:
                stream.close()
            for fd in given[2 * len(streams) :]:  # killed while it was made a stream
                os.close(fd)


class Killed(BaseException):
    """What SIGKILL is here."""


class Death:
    """Counts the statements of the relay that can change anything, and raises `Killed` before one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.statements = 0
        self.happened = False

    def __enter__(self) -> Death:
        sys.settrace(self._step)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        sys.settrace(None)
        self.happened = kind is Killed
        return self.happened

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.endswith(_STATEFUL):
            return None
        if event == "line":
            if self.statements == self.kill_at:
                raise Killed
            self.statements += 1
        return self._step


def _run(directory: Path, fatal_phase: int, deaths: list[int | None]) -> int:
    """All phases, with *deaths* in one of them; how many statements that phase has when nobody dies."""
    host = Host(directory)
    statements = 0
    try:
        for number, texts in enumerate(PHASES):
            for writer, text in zip(host.writers, texts, strict=True):
                assert os.write(writer, text) == len(text)
            if number == len(PHASES) - 1:
                for writer in host.writers:
                    os.dup2(host.readers[0], writer)  # closes the writing end, keeps the number
            if number == fatal_phase:
                for death in deaths:
                    statements = host.relay(death)
            host.relay()
        assert host.received == {
            "stdout": [b"a", b"", b"c", b"begin end", b"x" * 50, b"last, no newline"],
            "stderr": [b"b1", b"b2", b"b3", b"", b"y" * (LONGEST + 9), b"z" * (LONGEST + 1)],
        }
        return statements
    finally:
        host.close()


@pytest.mark.parametrize("phase", range(len(PHASES)))
def test_killed_at_any_statement_every_line_is_sent_once(tmp_path: Path, phase: int) -> None:
    """SIGKILL before each statement of the relay in turn, the last of the stream included: nothing lost or doubled."""
    statements = _run(tmp_path, phase, [None])
    assert statements > 100
    for kill_at in range(statements):
        _run(tmp_path, phase, [kill_at])


def test_killed_again_while_it_recovers(tmp_path: Path) -> None:
    """Three deaths in a row, each after the recovery has begun."""
    dice = random.Random(20240501)
    for _ in range(150):
        _run(tmp_path, dice.randrange(len(PHASES)), [dice.randrange(250) for _ in range(3)])
