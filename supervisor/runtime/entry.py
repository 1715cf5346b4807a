"""Start the runtime inside a container's control group: it, and what it starts, is there from its first instruction.

Shared by ``ctrctl exec`` and the health probes. Owns fork, the move and the exec; what is executed is `argv`'s, and
waiting for it is the caller's. Imports next to nothing: every probe pays for it.
"""

from __future__ import annotations

import os

from supervisor.errors import HostError
from supervisor.runtime import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CGROUPS = "/sys/fs/cgroup"
#: What systemd gives services (systemd.exec(5)).
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def control_group(pid: int) -> str:
    """The directory of the control group of *pid*. Raises OSError when the process is gone."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return CGROUPS + next(line.rstrip("\n")[3:] for line in file if line.startswith("0::"))


def spawn(command: tuple[str, ...], group: str, streams: tuple[int, int, int]) -> int:
    """Fork a child that executes *command*, with *streams* as 0, 1 and 2, once it is in the control group *group*.

    Returns its PID. Written by us rather than by systemd (AttachProcessesToUnit), which knows the scope's own group
    only: it can hold no process once the container has enabled controllers below it (cgroups(7)). The scope is
    delegated, so this part of the tree is ours. Raises `HostError` when the group cannot be joined.
    """
    go_reader, go_writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(go_writer)
        _become(command, streams, go_reader)
    os.close(go_reader)
    try:
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(pid))
        os.write(go_writer, b"g")
    except OSError as error:
        os.close(go_writer)
        os.waitpid(pid, 0)
        raise HostError(f"exec: the container's control group cannot be joined: {error}") from error
    os.close(go_writer)
    return pid


def _become(command: tuple[str, ...], streams: tuple[int, int, int], go: int) -> NoReturn:
    """In the child: wait for the move, then execute. At end of file the parent has died or given up."""
    try:
        # Out of our process group: Ctrl-C is for the caller to pass on, once.
        os.setsid()
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        if os.read(go, 1):
            _execute(command)
            os.write(2, f"{command[0]}: not installed\n".encode())
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(failure.FAILED)


def _execute(command: tuple[str, ...]) -> None:
    """execvp(3), whose Python form imports more than a probe can afford; returns when there is no such program."""
    for directory in _PATH.split(":"):
        try:
            os.execve(f"{directory}/{command[0]}", command, {"PATH": _PATH})
        except FileNotFoundError:
            continue
