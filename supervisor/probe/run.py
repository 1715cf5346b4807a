"""One run of a container, as a probe finds it: its init, its scope, its runtime directory, its health so far.

Knows where things are and reads and writes the record; executes nothing. Everything hangs on the directory the launcher
made for this run: once it is gone, or is another's, nothing is written any more.
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from supervisor.errors import InternalError, UserError
from supervisor.health import backoff, record
from supervisor.health.plan import FILE, Plan, loads
from supervisor.names import check_name, healthy_unit, scope_unit, service_unit
from supervisor.paths import Layout
from supervisor.runtime import entry
from supervisor.runtime import group as groups

#: In the runtime directory of the run.
RECORD, LOCK = "health", "health.lock"
#: In the container's state directory: what was done to it has ended the run.
ACTED = "last-action"
_POLL_SECONDS = 0.005
#: proc_pid_stat(5), counted from the field behind the name: clock ticks since the host booted.
_STARTTIME = 19


class Run:
    """A run that is going on; a context manager."""

    def __init__(self, name: str, layout: Layout) -> None:
        """Raises `UserError` when container *name* does not run, `InternalError` when it has no health check."""
        self.name = check_name(name)
        self.layout = layout
        # Resolved once: the numbers and the command have to be of one version, also while another is being deployed.
        self.version = os.path.realpath(f"{layout.container(name)}/current")
        self.plan = _plan(f"{self.version}/{FILE}")
        self.places = layout.running(name)
        try:
            self.directory = os.open(self.places, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with open(f"{self.places}/pid", encoding="ascii") as file:
                self.init = int(file.read())
            self.handle = os.pidfd_open(self.init)
            group = entry.control_group(self.init)
            self.invocation = os.readlink(f"{layout.root}/run/systemd/units/invocation:{service_unit(name)}")
        except (OSError, ValueError) as error:
            raise _not_running(name) from error
        self.scope = groups.of_scope(group, scope_unit(name))
        if not self.scope:
            raise _not_running(name)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)
        os.close(self.directory)

    @property
    def is_idle(self) -> bool:
        """Whether nothing can be asked of it: its program is not started yet, or it is frozen (``ctrctl pause``)."""
        return self.is_created or self.is_frozen

    @property
    def is_created(self) -> bool:
        """Whether its program is still to be started; its unit is active a moment earlier."""
        # Both runtimes keep this FIFO from `create` to `start`.
        return os.path.lexists(f"{self.layout.runtime_state(self.plan.runtime)}/{self.name}/exec.fifo")

    def wait_for_start(self, seconds: float) -> None:
        """Return when its program was started, when it has ended, or after *seconds*."""
        deadline = time.monotonic() + seconds
        while self.is_created and time.monotonic() < deadline and not self.has_ended(_POLL_SECONDS):
            continue

    @property
    def is_said_healthy(self) -> bool:
        """Whether ctr-healthy@NAME.service is active, or its gate at work."""
        return os.path.lexists(f"{self.layout.root}/run/systemd/units/invocation:{healthy_unit(self.name)}")

    @property
    def is_frozen(self) -> bool:
        try:
            with open(f"{self.scope}/cgroup.freeze", encoding="ascii") as file:
                return file.read(1) == "1"
        except OSError:
            return False

    def has_ended(self, seconds: float = 0.0) -> bool:
        """Whether its init has ended; waits up to *seconds* for that."""
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(max(0, seconds) * 1000))

    def lock(self) -> int:
        """Wait until no other probe of it is under way; close the descriptor to let the next one go."""
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def state(self, now: float) -> record.State:
        """Its health so far; *now*: seconds of the monotonic clock."""
        try:
            with open(os.open(RECORD, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.directory), encoding="ascii") as file:
                state = record.loads(file.read())
        except (FileNotFoundError, InternalError):
            return record.begin(self.invocation, now - age(self.init))
        return state if state.invocation == self.invocation else record.begin(self.invocation, now - age(self.init))

    def keep(self, state: record.State) -> None:
        """Replace the record. Raises OSError when the run is over and its directory removed."""
        new = os.open(
            f"{RECORD}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self.directory
        )
        with open(new, "w", encoding="ascii") as file:
            file.write(record.dumps(state))
        os.rename(f"{RECORD}.new", RECORD, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def acted(self) -> backoff.Acted:
        """What was done to the container before, in this run and others."""
        try:
            with open(f"{self.layout.container(self.name)}/{ACTED}", encoding="ascii", errors="replace") as file:
                return backoff.loads(file.read())
        except OSError:
            return backoff.Acted()

    def note_action(self) -> None:
        """Remember that something is done to the container now."""
        path = f"{self.layout.container(self.name)}/{ACTED}"
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(backoff.dumps(backoff.after(self.acted(), time.time())))
        os.rename(f"{path}.new", path)


def read(name: str, layout: Layout) -> record.State | None:
    """The record of container *name*'s present run; None when there is none, or it is not for us to read."""
    try:
        with open(f"{layout.running(name)}/{RECORD}", encoding="ascii") as file:
            return record.loads(file.read())
    except (OSError, InternalError):
        return None


def age(pid: int) -> float:
    """For how long the process *pid* has been there, in seconds; 0 when that cannot be told."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[_STARTTIME])
    except OSError:
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK"))


def _plan(path: str) -> Plan:
    try:
        with open(path, encoding="ascii") as file:
            return loads(file.read())
    except FileNotFoundError as error:
        raise UserError("has no health check; set HealthCmd=") from error


def _not_running(name: str) -> UserError:
    return UserError(f"is not running; start it with 'ctrctl start {name}'")
