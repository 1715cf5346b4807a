"""Limits in the words of docker and podman, as properties of the scope: ``ctrctl run``'s options and PodmanArgs=. Pure.

What systemd calls the same is read by `resources`; here is what needs converting. Each reader takes one value; options
that belong together (`quota`, `swap`) are put together after they were read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from supervisor.definitions import resources, values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

_INFINITE = str(resources.INFINITY)
#: podman-run(1) --cpu-period: what a quota counts for when nothing else is said, in microseconds.
_PERIOD = 100_000


def cpus(text: str) -> ScopeProperty:
    """``--cpus``: so many CPUs' worth of time."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) or not (quota := int(Fraction(text) * 10**6)):
        raise UserError(f"{values.short(text)} is not a number of CPUs; write one like 1.5")
    return ScopeProperty("CPUQuotaPerSecUSec", "t", str(quota))


def cpu_period(text: str) -> int:
    """``--cpu-period``, in microseconds."""
    return values.integer(text, 1_000, 1_000_000)


def cpu_quota(text: str) -> int:
    """``--cpu-quota``, in microseconds for each period; -1 is no limit."""
    found = values.integer(text, -1, 2**40)
    if 0 < found < 1_000:
        raise UserError(f"{found}: the kernel needs 1000 at least; write more, or -1 for no limit")
    return found


def quota(limit: int | None, period: int | None) -> tuple[ScopeProperty, ...]:
    """CPUQuota= from the two numbers of the kernel's cpu.max."""
    found = [] if period is None else [ScopeProperty("CPUQuotaPeriodUSec", "t", str(period))]
    if limit is not None:
        share = str(limit * 1_000_000 // (period or _PERIOD)) if limit > 0 else _INFINITE
        found.append(ScopeProperty("CPUQuotaPerSecUSec", "t", share))
    elif period is not None:
        raise UserError("needs the time it is about; add --cpu-quota, or use --cpus alone")
    return tuple(found)


def swap(text: str, memory: int, written: str) -> ScopeProperty:
    """``--memory-swap`` counts memory and swap together, MemorySwapMax= swap alone; -1 is no limit. *memory*: the limit
    in bytes, and how its author wrote it."""
    if text == "-1":
        return ScopeProperty("MemorySwapMax", "t", _INFINITE)
    if memory in (0, resources.INFINITY):
        raise UserError("a limit for swap needs one for memory; add --memory")
    if (found := values.size(text) - memory) < 0:
        raise UserError(f"{values.short(text)} is less than {written}, which it includes; write more")
    return ScopeProperty("MemorySwapMax", "t", str(found))


def _shares(text: str) -> ScopeProperty:
    """cgroup v1 shares as a v2 weight, by the formula that crun and runc use."""
    shares = values.integer(text, 2, 262144)
    return ScopeProperty("CPUWeight", "t", str(1 + (shares - 2) * 9999 // 262142))


def _weight(text: str) -> str:
    """blkio's 10 to 1000 as io.weight's 1 to 10000, by the formula that crun and runc use."""
    return str(1 + (values.integer(text, 10, 1000) - 10) * 9999 // 990)


def _pair(key: str, reader: Callable[[str], str]) -> Callable[[str], ScopeProperty]:
    """DEVICE:VALUE as an entry 'PATH NUMBER' of the list *key*."""

    def read(text: str) -> ScopeProperty:
        path, colon, value = text.rpartition(":")
        if not colon:
            raise UserError(f"{values.short(text)} has no value; write DEVICE:VALUE, like /dev/vda:1m")
        return ScopeProperty(key, "a(st)", f"{resources.device_path(path)} {reader(value)}")

    return read


def _rate(text: str) -> str:
    return str(values.size(text) or _INFINITE)


def _count(text: str) -> str:
    return str(values.integer(text, 0, 2**63 - 1) or _INFINITE)


#: Options that stand alone: the key of [Service] that says the same, and their reader.
SINGLE: dict[str, tuple[str, Callable[[str], ScopeProperty]]] = {
    "--memory-reservation": ("MemoryLow", lambda text: resources.scope_property("MemoryLow", text)),
    "--cpu-shares": ("CPUWeight", _shares),
    "--cpuset-cpus": ("AllowedCPUs", lambda text: resources.scope_property("AllowedCPUs", text)),
    "--cpuset-mems": ("AllowedMemoryNodes", lambda text: resources.scope_property("AllowedMemoryNodes", text)),
    "--pids-limit": ("TasksMax", resources.pids_limit),
    "--blkio-weight": ("IOWeight", lambda text: ScopeProperty("IOWeight", "t", _weight(text))),
}

#: Options that may be given for several devices, one entry of a list each.
LISTED: dict[str, tuple[str, Callable[[str], ScopeProperty]]] = {
    "--blkio-weight-device": ("IODeviceWeight", _pair("IODeviceWeight", _weight)),
    "--device-read-bps": ("IOReadBandwidthMax", _pair("IOReadBandwidthMax", _rate)),
    "--device-write-bps": ("IOWriteBandwidthMax", _pair("IOWriteBandwidthMax", _rate)),
    "--device-read-iops": ("IOReadIOPSMax", _pair("IOReadIOPSMax", _count)),
    "--device-write-iops": ("IOWriteIOPSMax", _pair("IOWriteIOPSMax", _count)),
}
