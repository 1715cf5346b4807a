"""Limits of ``ctrctl run``, ``create`` and ``update``: docker's words as properties of the scope. Pure.

How a value reads is in `supervisor.definitions.podman_limits`, which PodmanArgs= shares.
"""

from __future__ import annotations

import argparse

from supervisor.cli import option
from supervisor.definitions import podman_limits, resources, values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

_INFINITE = str(resources.INFINITY)


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
    found = [*_memory(args, {p.name: p.value for p in before}), *_quota(args)]
    for name, (_, reader) in podman_limits.SINGLE.items():
        if (text := getattr(args, _member(name))) is not None:
            found.append(option.read(name, reader, text))
    for name, (_, reader) in podman_limits.LISTED.items():
        limit: ScopeProperty | None = None
        for text in getattr(args, _member(name)) or ():
            limit = resources.added(limit, option.read(name, reader, text))
        found += [limit] if limit else []
    return tuple(found)


def _member(name: str) -> str:
    """What argparse calls the value of the option *name*."""
    return name.removeprefix("--").replace("-", "_")


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
        written = f"--memory {args.memory}" if args.memory else f"the container's memory of {limit} bytes"
        with option.named("--memory-swap"):
            found.append(podman_limits.swap(args.memory_swap, limit, written))
    elif memory is not None and before.get("MemorySwapMax") == before.get("MemoryMax"):
        found.append(ScopeProperty("MemorySwapMax", "t", str(memory or _INFINITE)))
    return tuple(found)


def _quota(args: argparse.Namespace) -> tuple[ScopeProperty, ...]:
    """CPUQuota=, from --cpus, or from the two numbers of the kernel's cpu.max."""
    if args.cpus is not None:
        if args.cpu_quota is not None or args.cpu_period is not None:
            raise UserError("--cpus: contradicts --cpu-quota and --cpu-period; use one or the other")
        return (option.read("--cpus", podman_limits.cpus, args.cpus),)
    period = option.one("--cpu-period", podman_limits.cpu_period, args.cpu_period)
    quota = option.one("--cpu-quota", podman_limits.cpu_quota, args.cpu_quota)
    with option.named("--cpu-period"):
        return podman_limits.quota(quota, period)
