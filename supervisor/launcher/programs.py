"""Execute other programs. `subprocess`, and even `os.execvp`, import more than the launcher can afford."""

from __future__ import annotations

import os

from supervisor.errors import HostError

#: What systemd gives services (systemd.exec(5)); programs get nothing else of our environment. NOTIFY_SOCKET in
#: particular: crun would wait for the container to send READY=1.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def find(program: str) -> str:
    """The absolute path of *program*. Raises `HostError` when it is not installed."""
    for directory in ENVIRONMENT["PATH"].split(":"):
        path = f"{directory}/{program}"
        if os.access(path, os.X_OK):
            return path
    raise HostError(f"{program}: not installed; install it with 'apt-get install {program}'")


def remove_trees(*paths: str) -> None:
    """Remove directory trees, following no link; missing is fine. Raises `HostError` when something stays.

    By rm(1): a container may have nested directories deeper than Python's recursion and PATH_MAX allow.
    """
    if present := tuple(path for path in paths if os.path.lexists(path)):
        code = run(("rm", "-rf", "--one-file-system", "--", *present))
        if code:
            raise HostError(f"rm -rf {' '.join(present)}: exit status {code}")


def run(command: tuple[str, ...]) -> int:
    """Run *command* and wait; its exit status, negative for a signal."""
    pid = os.posix_spawn(find(command[0]), command, ENVIRONMENT)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
