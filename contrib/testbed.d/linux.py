"""Owns the few system calls that Python 3.11 has no function for. Decides nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000  # unshare(2)
PR_SET_PDEATHSIG = 1  # prctl(2)


def private_mounts() -> None:
    """Put this process into a mount namespace of its own: what it mounts is seen by nobody else and dies with it.

    Raises OSError (EPERM without root).
    """
    if _libc.unshare(CLONE_NEWNS) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def die_with(parent: int) -> Callable[[], None]:
    """A `preexec_fn`: the new program gets SIGKILL when the process `parent` ends, however it ends (prctl(2))."""

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def joining(cgroups: Sequence[Path]) -> Callable[[], None]:
    """A `preexec_fn`: the new program starts in these control groups and gets SIGKILL when this process ends."""
    die = die_with(os.getpid())

    def prepare() -> None:
        die()
        for cgroup in cgroups:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))

    return prepare


def children(pid: int) -> tuple[int, ...]:
    """The child processes of `pid` (proc_pid_task(5)); empty when it is gone."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return ()
    return tuple(int(word) for word in text.split())


@contextlib.contextmanager
def kept_going(pid: int) -> Iterator[None]:
    """Continue our child `pid` whenever it stops.

    nsenter stops itself when its child is stopped, and systemd-shutdown stops every process of a host before it kills
    them. Nobody would then reap the child, and the shutdown waits for that.
    """

    def changed(*_: object) -> None:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):  # it has ended and was waited for
            if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None:
                os.kill(pid, signal.SIGCONT)

    before = signal.signal(signal.SIGCHLD, changed)
    try:
        changed()  # it may have stopped before
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def in_foreground() -> bool:
    """Whether keys like Ctrl-C in our terminal signal this process and its children (credentials(7))."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # there is none
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
