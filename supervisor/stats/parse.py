"""The kernel's files of a control group and of a network namespace: bytes in, values out. Pure.

Only the kernel writes these files, so what does not look as documented is a kernel we do not know: it reads as absent
(None), it is never an error that would take the rest of the answer with it.
"""

from __future__ import annotations

from supervisor.stats.usage import Cpu, Interface, Io, Pressure, Stall

_INTERFACE_NUMBERS = 16


def number(data: bytes) -> int | None:
    """A file that holds one number; None for anything else, 'max' among it."""
    text = data.strip()
    return int(text) if text.isdigit() else None


def flat(data: bytes) -> dict[bytes, int]:
    """A flat keyed file: ``KEY VALUE`` lines; those whose value is no number are left out."""
    found: dict[bytes, int] = {}
    for line in data.split(b"\n"):
        key, blank, value = line.partition(b" ")
        if blank and value.isdigit():
            found[key] = int(value)
    return found


def cpu(stat: bytes, limit: bytes = b"") -> Cpu | None:
    """cpu.stat, and cpu.max if there is one."""
    found = flat(stat)
    if b"usage_usec" not in found:
        return None
    return Cpu(
        found[b"usage_usec"],
        found.get(b"user_usec", 0),
        found.get(b"system_usec", 0),
        found.get(b"nr_periods"),
        found.get(b"nr_throttled"),
        found.get(b"throttled_usec"),
        cores(limit),
    )


def cores(limit: bytes) -> float | None:
    """cpu.max (``QUOTA PERIOD``, microseconds) in cores; None for 'max'."""
    words = limit.split()
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def io(data: bytes) -> Io:
    """io.stat: ``MAJOR:MINOR KEY=VALUE…`` lines, one for each device, added up."""
    totals = {b"rbytes": 0, b"wbytes": 0, b"rios": 0, b"wios": 0}
    for line in data.split(b"\n"):
        for word in line.split()[1:]:
            key, _, value = word.partition(b"=")
            if key in totals and value.isdigit():
                totals[key] += int(value)
    return Io(totals[b"rbytes"], totals[b"wbytes"], totals[b"rios"], totals[b"wios"])


def pressure(data: bytes) -> Pressure | None:
    """A pressure file: a line 'some', and mostly one 'full'."""
    stalls: dict[bytes, Stall] = {}
    for line in data.split(b"\n"):
        kind, *words = line.split() or [b""]
        values = dict(word.partition(b"=")[::2] for word in words)
        total = number(values.get(b"total", b""))
        if total is not None:
            averages = (_percent(values.get(key, b"")) for key in (b"avg10", b"avg60", b"avg300"))
            stalls[kind] = Stall(total, *averages)
    return Pressure(stalls[b"some"], stalls.get(b"full")) if b"some" in stalls else None


def interfaces(data: bytes) -> tuple[Interface, ...]:
    """/proc/PID/net/dev without 'lo', in the kernel's order. A name is whatever the container made it, decoded with
    'replace'; the kernel keeps only '/', ':' and white space out of it."""
    found = []
    for line in data.split(b"\n")[2:]:
        name, colon, rest = line.partition(b":")
        words = rest.split()
        if not colon or len(words) < _INTERFACE_NUMBERS or not all(word.isdigit() for word in words):
            continue
        if (name := name.strip()) != b"lo":
            n = [int(word) for word in words]
            found.append(Interface(name.decode("utf-8", "replace"), *n[0:4], *n[8:12]))
    return tuple(found)


def _percent(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
