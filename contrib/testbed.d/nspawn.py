"""Owns a test host in a container: boots systemd as PID 1 with systemd-nspawn, runs programs in it, sees it reboot.

The life of it all hangs on this process. systemd-nspawn is the init of a process namespace and gets SIGKILL when this
process ends; the kernel then ends everything in that namespace, the host included (pid_namespaces(7)). Killing
systemd-nspawn alone, outside of such a namespace, leaves the host running.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import furnish
import linux
import scratch
from errors import Interrupted, TestbedError
from roots import Root

BOOT_SECONDS = 120.0
GRACE_SECONDS = 5.0
# What runs in the host before COMMAND: it waits at a socket, number $1, until it is in the right control group.
# bash gives 127 and 126 for a program that is not there or cannot be run.
GATE = """\
gate=$1; shift
echo >&"$gate"; read -r -u "$gate"; exec {gate}>&-
cd "$0" || exit; unset OLDPWD SHLVL
exec "$@"
"""
UP = ("initializing", "starting", "running", "degraded", "maintenance")  # systemctl(1), is-system-running
REBOOT_STATUS = 133  # what systemd-nspawn --keep-unit exits with when the host reboots

# Found by trial: with these systemd, docker, podman, crun, runc, netavark and overlay all work inside.
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
FLAGS = (
    *("--quiet", "--boot", "--register=no", "--keep-unit", "--capability=all", "--private-network"),
    "--system-call-filter=@keyring bpf @mount @swap @module @raw-io @obsolete",
    *("--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--notify-ready=yes"),
)
ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}


@dataclass(frozen=True)
class Bind:
    """A file or directory of this machine that is seen in the host."""

    source: Path
    target: str
    read_only: bool

    def flag(self) -> str:
        """The systemd-nspawn option; colons inside a path are escaped as its manual page says."""
        escaped = [str(part).replace("\\", "\\\\").replace(":", "\\:") for part in (self.source, self.target)]
        return f"--bind{'-ro' if self.read_only else ''}={':'.join(escaped)}"


def overlay(root: Root, room: scratch.Scratch) -> Path:
    """Mount a view of `root` in which everything can be changed; what changes goes into `room`."""
    merged = room.path / "root"
    for part in ("upper", "work", "root"):
        (room.path / part).mkdir(exist_ok=True)
    layers = f"lowerdir={root.path},upperdir={room.path / 'upper'},workdir={room.path / 'work'}"
    subprocess.run(["mount", "-t", "overlay", room.name, "-o", layers, str(merged)], check=True)
    return merged


@contextlib.contextmanager
def host(root: Root, room: scratch.Scratch, binds: Sequence[Bind]) -> Iterator[Host]:
    """A host of its own over `root`, not booted yet; everything it changes is thrown away at the end."""
    lower, merged = root.path, overlay(root, room)
    (room.path / "var").mkdir()
    # A plain directory: overlay refuses an upper layer that lies on an overlay, and containers keep theirs in /var.
    subprocess.run(["cp", "-a", "--reflink=auto", f"{lower}/var/.", str(room.path / "var")], check=True)
    subprocess.run(["mount", "--bind", str(room.path / "var"), str(merged / "var")], check=True)
    furnish.furnish(merged, room.name, container=True)
    running = Host(room, merged, tuple(binds))
    try:
        yield running
    finally:
        running.kill()


class Host:
    """One test host: `boot`, `run` as often as wanted, `wait_reboot`; `kill` ends it at once."""

    def __init__(self, room: scratch.Scratch, root: Path, binds: tuple[Bind, ...]) -> None:
        self._room = room
        self._root = root
        self._binds = binds
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    @property
    def console(self) -> Path:
        """What the host has written to its console."""
        return self._room.path / "console"

    def boot(self) -> None:
        """Start systemd and wait until it says that the boot is complete.

        Raises TestbedError, with the end of the console, when it does not come up.
        """
        address = self._room.path / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.console.open("ab") as console:
            notify.bind(str(address))
            self._nspawn = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | ENVIRONMENT | {"NOTIFY_SOCKET": str(address)},
                preexec_fn=linux.joining(self._room.cgroups),  # noqa: PLW1509 - one thread
                start_new_session=True,  # Ctrl-C in the terminal is for us and for COMMAND
            )
            self._wait_ready(notify, self._nspawn)

    def _command(self) -> list[str]:
        binds = list(self._binds)
        if Path("/dev/fuse").exists():
            binds.append(Bind(Path("/dev/fuse"), "/dev/fuse", read_only=False))
        mine = [f"--machine={self._room.name}", f"--directory={self._root}", *(bind.flag() for bind in binds)]
        return [*NAMESPACE, "systemd-nspawn", *FLAGS, *mine]

    def _wait_ready(self, notify: socket.socket, nspawn: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        ended = os.pidfd_open(nspawn.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(notify, selectors.EVENT_READ)
                selector.register(ended, selectors.EVENT_READ)
                while (left := deadline - time.monotonic()) > 0:
                    ready = {key.fileobj for key, _ in selector.select(left)}
                    lines = notify.recv(65536).decode().splitlines() if notify in ready else []
                    if "READY=1" in lines:
                        self._leader = _leader(nspawn.pid)
                        return
                    if ended in ready:
                        break
        finally:
            os.close(ended)
        tail = "\n".join(self.console.read_text(errors="replace").splitlines()[-30:])
        status = nspawn.poll()
        what = f"not up after {BOOT_SECONDS:.0f} s" if status is None else f"ended with status {status}"
        raise TestbedError(f"host {self._room.name}: {what}; the end of its console:\n{tail}")

    def run(self, argv: Sequence[str], environment: Mapping[str, str], directory: str, *, quiet: bool = False) -> int:
        """Run `argv` in the host with our standard input, output and error; returns its status, 128 + n for a signal.

        `quiet`: no input, and output and error are shown only when it fails. Raises Interrupted after the program has
        been given the signal and some seconds to end.
        """
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [*self._enter(), "/bin/bash", "-c", GATE, directory, str(theirs.fileno()), *argv],
            env=dict(environment),
            stdin=subprocess.DEVNULL if quiet else None,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            pass_fds=[theirs.fileno()],
            preexec_fn=linux.die_with(os.getpid()),  # noqa: PLW1509 - one thread
        )
        theirs.close()
        try:
            with linux.kept_going(process.pid), ours:
                self._let_in(process.pid, ours)
                shown, _ = process.communicate()
        except Interrupted as interrupted:
            self._end(process, interrupted.signum)
            raise
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
        if quiet and status != 0:
            os.write(2, shown)
        return status

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._leader), "--all", "--"]

    def _let_in(self, nsenter: int, gate: socket.socket) -> None:
        """Put the program that waits at the gate into its control group, and open.

        It alone: nsenter, its parent, lives outside of the host's process namespace, and systemd 252 gives up killing a
        service when it meets such a process in its group.
        """
        if gate.recv(1):  # else nsenter has failed, and says why
            for pid in linux.children(nsenter):
                (self._session_cgroup() / "cgroup.procs").write_text(str(pid))
            gate.sendall(b"\n")

    def _session_cgroup(self) -> Path:
        """The group of testbed.service as seen from here: beside that of PID 1, which is always init.scope."""
        for line in Path(f"/proc/{self._leader}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                payload = line.removeprefix("0::").removesuffix("/init.scope")
                return _cgroup2_mount() / payload.lstrip("/") / furnish.SESSION_CGROUP
        raise TestbedError(f"host {self._room.name}: its PID 1 is in no control group of version 2")

    @staticmethod
    def _end(process: subprocess.Popen[bytes], signum: int) -> None:
        # nsenter waits for its child and passes no signal on. Ctrl-C has reached COMMAND from the terminal already.
        if signum != signal.SIGINT or not linux.in_foreground():
            for pid in linux.children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)

    def stopping(self) -> bool:
        """Whether the host is on its way down, or is down: a COMMAND has asked for a reboot or a poweroff."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return True
        ask = [*self._enter(), "systemctl", "is-system-running"]
        answer = subprocess.run(ask, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        # Besides `stopping` it may say `offline` or nothing: systemd has gone already, and the rest is about to.
        return answer.stdout.strip() not in UP or self._nspawn.poll() is not None

    def wait_down(self) -> bool:
        """Wait until the host is down; returns whether it wants to boot again."""
        assert self._nspawn is not None
        try:
            return self._nspawn.wait(BOOT_SECONDS) == REBOOT_STATUS
        except subprocess.TimeoutExpired:
            raise TestbedError(f"host {self._room.name}: shutdown not done after {BOOT_SECONDS:.0f} s") from None

    def kill(self) -> None:
        """End the host at once."""
        scratch.end(self._room.cgroups)
        if self._nspawn is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()


def _leader(unshare: int) -> int:
    """PID 1 of the host as this process numbers it: the child of systemd-nspawn that is 1 in its own namespace.

    systemd-nspawn tells the number too (X_NSPAWN_LEADER_PID=), as counted in its own process namespace.
    """
    for nspawn in linux.children(unshare):
        for child in linux.children(nspawn):
            status = Path(f"/proc/{child}/status").read_text()
            if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                return child
    raise TestbedError("systemd-nspawn: has no child that is PID 1 of the host")


def _cgroup2_mount() -> Path:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        if after.startswith("cgroup2 "):
            return Path(before.split(" ")[4])
    raise TestbedError("/sys/fs/cgroup: no version 2 hierarchy is mounted; testbed needs one")
