"""Times commands and keeps samples. Seconds everywhere; what a row means is its module's business."""

from __future__ import annotations

import os
import select
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

#: Seconds after which a command counts as hung.
PATIENCE = 300


class BenchError(Exception):
    """A command that a measurement needs has failed; the message has its words."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What DESIGN section 8 asks: *subject*'s value at most *ratio* of *peer*'s."""

    peer: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What DESIGN section 8 asks as a number of its own, in the row's unit; at most, or at least."""

    value: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: samples of each column, in *unit* ('s', 'MB', 'lines/s', 'lines')."""

    what: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    budgets: tuple[Budget | Limit, ...] = ()
    notes: tuple[str, ...] = ()

    def median(self, column: str) -> float | None:
        """The median of *column*; None when it has no samples."""
        values = self.samples.get(column, ())
        return statistics.median(values) if values else None


@dataclass(slots=True)
class Sampler:
    """Collects samples of several columns, taking one of each in turn so that a slow minute hits all alike."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def rounds(self, count: int, takes: Mapping[str, Callable[[], float]]) -> Sampler:
        """Call each of *takes* (column -> one measurement) *count* times, after one round that is not kept."""
        for number in range(count + 1):
            for column, take in takes.items():
                value = take()
                if number:
                    self.samples.setdefault(column, []).append(value)
        return self


def run(command: Sequence[str], *, check: bool = True, environment: Mapping[str, str] | None = None) -> str:
    """Run *command* and return its standard output; raise `BenchError` with its words when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        raise BenchError(f"{command[0]}: not found") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"{shlex.join(command)}: still running after {PATIENCE} s") from None
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BenchError(f"{shlex.join(command)[:200]}: exit status {done.returncode}: {' / '.join(words)}")
    return done.stdout


def timed(command: Sequence[str]) -> float:
    """Seconds until *command* has returned. Its output goes nowhere, so that no pipe is kept open by a container."""
    started = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        # Not `wait` with a timeout: that looks every 50 ms, which then is the precision of what is measured.
        with open(os.pidfd_open(process.pid), "rb") as end:
            if not select.select([end], (), (), PATIENCE)[0]:
                process.kill()
                raise BenchError(f"{shlex.join(command)[:200]}: still running after {PATIENCE} s")
        seconds = time.monotonic() - started
        status = process.wait()
        # The peers' resident processes may keep stderr open: read only when it has failed.
        words = process.stderr.read() if status and process.stderr else ""
        if process.stderr:
            process.stderr.close()
    if status:
        raise BenchError(f"{shlex.join(command)[:200]}: exit status {status}: {words.strip()[-300:]}")
    return seconds
