"""Resource limits: systemd.resource-control(5) settings and podman's, as properties of the scope. Pure.

The processes of a container are in its scope, not in ``ctr@NAME.service``, so limits written in [Service] are
translated into what StartTransientUnit wants (org.freedesktop.systemd1(5)). Settings without a translation are refused
in `sections`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

#: What systemd calls infinity in a 't' property.
INFINITY = 2**64 - 1

#: Highest CPU or memory node number a list may name; the kernel's own limit is 8192 CPUs.
_MAX_NODE = 8191

_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,2})?)%")


def scope_property(key: str, text: str) -> ScopeProperty:
    """The property for ``key=text`` of [Service]; *key* must be one of `KEYS`. Raises `UserError` for a bad value."""
    name, signature, convert = KEYS[key]
    return ScopeProperty(name, signature, convert(text))


def memory(text: str) -> tuple[ScopeProperty, ...]:
    """podman's ``--memory``: the limit, and as much swap again; 0 is no limit (podman-run(1) --memory-swap)."""
    limit = values.size(text)
    if limit == 0:
        return ()
    return (ScopeProperty("MemoryMax", "t", str(limit)), ScopeProperty("MemorySwapMax", "t", str(limit)))


def pids_limit(text: str) -> ScopeProperty:
    """podman's ``--pids-limit``; -1 is no limit."""
    limit = values.integer(text, -1, 2**31 - 1)
    if limit == 0:
        raise UserError("0 tasks would let nothing start; write -1 for no limit")
    return ScopeProperty("TasksMax", "t", str(INFINITY if limit == -1 else limit))


def _bytes(text: str) -> str:
    if text == "infinity":
        return str(INFINITY)
    if text.endswith("%"):
        raise UserError(
            f"{values.short(text)}: a share of the host's memory is not supported yet; write bytes, like 512M"
        )
    return str(values.size(text))


def _positive_bytes(text: str) -> str:
    if (value := _bytes(text)) == "0":
        raise UserError("0 bytes would let nothing start; write infinity for no limit")
    return value


def _tasks(text: str) -> str:
    if text == "infinity":
        return str(INFINITY)
    if text.endswith("%"):
        raise UserError(f"{values.short(text)}: a share of the host's tasks is not supported yet; write a number")
    return str(values.integer(text, 1, 2**63 - 1))


def _quota(text: str) -> str:
    match = _PERCENT.fullmatch(text)
    # Microseconds of CPU time for each second: 100% of one CPU is 1,000,000.
    quota = int(Fraction(match[1]) * 10_000) if match else 0
    if quota == 0:
        raise UserError(f"{values.short(text)} is not a CPU quota; write percent of one CPU, like 50% or 200%")
    return str(quota)


def _period(text: str) -> str:
    period = values.microseconds(text)
    if not 1_000 <= period <= 1_000_000:
        raise UserError(f"{values.short(text)} is not a quota period; write 1ms to 1s")
    return str(period)


def _weight(text: str) -> str:
    return str(values.integer(text, 1, 10_000))


def _cpu_weight(text: str) -> str:
    # CGROUP_WEIGHT_IDLE is 0 on D-Bus.
    return "0" if text == "idle" else _weight(text)


def _boolean(text: str) -> str:
    return "true" if values.boolean(text) else "false"


def mask(text: str) -> str:
    """A list like '0-3,5 7' as the bytes of a bit mask in hex, lowest bit first, as systemd sends CPU sets."""
    bits = 0
    for part in re.split(r"[\s,]+", text.strip(" \t,")):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high or high > _MAX_NODE:
            raise UserError(f"{values.short(text)} is not a list of numbers; write numbers and ranges, like 0-3,5")
        bits |= (1 << (high + 1)) - (1 << low)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()


#: Key of [Service]: property name, D-Bus signature, and how a value is read.
KEYS: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "MemoryMax": ("MemoryMax", "t", _positive_bytes),
    "MemoryHigh": ("MemoryHigh", "t", _positive_bytes),
    "MemoryLow": ("MemoryLow", "t", _bytes),
    "MemoryMin": ("MemoryMin", "t", _bytes),
    "MemorySwapMax": ("MemorySwapMax", "t", _bytes),
    "MemoryAccounting": ("MemoryAccounting", "b", _boolean),
    "TasksMax": ("TasksMax", "t", _tasks),
    "TasksAccounting": ("TasksAccounting", "b", _boolean),
    "CPUQuota": ("CPUQuotaPerSecUSec", "t", _quota),
    "CPUQuotaPeriodSec": ("CPUQuotaPeriodUSec", "t", _period),
    "CPUWeight": ("CPUWeight", "t", _cpu_weight),
    "CPUAccounting": ("CPUAccounting", "b", _boolean),
    "AllowedCPUs": ("AllowedCPUs", "ay", mask),
    "AllowedMemoryNodes": ("AllowedMemoryNodes", "ay", mask),
    "IOWeight": ("IOWeight", "t", _weight),
    "IOAccounting": ("IOAccounting", "b", _boolean),
}
