"""Start one container: execute its plan, hand its init to systemd, exit (DESIGN section 2, steps 1 to 5).

The order is the point. The stub is placed in the scope before the runtime starts, so the container's cgroup
namespace is rooted there; systemd knows the main process before the container's program runs, so even one that lives
a millisecond leaves its own exit status. Killed at any step, the launcher leaves only what `cleanup` removes.

Decides nothing: the plan was made at deploy time. Imports next to nothing: its latency is a budget.
"""

from __future__ import annotations

import _socket
import os
import sys

from supervisor.errors import CtrError, HostError, UserError
from supervisor.launcher import output, programs, rootfs
from supervisor.launcher import plan as plans
from supervisor.launcher.stub import become_container
from supervisor.names import check_name
from supervisor.paths import Layout
from supervisor.runtime import argv, failure
from supervisor.systemd import notify, scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from supervisor.network.progress import Follower

#: signal.SIGKILL; importing `signal` costs 3 ms, as it makes enums.
_SIGKILL = 9

#: Many that start at once wait for each other's networks (sd_notify(3)).
_EXTENSION = "EXTEND_TIMEOUT_USEC=300000000"


class _Start:
    """One start of one container: its plan and where its runtime files are."""

    def __init__(self, plan: plans.Plan, bundle: str, layout: Layout, environ: Mapping[str, str]) -> None:
        self.plan = plan
        self.notify_socket = environ.get("NOTIFY_SOCKET", "")
        self.invocation = environ.get("INVOCATION_ID", "")
        self.credentials = environ.get("CREDENTIALS_DIRECTORY", "")
        self.environ = environ
        self.passed = 0
        self.log_socket = layout.log_socket
        self.network: Follower | None = None
        if plan.network:
            from supervisor.network import progress

            self.network = progress.Follower(layout.networking(plan.network))
        self.places = layout.running(plan.name)
        self.state_root = layout.runtime_state(plan.runtime)
        self.pid_file = f"{self.places}/pid"
        self.log_file = f"{self.places}/runtime.log"
        self.bundle = bundle

    def prepare(self) -> None:
        """Directories, the writable layer, and the configuration when environment files have a say in it."""
        if self.environ.get("LISTEN_FDS"):
            from supervisor.launcher import activation

            self.passed = activation.receive(self.environ)
        # What a run left whose cleanup could not do its work.
        left = (f"{self.places}/layers", f"{self.places}/overlays", f"{self.state_root}/{self.plan.name}")
        programs.remove_trees(*left)
        for path in (self.state_root, f"{self.places}/layers", self.plan.rootfs):
            os.makedirs(path, 0o755, exist_ok=True)
        os.chmod(self.places, 0o700)
        # The directory may be opened to the container's root (`supervisor.launcher.users`); the plan is not for it.
        new = os.open(f"{self.places}/plan.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(new, "w", encoding="utf-8") as file:
            file.write(self.plan.text)
        os.rename(f"{self.places}/plan.new", f"{self.places}/plan")
        if self.plan.volumes:
            from supervisor.launcher import volumes

            volumes.make_directories(self.plan.volumes)
        if self.plan.upper:
            if self.plan.fresh and os.path.lexists(self.plan.upper):
                # The cleanup of the run before did not come to it (a power cut, say).
                programs.remove_trees(self.plan.upper)
            for part in ("upper", "work"):
                os.makedirs(f"{self.plan.upper}/{part}", 0o755, exist_ok=True)
        if self.plan.env_files or self.plan.secret_variables or self.plan.env_host:
            from supervisor.launcher.envfile import merged_config

            plan = self.plan
            variables, host = self._secret_variables(), self.environ if plan.env_host else {}
            path = f"{self.bundle}/config.json"
            text = merged_config(path, plan.env_files, plan.env_keep, variables, host, self.environ)
            self.bundle = self.places
            with open(os.open(f"{self.bundle}/config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
        if self.passed:
            told = activation.variables(self.environ, self.passed, self.plan.listen_pid)
            self.bundle = activation.bundle(self.bundle, self.places, told)

    def _secret_variables(self) -> dict[str, str]:
        if not self.plan.secret_variables:
            return {}
        from supervisor.launcher import secrets

        return secrets.variables(self.plan.secret_variables, self.credentials)

    def run(self) -> int:
        """Everything from the stub to the started container; returns its init's PID."""
        attach = output.connect_attach(self.places) if self.plan.attach else None
        listener = output.console_listener(self.places) if self.plan.terminal else None
        if self.plan.network_first:
            self._wait_for_network()
        try:
            pid = self._create(self._stdio(attach))
        except HostError:
            # Without a network there are no namespaces: that reason comes first.
            if self.network:
                self.network.check()
            raise
        if listener:
            self._hand_over_terminal(attach, output.console_master(listener))
        try:
            self._wait_for_network()
        except HostError:
            os.kill(pid, _SIGKILL)
            raise
        if not self.plan.oneshot:
            # Before `start`, and behind a barrier: systemd has to know the main process while it still waits.
            ready = "\nREADY=1" if self.plan.notify == "started" else ""
            notify.notify(self.notify_socket, f"MAINPID={pid}{ready}")
            notify.barrier(self.notify_socket)
        # crun 1.8.1 binds itself to a place in /tmp for a moment; killed then, it would leave that mount on the host.
        rootfs.enter_namespace()
        code = programs.run(argv.start(self.plan.runtime, self.state_root, self.plan.name))
        if code:
            os.kill(pid, _SIGKILL)
            raise HostError(f"{self.plan.runtime} start: exit status {code}")
        return pid

    def _wait_for_network(self) -> None:
        """It is made while the container is; no program of the container runs without it."""
        if self.network:
            self.network.wait(lambda: notify.notify(self.notify_socket, _EXTENSION))

    def _stdio(self, attach: _socket.socket | None) -> tuple[int, int, int]:
        if attach and not self.plan.terminal:
            return output.from_foreground(attach)
        try:
            return output.stdio(self.plan, self.log_socket, self.invocation)
        except (HostError, OSError) as error:
            print(f"log relay {self.log_socket}: {error}; falling back to passthrough", file=sys.stderr)
            return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), 1, 2

    def _create(self, stdio: tuple[int, int, int]) -> int:
        plan = self.plan
        console = f"{self.places}/console.sock" if plan.terminal else ""
        places = (self.state_root, self.bundle, self.pid_file)
        command = argv.create(plan.runtime, *places, plan.name, console, self.passed, log=self.log_file)
        go_reader, go_writer = os.pipe()
        report_reader, report_writer = os.pipe()
        stub = os.fork()
        if not stub:
            os.close(go_writer)
            become_container(plan, command, self.places, self.credentials, stdio, go_reader, report_writer, self.passed)
        for fd in {go_reader, report_writer, *stdio} - {0, 1, 2}:
            os.close(fd)
        scope.create(plan.name, stub, plan.slice, scope.typed(plan.properties))
        os.write(go_writer, b"g")
        if self.passed:
            self._let_go_of_sockets()
        if plan.copy_ups or plan.chowns or plan.relabels:
            from supervisor.launcher import volumes

            volumes.wait_patiently(report_reader, self.notify_socket)
        report = os.read(report_reader, 4096)
        code = os.waitstatus_to_exitcode(os.waitpid(stub, 0)[1])
        if report:
            raise UserError(report.decode(errors="replace"))
        if code:
            text = failure.message(_read(self.log_file)) or f"exit status {code}"
            raise _RuntimeFailedError(f"{plan.runtime} create: {text}", failure.exit_code(text))
        with open(self.pid_file) as file:
            return int(file.read())

    def _let_go_of_sockets(self) -> None:
        from supervisor.launcher import activation

        if self.plan.idle:
            activation.watch(self.plan, self.places, self.passed)
        activation.close(self.passed)

    def _hand_over_terminal(self, attach: _socket.socket | None, master: int) -> None:
        if attach:
            output.terminal_to_foreground(attach, master)
        else:
            output.to_relay(self.plan, self.log_socket, self.invocation, (master,), tty=True)
        os.close(master)


class _RuntimeFailedError(HostError):
    """The runtime refused to create the container; *status* as docker-run(1) reports it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-launch NAME``; the exit status is 0, 125, 126 or 127, or the container's own in oneshot mode."""
    name = arguments[0] if arguments else ""
    scope.expect_move()
    try:
        layout = Layout()
        # Resolved once: plan and config.json have to be of one version, also while another is being deployed.
        version = os.path.realpath(f"{layout.container(check_name(name))}/plan")
        plan = plans.read(version)
        start = _Start(plan, os.path.dirname(version), layout, environ)
        if plan.oneshot:
            from supervisor.launcher import oneshot

            oneshot.adopt_orphans()
        start.prepare()
        pid = start.run()
        return oneshot.wait(pid) if plan.oneshot else 0
    except _RuntimeFailedError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.status
    except (CtrError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return failure.FAILED


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
