"""What a control group has used, as values. Pure.

Names and meanings are those of the kernel: cgroup v2 (Documentation/admin-guide/cgroup-v2.rst), pressure stall
information (Documentation/accounting/psi.rst), proc_pid_net(5). A member is None where the host does not tell: a
controller that is not enabled, a file that an older kernel lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1_000_000
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time since the group was made, in microseconds of one core."""

    usage: int
    user: int = 0
    system: int = 0
    periods: int | None = None
    """Enforcement periods that have passed; without the cpu controller, None, as the next two."""
    throttled_periods: int | None = None
    throttled: int | None = None
    """Microseconds in which it was held back by its limit."""
    limit: float | None = None
    """Cores it may use at most (cpu.max); None: no limit, or no cpu controller."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    current: int
    peak: int | None = None
    """Most it has had (kernel 5.19 or later)."""
    limit: int | None = None
    """Its own limit (memory.max); None: none. What a slice above allows may be less."""
    swap: int | None = None
    anon: int = 0
    """Anonymous memory: heaps, stacks."""
    file: int = 0
    """Page cache, tmpfs and shared memory included."""
    inactive_file: int = 0
    """The part of the page cache the kernel drops first."""
    oom_kills: int | None = None
    """Processes of the group that the OOM killer has ended."""
    limit_hits: int | None = None
    """How often the limit was reached and memory had to be reclaimed (memory.events, max)."""

    @property
    def working_set(self) -> int:
        """What docker and the kubelet call usage: without the page cache that is dropped first."""
        return max(0, self.current - self.inactive_file)


@dataclass(frozen=True, slots=True)
class Io:
    """Bytes and operations on block devices, all devices together. A stack of devices (dm on sda) counts twice."""

    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Pids:
    """Tasks (processes and threads)."""

    current: int
    limit: int | None = None
    """None: no limit."""


@dataclass(frozen=True, slots=True)
class Stall:
    """One line of a pressure file."""

    total: int
    """Microseconds of waiting since the group was made."""
    avg10: float = 0.0
    """Percent of the last 10 seconds."""
    avg60: float = 0.0
    avg300: float = 0.0


@dataclass(frozen=True, slots=True)
class Pressure:
    """Time in which *some* task, or every one (*full*), waited for a resource."""

    some: Stall
    full: Stall | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """Counters of one network interface since it was made. A container may name its interfaces as it likes."""

    name: str
    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_drops: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_drops: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything of one control group at one moment."""

    at: float
    """time.monotonic() of the reading, seconds."""
    group: int
    """Inode of the cgroup's directory: another one, and it is another run that counts from zero."""
    cpu: Cpu | None = None
    memory: Memory | None = None
    io: Io | None = None
    pids: Pids | None = None
    cpu_pressure: Pressure | None = None
    memory_pressure: Pressure | None = None
    io_pressure: Pressure | None = None
    interfaces: tuple[Interface, ...] | None = None
    """All but 'lo'. None: not known, or the host's own network; () with no network at all."""

    @property
    def received_bytes(self) -> int | None:
        """Of all interfaces together."""
        return None if self.interfaces is None else sum(one.received_bytes for one in self.interfaces)

    @property
    def sent_bytes(self) -> int | None:
        """Of all interfaces together."""
        return None if self.interfaces is None else sum(one.sent_bytes for one in self.interfaces)
