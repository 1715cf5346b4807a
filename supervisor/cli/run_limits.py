"""Limits of ``ctrctl run``, ``create`` and ``update``: docker's words as properties of the scope. Pure.

What systemd calls the same is read by `supervisor.definitions.resources`; here is what needs converting.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction

from supervisor.cli import option
from supervisor.definitions import resources, values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

_INFINITE = str(resources.INFINITY)
#: docker-run(1) --cpu-period: what a quota counts for when nothing else is said, in microseconds.
_PERIOD = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``run`` and ``create``: `configure_live`'s, and those that nobody can change later."""
    group = configure_live(parser)
    group.add_argument("--ulimit", action="append", metavar="NAME=SOFT[:HARD]", help="setrlimit(2) limit")
    group.add_argument("--oom-score-adj", metavar="NUMBER", help="-1000 to 1000: who is killed first without memory")


def configure_live(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that become scope properties; their group."""
    group = parser.add_argument_group("limits")
    group.add_argument("-m", "--memory", metavar="SIZE", help="memory, and as much swap again; 0 is no limit")
    group.add_argument("--memory-swap", metavar="SIZE", help="memory and swap together; -1 is no limit")
    group.add_argument("--memory-reservation", metavar="SIZE", help="memory that is taken away last")
    group.add_argument("--cpus", metavar="NUMBER", help="CPUs' worth of time, like 1.5")
    group.add_argument("--cpu-quota", metavar="MICROSECONDS", help="CPU time in each --cpu-period; -1 is no limit")
    group.add_argument("--cpu-period", metavar="MICROSECONDS", help="1000 to 1000000 (default: 100000)")
    group.add_argument("-c", "--cpu-shares", metavar="NUMBER", help="weight, 2 to 262144; 1024 is usual")
    group.add_argument("--cpuset-cpus", metavar="LIST", help="CPUs to run on, like 0-3,5")
    group.add_argument("--cpuset-mems", metavar="LIST", help="memory nodes to use")
    group.add_argument("--pids-limit", metavar="NUMBER", help="processes and threads; -1 is no limit")
    group.add_argument("--blkio-weight", metavar="NUMBER", help="share of disk time, 10 to 1000")
    group.add_argument(
        "--blkio-weight-device", action="append", metavar="DEVICE:NUMBER", help="the same, of one device"
    )
    for verb in ("read", "write"):
        group.add_argument(
            f"--device-{verb}-bps", action="append", metavar="DEVICE:SIZE", help=f"{verb} so many bytes per second"
        )
        group.add_argument(
            f"--device-{verb}-iops", action="append", metavar="DEVICE:NUMBER", help=f"{verb} so many times per second"
        )
    return group


def properties(args: argparse.Namespace, before: tuple[ScopeProperty, ...] = ()) -> tuple[ScopeProperty, ...]:
    """The scope properties that *args* ask for; *before*: those in force. Raises `UserError` that names the option."""
    named: tuple[tuple[str, str | None, Callable[[str], ScopeProperty]], ...] = (
        ("--memory-reservation", args.memory_reservation, lambda text: resources.scope_property("MemoryLow", text)),
        ("--cpu-shares", args.cpu_shares, _shares),
        ("--cpuset-cpus", args.cpuset_cpus, lambda text: resources.scope_property("AllowedCPUs", text)),
        ("--cpuset-mems", args.cpuset_mems, lambda text: resources.scope_property("AllowedMemoryNodes", text)),
        ("--pids-limit", args.pids_limit, resources.pids_limit),
        ("--blkio-weight", args.blkio_weight, lambda text: ScopeProperty("IOWeight", "t", _blkio_weight(text))),
    )
    listed: tuple[tuple[str, list[str] | None, str, Callable[[str], str]], ...] = (
        ("--blkio-weight-device", args.blkio_weight_device, "IODeviceWeight", _blkio_weight),
        ("--device-read-bps", args.device_read_bps, "IOReadBandwidthMax", _rate),
        ("--device-write-bps", args.device_write_bps, "IOWriteBandwidthMax", _rate),
        ("--device-read-iops", args.device_read_iops, "IOReadIOPSMax", _count),
        ("--device-write-iops", args.device_write_iops, "IOWriteIOPSMax", _count),
    )
    return (
        *_memory(args, {p.name: p.value for p in before}),
        *_quota(args),
        *(option.read(name, reader, text) for name, text, reader in named if text is not None),
        *(
            ScopeProperty(key, "a(st)", "\n".join(option.read(name, lambda t, r=reader: _pair(t, r), t) for t in texts))  # type: ignore[misc]
            for name, texts, key, reader in listed
            if texts
        ),
    )


def _memory(args: argparse.Namespace, before: dict[str, str]) -> tuple[ScopeProperty, ...]:
    """MemoryMax= and MemorySwapMax=: docker's --memory-swap counts both together, systemd's swap alone.

    Without --memory-swap the container has as much swap as memory (podman-run(1)), unless another choice is in force.
    """
    memory = option.one("--memory", values.size, args.memory)
    found = []
    if memory is not None:
        found.append(ScopeProperty("MemoryMax", "t", str(memory or _INFINITE)))
    if args.memory_swap is not None:
        limit = memory if memory is not None else int(before.get("MemoryMax", _INFINITE))
        swap = option.read("--memory-swap", lambda text: _swap(text, limit, args.memory), args.memory_swap)
        found.append(ScopeProperty("MemorySwapMax", "t", str(swap)))
    elif memory is not None and before.get("MemorySwapMax") == before.get("MemoryMax"):
        found.append(ScopeProperty("MemorySwapMax", "t", str(memory or _INFINITE)))
    return tuple(found)


def _swap(text: str, memory: int, written: str | None) -> int:
    if text == "-1":
        return resources.INFINITY
    if memory in (0, resources.INFINITY):
        raise UserError("a limit for swap needs one for memory; add --memory")
    swap = values.size(text) - memory
    if swap < 0:
        limit = f"--memory {written}" if written else f"the container's memory of {memory} bytes"
        raise UserError(f"{values.short(text)} is less than {limit}, which it includes; write more")
    return swap


def _quota(args: argparse.Namespace) -> tuple[ScopeProperty, ...]:
    """CPUQuota=, from --cpus, or from the two numbers of the kernel's cpu.max."""
    if args.cpus is not None and (args.cpu_quota is not None or args.cpu_period is not None):
        raise UserError("--cpus: contradicts --cpu-quota and --cpu-period; use one or the other")
    period = option.one("--cpu-period", lambda text: values.integer(text, 1_000, 1_000_000), args.cpu_period)
    found = [] if period is None else [ScopeProperty("CPUQuotaPeriodUSec", "t", str(period))]
    if args.cpus is not None:
        found.append(option.read("--cpus", _cpus, args.cpus))
    elif args.cpu_quota is not None:
        quota = option.read("--cpu-quota", lambda text: values.integer(text, -1, 2**40), args.cpu_quota)
        if 0 < quota < 1_000:
            raise UserError(f"--cpu-quota: {quota}: the kernel needs 1000 at least; write more, or -1 for no limit")
        share = str(quota * 1_000_000 // (period or _PERIOD)) if quota > 0 else _INFINITE
        found.append(ScopeProperty("CPUQuotaPerSecUSec", "t", share))
    elif period is not None:
        raise UserError("--cpu-period: needs the time it is about; add --cpu-quota, or use --cpus alone")
    return tuple(found)


def _cpus(text: str) -> ScopeProperty:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) or not (quota := int(Fraction(text) * 10**6)):
        raise UserError(f"{values.short(text)} is not a number of CPUs; write one like 1.5")
    return ScopeProperty("CPUQuotaPerSecUSec", "t", str(quota))


def _shares(text: str) -> ScopeProperty:
    """cgroup v1 shares as a v2 weight, by the formula that crun and runc use."""
    shares = values.integer(text, 2, 262144)
    return ScopeProperty("CPUWeight", "t", str(1 + (shares - 2) * 9999 // 262142))


def _blkio_weight(text: str) -> str:
    """blkio's 10 to 1000 as io.weight's 1 to 10000, by the formula that crun and runc use."""
    return str(1 + (values.integer(text, 10, 1000) - 10) * 9999 // 990)


def _pair(text: str, reader: Callable[[str], str]) -> str:
    """DEVICE:VALUE as 'PATH NUMBER'."""
    path, colon, value = text.rpartition(":")
    if not colon:
        raise UserError(f"{values.short(text)} has no value; write DEVICE:VALUE, like /dev/vda:1m")
    return f"{resources.device_path(path)} {reader(value)}"


def _rate(text: str) -> str:
    return str(values.size(text) or _INFINITE)


def _count(text: str) -> str:
    return str(values.integer(text, 0, 2**63 - 1) or _INFINITE)
