"""How many processes of a unit the OOM killer ended: by its cgroup while there is one, afterwards by PID 1's log.

A scope that ended for lack of memory is gone before anybody can read its Result. What systemd noticed stays in the
journal: it looks at memory.events, and logs, before it lets an empty cgroup go.
"""

from __future__ import annotations

import os
import select
import time

#: systemd's catalog: "A process of $UNIT unit has been killed by the OOM killer", and the same by systemd-oomd.
_MESSAGES = ("fe6faa94e7774663a0da52717891d8ef", "d989611b15e44c9dbf31e3c81256e4ed")
_JOURNALCTL = "/usr/bin/journalctl"
_MOST = 65536
_SECONDS = 2.0
_SIGKILL = 9  # `signal` makes enums, which take longer than all of this module


def kills(cgroup: str) -> int | None:
    """``oom_kill`` in memory.events of the directory *cgroup* (cgroups(7)); None without one, or without the memory
    controller. Counts processes in the groups below it, too."""
    return _number(f"{cgroup}/memory.events", b"oom_kill")


def host_kills() -> int:
    """The same of the whole host since it booted, limits of cgroups included (proc_vmstat(5))."""
    return _number("/proc/vmstat", b"oom_kill") or 0


def logged(unit: str, since: float) -> int:
    """How often PID 1 logged a kill in *unit* since *since*, in seconds since the epoch: no less than once if there was
    one. Costs some ten milliseconds; the journal is asked to be complete first. 0 when it cannot be read."""
    fields = (f"UNIT={unit}", "_PID=1", *(f"MESSAGE_ID={message}" for message in _MESSAGES))
    select = ("-q", "--no-pager", "--output=cat", f"--since=@{since:.6f}", *fields)
    _run(("--sync",))
    return _run(select).count(b"\n")


def _run(arguments: tuple[str, ...]) -> bytes:
    """What ``journalctl *arguments*`` prints, until now when it takes too long (a journald that hangs must not keep a
    container from its restart). Not by `subprocess`, whose import would cost as much again."""
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
    try:
        pid = os.posix_spawn(_JOURNALCTL, (_JOURNALCTL, *arguments), {}, file_actions=actions)
    except OSError:
        os.close(reader)
        return b""
    finally:
        os.close(writer)
    text = b""
    deadline = time.monotonic() + _SECONDS
    while (left := deadline - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        if not (chunk := os.read(reader, _MOST)):
            break
        text += chunk
    else:
        os.kill(pid, _SIGKILL)
    os.close(reader)
    os.waitpid(pid, 0)
    return text


def _number(path: str, key: bytes) -> int | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(file, _MOST)
    except OSError:  # the cgroup went away meanwhile
        return None
    finally:
        os.close(file)
    found = text.partition(b"\n" + key + b" ")[2].partition(b"\n")[0]
    return int(found) if found else None
