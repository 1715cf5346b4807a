"""Which paths below /proc and /sys a container does not see, and which it cannot write.

Owns podman's two lists (containers/common pkg/config) and what Mask= and Unmask= make of them (podman specgen,
BlockAccessToKernelFilesystems). Pure. The runtime covers what exists; a path that this kernel does not have costs
nothing.
"""

from __future__ import annotations

import posixpath
import re

from supervisor.errors import UserError
from supervisor.spec.security import Security

# default_linux.go, the union of podman 4.3's and 5.4's lists.
HIDDEN = (
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
#: What the host may have mounted below /proc; a /proc of the container's own has nothing there.
BELOW_PROC = ("/proc/fs/nfsd", "/proc/sys/fs/binfmt_misc")
READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

CGROUPS = "/sys/fs/cgroup"
#: SELinux inside the container takes its file system, and /proc to label the processes (podman specgenutil).
_NESTED = ("/sys/fs/selinux", "/proc")


def hidden(security: Security, *, privileged: bool, hosts_proc: bool = False) -> tuple[str, ...]:
    """OCI ``maskedPaths``, each once. What Mask= names is hidden in a privileged container too. *hosts_proc*: /proc is
    the host's own, with what is mounted below it, which READ_ONLY does not seal."""
    usual = () if privileged else _kept((*HIDDEN, *(BELOW_PROC if hosts_proc else ())), security)
    return tuple(dict.fromkeys((*usual, *security.mask)))


def read_only(security: Security, *, privileged: bool) -> tuple[str, ...]:
    """OCI ``readonlyPaths``."""
    return () if privileged else _kept(READ_ONLY, security)


def writable_cgroups(security: Security) -> bool:
    """Whether the container may write its own control group: ALL, or exactly that path, no pattern."""
    return any(text.upper() == "ALL" or posixpath.normpath(text) == CGROUPS for text in security.unmask)


def shows_something(pattern: str) -> bool:
    """Whether Unmask= with *pattern* changes anything."""
    if pattern.upper() == "ALL" or posixpath.normpath(pattern) == CGROUPS:
        return True
    return any(matches(pattern, path) for path in (*HIDDEN, *READ_ONLY))


def matches(pattern: str, path: str) -> bool:
    """Go's path/filepath.Match: ``*`` and ``?`` stop at a slash, ``[a-z]`` and ``[^a-z]`` are classes, a backslash
    quotes. Raises `UserError` for a pattern that is none."""
    return re.fullmatch(_expression(pattern), path, re.DOTALL) is not None


def _kept(paths: tuple[str, ...], security: Security) -> tuple[str, ...]:
    patterns = (*security.unmask, *(_NESTED if security.label_nested else ()))
    if any(pattern.upper() == "ALL" for pattern in patterns):
        return ()
    return tuple(path for path in paths if not any(matches(pattern, path) for pattern in patterns))


def _expression(pattern: str) -> str:
    found, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            found += "[^/]*"
        elif character == "?":
            found += "[^/]"
        elif character == "[":
            text, at = _character_class(pattern, at)
            found += text
        elif character == "\\":
            text, at = _quoted(pattern, at)
            found += re.escape(text)
        else:
            found += re.escape(character)
    return found


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    """The class whose '[' was read, and where it ends. As in Go, an inverted one matches a slash, and a first ']' is
    no member."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while at < len(pattern) and not (pattern[at] == "]" and ranges):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        if high < low:
            raise _bad(pattern)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if at >= len(pattern):
        raise _bad(pattern)
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    character = pattern[at : at + 1]
    if not character or character in "-]":
        raise _bad(pattern)
    return _quoted(pattern, at + 1) if character == "\\" else (character, at + 1)


def _quoted(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern):
        raise _bad(pattern)
    return pattern[at], at + 1


def _bad(pattern: str) -> UserError:
    return UserError(f"'{pattern}' is not a pattern; close every '[', and write nothing after a last backslash")
