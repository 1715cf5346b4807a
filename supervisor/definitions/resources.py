"""Resource limits: systemd.resource-control(5) settings and podman's, as properties of the scope. Pure.

The processes of a container are in its scope, not in ``ctr@NAME.service``, so limits written in [Service] are
translated into what StartTransientUnit wants (org.freedesktop.systemd1(5), "Scope Unit Objects"). Settings without a
translation are refused in `sections`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

#: What systemd calls infinity in a 't' property.
INFINITY = 2**64 - 1

#: D-Bus types whose properties are lists: an assignment adds to the ones before it.
LISTS = ("a(ss)", "a(st)")

#: Highest CPU or memory node number a list may name; the kernel's own limit is 8192 CPUs.
_MAX_NODE = 8191

_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,2})?)%")
_SCALE = 2**32 - 1
_KERNEL_DEVICES = re.compile(r"(char|block)-[A-Za-z0-9_.*?\[\]-]+")


@dataclass(frozen=True, slots=True)
class Key:
    """How one setting of [Service] gets onto the scope."""

    property: str
    signature: str
    read: Callable[[str], str]
    since: int = 0
    """The systemd version whose scopes first have the property."""
    scaled: bool = False
    """Whether a percentage is possible: systemd then has a property NAMEScale, a share of 2**32-1."""


def scope_property(key: str, text: str) -> ScopeProperty:
    """The property for ``key=text`` of [Service]; *key* must be one of `KEYS`. Raises `UserError` for a bad value."""
    known = KEYS[key]
    if known.scaled and text.endswith("%"):
        return ScopeProperty(f"{known.property}Scale", "u", _share(text))
    return ScopeProperty(known.property, known.signature, known.read(text))


def added(before: ScopeProperty | None, new: ScopeProperty) -> ScopeProperty:
    """*new*, after *before* was there: a list grows, its last entry for a device wins; anything else is replaced."""
    if before is None or new.signature not in LISTS:
        return new
    entries = {line.rpartition(" ")[0]: line for line in (*before.value.split("\n"), *new.value.split("\n"))}
    return ScopeProperty(new.name, new.signature, "\n".join(entries.values()))


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


def device_path(text: str) -> str:
    """The device of an I/O limit. Raises `UserError`."""
    path = values.path(text, "device")
    if not path.startswith("/dev/") or re.search(r"[\s,:]", path):
        raise UserError(f"{values.short(text)} is not a disk; write its node below /dev, like /dev/vda")
    return path


def _bytes(text: str) -> str:
    return str(INFINITY if text == "infinity" else values.size(text))


def _positive_bytes(text: str) -> str:
    if (value := _bytes(text)) == "0":
        raise UserError("0 bytes would let nothing start; write infinity for no limit")
    return value


def _share(text: str) -> str:
    """A percentage of what the host has, as systemd scales it (UINT32_SCALE_FROM_PERMYRIAD)."""
    match = _PERCENT.fullmatch(text)
    permyriad = int(Fraction(match[1]) * 100) if match else 0
    if not 0 < permyriad <= 10_000:
        raise UserError(f"{values.short(text)} is not a share of the host's; write 1% to 100%, or the amount itself")
    return str((permyriad * _SCALE + 5_000) // 10_000)


def _tasks(text: str) -> str:
    return str(INFINITY if text == "infinity" else values.integer(text, 1, 2**63 - 1))


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


def _span(text: str) -> str:
    return str(values.microseconds(text))


def _weight(text: str) -> str:
    return str(values.integer(text, 1, 10_000))


def _cpu_weight(text: str) -> str:
    # CGROUP_WEIGHT_IDLE is 0 on D-Bus.
    return "0" if text == "idle" else _weight(text)


def _boolean(text: str) -> str:
    return "true" if values.boolean(text) else "false"


def _word(choices: str) -> Callable[[str], str]:
    """A reader of one of the words in *choices*."""

    def read(text: str) -> str:
        if text in choices.split():
            return text
        raise UserError(f"{values.short(text)} is unknown; write {', '.join(choices.split())}")

    return read


def _device_policy(text: str) -> str:
    if text == "auto":
        # The devices every container has are listed, and with a list systemd takes auto for closed.
        return "closed"
    return _word("strict closed auto")(text)


def _per_device(read: Callable[[str], str]) -> Callable[[str], str]:
    """A reader of 'DEVICE VALUE'."""

    def pair(text: str) -> str:
        path, space, value = text.rpartition(" ")
        if not space:
            raise UserError(f"{values.short(text)} has no device, or no value; write both, like '/dev/vda 1M'")
        return f"{device_path(path.strip())} {read(value)}"

    return pair


def _rate(text: str) -> str:
    """Per second; systemd.resource-control(5) counts these in powers of 1000."""
    if text == "infinity":
        return str(INFINITY)
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGT]?)", text)
    rate = int(Fraction(match[1]) * 1000 ** " KMGT".index(match[2] or " ")) if match else 0
    if rate == 0:
        raise UserError(f"{values.short(text)} is not a rate; write a number per second with K, M or G, like 5M")
    return str(rate)


def _device_allow(text: str) -> str:
    """'/dev/NODE [rwm]', or char- or block- and a name of /proc/devices (systemd.resource-control(5))."""
    device, _, access = text.partition(" ")
    access = access.strip() or "rwm"
    if not set(access) <= set("rwm") or len(set(access)) != len(access):
        raise UserError(f"{values.short(access)} are no device permissions; combine r, w and m")
    if not _KERNEL_DEVICES.fullmatch(device) and not values.path(device, "device").startswith("/dev/"):
        raise UserError(f"{values.short(device)} is not a device; write a node below /dev, or char-NAME or block-NAME")
    return f"{device} {access}"


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


def _with_startup() -> dict[str, Key]:
    """What has a Startup… setting too, which applies until the host has booted."""
    plain = {
        "MemoryMax": Key("MemoryMax", "t", _positive_bytes, scaled=True),
        "MemoryHigh": Key("MemoryHigh", "t", _positive_bytes, scaled=True),
        "MemoryLow": Key("MemoryLow", "t", _bytes, scaled=True),
        "MemorySwapMax": Key("MemorySwapMax", "t", _bytes, scaled=True),
        "MemoryZSwapMax": Key("MemoryZSwapMax", "t", _bytes, 253, scaled=True),
        "CPUWeight": Key("CPUWeight", "t", _cpu_weight),
        "AllowedCPUs": Key("AllowedCPUs", "ay", mask),
        "AllowedMemoryNodes": Key("AllowedMemoryNodes", "ay", mask),
        "IOWeight": Key("IOWeight", "t", _weight),
    }
    startup = {}
    for name, key in plain.items():
        # There is no scaled property of these.
        since = 254 if name.startswith("Memory") else 0
        startup[f"Startup{name}"] = Key(f"Startup{key.property}", key.signature, key.read, since)
    return plain | startup


_MANAGED = _word("auto kill")

#: Key of [Service] to what becomes of it.
KEYS: dict[str, Key] = {
    **_with_startup(),
    "MemoryMin": Key("MemoryMin", "t", _bytes, scaled=True),
    "MemoryZSwapWriteback": Key("MemoryZSwapWriteback", "b", _boolean, 256),
    "MemoryAccounting": Key("MemoryAccounting", "b", _boolean),
    "TasksMax": Key("TasksMax", "t", _tasks, scaled=True),
    "TasksAccounting": Key("TasksAccounting", "b", _boolean),
    "CPUQuota": Key("CPUQuotaPerSecUSec", "t", _quota),
    "CPUQuotaPeriodSec": Key("CPUQuotaPeriodUSec", "t", _period),
    "CPUAccounting": Key("CPUAccounting", "b", _boolean),
    "IOAccounting": Key("IOAccounting", "b", _boolean),
    "IODeviceWeight": Key("IODeviceWeight", "a(st)", _per_device(_weight)),
    "IODeviceLatencyTargetSec": Key("IODeviceLatencyTargetUSec", "a(st)", _per_device(_span)),
    "IOReadBandwidthMax": Key("IOReadBandwidthMax", "a(st)", _per_device(_rate)),
    "IOWriteBandwidthMax": Key("IOWriteBandwidthMax", "a(st)", _per_device(_rate)),
    "IOReadIOPSMax": Key("IOReadIOPSMax", "a(st)", _per_device(_rate)),
    "IOWriteIOPSMax": Key("IOWriteIOPSMax", "a(st)", _per_device(_rate)),
    "DevicePolicy": Key("DevicePolicy", "s", _device_policy),
    "DeviceAllow": Key("DeviceAllow", "a(ss)", _device_allow),
    "OOMPolicy": Key("OOMPolicy", "s", _word("continue stop kill")),
    "ManagedOOMSwap": Key("ManagedOOMSwap", "s", _MANAGED),
    "ManagedOOMMemoryPressure": Key("ManagedOOMMemoryPressure", "s", _MANAGED),
    "ManagedOOMMemoryPressureLimit": Key("ManagedOOMMemoryPressureLimit", "u", _share),
    "ManagedOOMMemoryPressureDurationSec": Key("ManagedOOMMemoryPressureDurationUSec", "t", _span, 257),
    "ManagedOOMPreference": Key("ManagedOOMPreference", "s", _word("none avoid omit")),
}
