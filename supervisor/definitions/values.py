"""The values that keys and command-line options share: text in, typed and checked value out. Pure.

Each function takes one value as a person writes it and returns what `supervisor.spec` holds; each raises `UserError`,
and nothing else, with a message that says what to write instead. Which key a value belongs to is for the caller to add.
Mounts are in `mounts`, resource limits of systemd in `resources`.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from fractions import Fraction

from supervisor.errors import UserError
from supervisor.spec.container import Ulimit

# Numbers of more digits than this are nonsense, and int() refuses very long ones in its own way.
_DIGITS = 30


def words(text: str) -> frozenset[str]:
    """The set of the words in *text*: tables of names read better as prose than as lists of literals."""
    return frozenset(text.split())


_SIZE = re.compile(rf"([0-9]{{1,{_DIGITS}}}(?:\.[0-9]{{1,{_DIGITS}}})?) ?([kKmMgGtTpP]?)(?:[iI]?[bB])?")
_POWERS = {unit: 1024**power for power, unit in enumerate(["", "k", "m", "g", "t", "p"])}
MAX_SIZE = 2**63 - 1

_SPAN = re.compile(rf"([0-9]{{1,{_DIGITS}}}(?:\.[0-9]{{1,{_DIGITS}}})?)\s*([A-Za-zµμ]*)")
#: systemd.time(7), "parsing time spans", in microseconds; a year is 365.25 days, a month a twelfth of it.
_UNITS = {
    **dict.fromkeys(["usec", "us", "µs", "μs"], 1),
    **dict.fromkeys(["msec", "ms"], 1_000),
    **dict.fromkeys(["", "seconds", "second", "sec", "s"], 1_000_000),
    **dict.fromkeys(["minutes", "minute", "min", "m"], 60_000_000),
    **dict.fromkeys(["hours", "hour", "hr", "h"], 3_600_000_000),
    **dict.fromkeys(["days", "day", "d"], 86_400_000_000),
    **dict.fromkeys(["weeks", "week", "w"], 604_800_000_000),
    **dict.fromkeys(["months", "month", "M"], 2_629_800_000_000),
    **dict.fromkeys(["years", "year", "y"], 31_557_600_000_000),
}
MAX_MICROSECONDS = 2**63 - 1

_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_FALSE = frozenset({"0", "no", "n", "false", "f", "off"})

#: signal(7); written out because Python's own list lacks SIGSTKFLT and depends on the platform it runs on.
SIGNALS = words(
    """HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT STOP TSTP TTIN
    TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS"""
)
_REAL_TIME = re.compile(r"RTMIN(\+[0-9]{1,2})?|RTMAX(-[0-9]{1,2})?")

#: capabilities(7), all that Linux 6.x knows.
CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in words(
        """AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
    DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN
    NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT
    SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"""
    )
)

#: setrlimit(2), without RLIMIT_.
ULIMITS = words("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack as")

#: podman-run(1) --sysctl: these belong to the IPC namespace, fs.mqueue.* too; net.* to the network namespace.
_IPC_SYSCTLS = words("""kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni
    kernel.shm_rmid_forced""")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*\$?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_SYSCTL = re.compile(r"[a-z0-9_-]+(\.[A-Za-z0-9_*/-]+)+")


def argument(text: str) -> str:
    """A word of a command line."""
    if "\0" in text:
        raise UserError(f"{short(text)} holds a NUL byte, which no argument can; remove it")
    return text


def short(text: str) -> str:
    """*text* in quotes for a message, cut where it is very long."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def boolean(text: str) -> bool:
    """A boolean as systemd.syntax(7) writes it."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UserError(f"{short(text)} is not a boolean; write yes or no")


def integer(text: str, lowest: int, highest: int) -> int:
    """A decimal number between *lowest* and *highest*, both included."""
    if re.fullmatch(rf"[+-]?[0-9]{{1,{_DIGITS}}}", text) and lowest <= int(text) <= highest:
        return int(text)
    raise UserError(f"{short(text)} is not a number from {lowest} to {highest}")


def size(text: str) -> int:
    """A size in bytes, from '512', '64k', '1.5g', '100MiB': units are powers of 1024 (podman-run(1) --memory)."""
    match = _SIZE.fullmatch(text)
    if match is None and _SIZE.fullmatch(text.removeprefix("-")):
        raise UserError(f"{short(text)} is negative, and no size is; write bytes or a number with k, m or g, like 512m")
    if match is None:
        raise UserError(f"{short(text)} is not a size; write bytes or a number with k, m or g, like 512m")
    value = int(Fraction(match[1]) * _POWERS[match[2].lower()])
    if value > MAX_SIZE:
        raise UserError(f"{short(text)} is larger than any size can be; write less")
    return value


def microseconds(text: str) -> int:
    """A time span (systemd.time(7)) in microseconds: '90', '1min 30s', '1.5h', '250ms'."""
    value = Fraction(0)
    position = 0
    while position < len(text):
        match = _SPAN.match(text, position)
        if match is None or match[2] not in _UNITS:
            break
        value += Fraction(match[1]) * _UNITS[match[2]]
        position = match.end()
        while position < len(text) and text[position].isspace():
            position += 1
    if not text or position < len(text):
        raise UserError(f"{short(text)} is not a time span; write seconds, or a span like '1min 30s'")
    if value > MAX_MICROSECONDS:
        raise UserError(f"{short(text)} is longer than systemd can count; write less")
    return int(value)


def duration(text: str) -> float:
    """A time span (systemd.time(7)) in seconds."""
    return microseconds(text) / 1_000_000


def signal(text: str) -> str:
    """A signal as 'SIGTERM', 'SIGRTMIN+3' or a number in decimal; with or without SIG, in either case."""
    if text.isascii() and text.isdigit():
        return str(integer(text, 1, 64))
    name = text.upper().removeprefix("SIG")
    if name in SIGNALS or _is_real_time(name):
        return f"SIG{name}"
    raise UserError(
        f"{short(text)} is not a signal; write a name like SIGTERM or a number from 1 to 64{_hint(name, SIGNALS)}"
    )


def _is_real_time(name: str) -> bool:
    match = _REAL_TIME.fullmatch(name)
    return match is not None and abs(int(match[1] or match[2] or 0)) <= 30


def _hint(word: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(word[:40], known, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def capability(text: str) -> str:
    """A capability as 'CAP_NET_ADMIN', or 'ALL'; with or without CAP_, in either case."""
    name = text.upper()
    if name in ("ALL", "CAP_ALL"):
        return "ALL"
    full = name if name.startswith("CAP_") else f"CAP_{name}"
    if full in CAPABILITIES:
        return full
    raise UserError(f"{short(text)} is no capability of Linux; see capabilities(7){_hint(full, CAPABILITIES)}")


def ulimit(text: str) -> Ulimit:
    """NAME=SOFT[:HARD]; -1 or 'unlimited' is no limit (podman-run(1) --ulimit)."""
    name, equals, limits = text.partition("=")
    name = name.strip().lower().removeprefix("rlimit_")
    if text.strip() == "host":
        raise UserError("'host' is not supported; write the limits themselves, like nofile=1024:4096")
    if not equals or name not in ULIMITS:
        raise UserError(
            f"{short(text)} is not a limit; write NAME=SOFT[:HARD] with a name from {', '.join(sorted(ULIMITS))}"
        )
    soft_text, colon, hard_text = limits.strip().partition(":")
    soft = _limit(soft_text)
    hard = _limit(hard_text) if colon else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise UserError(f"{short(text)} has a soft limit above the hard one; write the smaller one first")
    return Ulimit(name, soft, hard)


def _limit(text: str) -> int:
    return -1 if text == "unlimited" else integer(text, -1, 2**63 - 1)


def sysctl(text: str) -> tuple[str, str]:
    """NAME=VALUE of a kernel parameter that has a namespace; others are refused (podman-run(1) --sysctl)."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not _SYSCTL.fullmatch(name):
        raise UserError(f"{short(text)} is not a kernel parameter; write NAME=VALUE, like net.core.somaxconn=1024")
    if name in _IPC_SYSCTLS or name.startswith(("fs.mqueue.", "net.")):
        return name, check_text(value.strip(), "the value")
    raise UserError(
        f"{name[:60]} belongs to the whole host, no container can have its own; set it on the host with sysctl.d(5)"
    )


def check_text(text: str, what: str) -> str:
    """*text* unless it holds a control character; *what* begins the message."""
    if control := _CONTROL.search(text):
        raise UserError(f"{what} {short(text)} holds the control character U+{ord(control[0]):04X}; remove it")
    return text


def environment(text: str) -> tuple[str, str]:
    """NAME=VALUE of an environment variable. The value may hold anything but NUL, line ends too."""
    name, equals, value = text.partition("=")
    if not name or re.search(r"\s", name) or _CONTROL.search(name):
        raise UserError(f"{short(text)} has no usable variable name; write NAME=VALUE")
    if not equals:
        raise UserError(
            f"{short(text)} has no value, and the host's variables are not passed on; write {name[:60]}=VALUE"
        )
    if "\0" in value:
        raise UserError(f"the value of {name} holds a NUL byte; remove it")
    return name, value


def label(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME alone for an empty value, of a label or an annotation."""
    name, _, value = text.partition("=")
    if not name or _CONTROL.search(name):
        raise UserError(f"{short(text)} has no name before '='; write NAME=VALUE")
    return name, value


def hostname(text: str) -> str:
    """A host name: labels of letters, digits, '-' and '_', joined by dots, at most 64 characters (hostname(7))."""
    if len(text) <= 64 and _HOSTNAME.fullmatch(text):
        return text
    raise UserError(f"{short(text)} is not a host name; use letters, digits, '-' and '.', at most 64 characters")


def domain(text: str) -> str:
    """A name in DNS or /etc/hosts: as `hostname`, but up to 253 characters long (RFC 1035)."""
    if len(text) <= 253 and _HOSTNAME.fullmatch(text):
        return text
    raise UserError(f"{short(text)} is not a name of a host; use letters, digits, '-' and '.', at most 253 characters")


def timezone(text: str) -> str:
    """'local', or a name below /usr/share/zoneinfo; whether the host has it is not checked here."""
    if _ZONE.fullmatch(text):
        return text
    raise UserError(f"{short(text)} is not a time zone; write local, UTC or a name like Europe/Berlin")


def account(text: str, what: str) -> str:
    """The name or number of a user or group (*what*); whether the image knows it is not checked here."""
    if text.isascii() and text.isdigit():
        return str(integer(text, 0, 2**32 - 2))
    if _ACCOUNT.fullmatch(text):
        return text
    raise UserError(f"{short(text)} is not a {what}; write its name or number")


def user(text: str) -> str:
    """'USER', 'UID', or either with ':GROUP' or ':GID'."""
    name, colon, group = text.partition(":")
    return account(name, "user") + (f":{account(group, 'group')}" if colon else "")


def group(text: str) -> str:
    """A group's name or number."""
    if text == "keep-groups":
        raise UserError("keep-groups is for rootless podman; name the groups")
    return account(text, "group")


def image(text: str) -> str:
    """An image reference as written, if it looks like one; it is resolved when the image is looked up."""
    if _REFERENCE.fullmatch(text) and "//" not in text:
        return text
    raise UserError(f"{short(text)} is not an image reference; write one like docker.io/library/nginx:1.27")


def path(text: str, what: str = "path") -> str:
    """An absolute path without control characters, '.' and '..' resolved; *what* names it in the message."""
    check_text(text, f"the {what}")
    if not text.startswith("/"):
        raise UserError(f"the {what} {short(text)} is not absolute; begin it with '/'")
    # normpath keeps two leading slashes, which POSIX lets mean something else; to Linux they are one.
    return "/" + posixpath.normpath(text).lstrip("/")
