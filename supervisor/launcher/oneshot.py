"""Oneshot mode: the launcher stays as the container's parent and ends as it ends.

A Type=notify unit that exits before READY=1 has failed, so a container that must run to completion before its
dependents is a Type=oneshot unit, and systemd takes the launcher's own exit for the container's.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of the container's init once the runtime has exited (PR_SET_CHILD_SUBREAPER(2const))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait(pid: int) -> int:
    """Wait for *pid*, passing every signal that arrives on to it; its exit status, or die of the signal it died of."""

    def forward(number: int, _frame: object) -> None:
        os.kill(pid, number)

    for catchable in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(catchable, forward)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        fatal = os.WTERMSIG(status)
        if fatal != signal.SIGKILL:
            signal.signal(fatal, signal.SIG_DFL)
        os.kill(os.getpid(), fatal)
    return os.waitstatus_to_exitcode(status)
