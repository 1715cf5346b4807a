"""Command lines of crun and runc: words in, tuples of words out. Pure, imports nothing (the launcher pays for imports).

*runtime* is 'crun' or 'runc' everywhere, *state_root* the directory below /run that holds the runtime's own state
(``--root``), *name* the container's id there, *log* a file that receives the runtime's own messages: stderr is the
container's. Both understand the same verbs and options (crun(1), runc(8)); they differ in who looks after the cgroup.

Neither may touch it: the caller lies in the container's scope already, and systemd owns everything above. crun has
``--cgroup-manager=disabled``. runc has nothing of the kind; it leaves a container where it is only when it may fail
to make a cgroup (``--rootless=true``), fails (the stub has remounted its own view of /sys/fs/cgroup read-only), and was
told nothing about cgroups: config.json without ``linux.cgroupsPath`` and without limits in ``linux.resources`` (runc's
libcontainer/cgroups/fs2, ``Manager.Apply``). Seen with runc 1.1.5 and 1.1.15: init stays in the scope, its cgroup
namespace is rooted there, and `exec_`, which needs no remount, stays in the cgroup of its caller. A path inside the
scope works too, but makes runc write cgroup.subtree_control of every parent up to the root, which is systemd's.
"""

from __future__ import annotations


def create(
    runtime: str,
    state_root: str,
    bundle: str,
    pid_file: str,
    name: str,
    console_socket: str = "",
    passed: int = 0,
    *,
    log: str = "",
) -> tuple[str, ...]:
    """Make the container of *bundle* and leave its init waiting for `start`; the init's PID goes to *pid_file*.

    *console_socket*: listening unix stream socket that receives the pty master (``process.terminal``). *passed*: how
    many of the runtime's descriptors from 3 on init keeps; the others it closes.
    """
    console = ("--console-socket", console_socket) if console_socket else ()
    # Not the runtime's own LISTEN_FDS: it comes without LISTEN_FDNAMES, and always with LISTEN_PID=1.
    kept = ("--preserve-fds", str(passed)) if passed else ()
    words = ("create", "--bundle", bundle, "--pid-file", pid_file, *console, *kept, name)
    return (*_program(runtime, state_root, log), *words)


def start(runtime: str, state_root: str, name: str) -> tuple[str, ...]:
    """Let the created container's init execute its program."""
    return (*_program(runtime, state_root), "start", name)


def delete(runtime: str, state_root: str, name: str) -> tuple[str, ...]:
    """Forget the container, whose init has ended, and execute its hooks for that (``poststop``)."""
    return (*_program(runtime, state_root), "delete", "--force", name)


def exec_(
    runtime: str,
    state_root: str,
    name: str,
    process: str,
    pid_file: str = "",
    console_socket: str = "",
    *,
    log: str = "",
) -> tuple[str, ...]:
    """Run one more process in the container and return once it runs; *process*: a file with an OCI ``process`` object.
    Without *pid_file*, return once it has ended, with its exit status.

    The process keeps the runtime's standard streams, or, if the object asks for a terminal, gets one whose master goes
    to *console_socket*; its PID, as the host sees it, goes to *pid_file*.
    """
    console = ("--console-socket", console_socket) if console_socket else ()
    detach, pid = (("--detach",), ("--pid-file", pid_file)) if pid_file else ((), ())
    words = ("exec", *detach, "--process", process, *pid, *console, name)
    return (*_program(runtime, state_root, log), *words)


def _program(runtime: str, state_root: str, log: str = "") -> tuple[str, ...]:
    cgroups = "--cgroup-manager=disabled" if runtime == "crun" else "--rootless=true"
    return (runtime, cgroups, "--root", state_root, *(("--log", log) if log else ()))
