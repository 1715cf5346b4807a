"""The programs that are compared, each behind the same few verbs. What is timed and how is not decided here.

A peer starts containers of the busybox image. Everything it started or wrote goes with `close`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from measure import BenchError, run

IMAGE = "localhost/busybox:latest"
SLEEP = ("sleep", "infinity")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a container runs. *restart*: started again whenever it ends. *share*: a host directory seen at /bench.
    *port*: in the peer's default bridge network, with this port of the host published; 0 is no network at all."""

    command: tuple[str, ...] = SLEEP
    restart: bool = False
    share: str | None = None
    port: int = 0


class Peer(Protocol):
    """One column of the table."""

    name: str

    def version(self) -> str:
        """What runs, in a few words; `BenchError` when it is not installed."""

    def open(self, scratch: Path, archive: Path) -> None:
        """Start what it needs and load the image from the OCI *archive*; *scratch* is a directory for it alone."""

    def define(self, names: Sequence[str], workload: Workload) -> None:
        """What a person does once, before the first start."""

    def start(self, name: str) -> list[str]:
        """The command that starts the container *name*, which `define` was told of."""

    def start_all(self, names: Sequence[str], width: int) -> list[str]:
        """The command that starts all of *names*, *width* at a time where the peer needs to be told."""

    def main_pid(self, name: str) -> int:
        """The container's first process, as the host numbers it."""

    def remove(self, names: Sequence[str]) -> None:
        """Stop and forget *names*."""

    def close(self) -> None:
        """Stop what `open` started."""


class Ctr:
    """This project: definitions in /etc/ctr, started by systemctl."""

    name = "ctr"

    def __init__(self) -> None:
        self._defined: set[str] = set()

    def version(self) -> str:
        lines = [line.split() for line in run(["ctrctl", "version"]).splitlines()]
        return next((" ".join(words) for words in lines if words[:1] == ["ctr"]), "ctr")

    def open(self, scratch: Path, archive: Path) -> None:
        run(["ctrctl", "image", "load", str(archive)])

    def define(self, names: Sequence[str], workload: Workload) -> None:
        lines = [
            "[Unit]",
            "StartLimitIntervalSec=0",
            "[Container]",
            f"Image={IMAGE}",
            f"Exec={_quoted(workload.command)}",
        ]
        # sleep as the first process of a PID namespace does not hear SIGTERM.
        lines.append("StopSignal=SIGKILL")
        if workload.share:
            lines.append(f"Volume={workload.share}:/bench")
        lines.append(f"PublishPort={workload.port}:80" if workload.port else "Network=none")
        lines += [
            "[Service]",
            "SuccessExitStatus=SIGKILL",
            "RestartSec=0",
            f"Restart={'always' if workload.restart else 'no'}",
        ]
        for name in names:
            Path(f"/etc/ctr/{name}.container").write_text("\n".join(lines) + "\n")
        self._defined |= set(names)
        run(["ctrctl", "apply"])

    def start(self, name: str) -> list[str]:
        return ["systemctl", "start", f"ctr@{name}"]

    def start_all(self, names: Sequence[str], width: int) -> list[str]:
        return ["systemctl", "start", *(f"ctr@{name}" for name in names)]

    def main_pid(self, name: str) -> int:
        return int(run(["systemctl", "show", "-P", "MainPID", f"ctr@{name}"]))

    def remove(self, names: Sequence[str]) -> None:
        """Stop only: a definition that is applied again unchanged costs nothing, and `close` takes all away."""
        run(["ctrctl", "stop", *names])

    def close(self) -> None:
        if self._defined:
            self.remove(sorted(self._defined))
            for name in self._defined:
                Path(f"/etc/ctr/{name}.container").unlink(missing_ok=True)
            run(["ctrctl", "apply"])
            self._defined.clear()


class _Engine:
    """What podman and docker have in common: one command line with the same words."""

    name: str

    def __init__(self) -> None:
        self._workload = Workload()
        self._names: set[str] = set()

    def command(self) -> list[str]:
        return [self.name]

    def options(self) -> list[str]:
        return []

    def define(self, names: Sequence[str], workload: Workload) -> None:
        self._workload = workload
        self._names |= set(names)

    def start(self, name: str) -> list[str]:
        return [*self._run(), "--name", name, IMAGE, *self._workload.command]

    def start_all(self, names: Sequence[str], width: int) -> list[str]:
        return _side_by_side([*self._run(), "--name", "NAME", IMAGE, *self._workload.command], names, width)

    def main_pid(self, name: str) -> int:
        return int(run([*self.command(), "inspect", "--format", "{{.State.Pid}}", name]))

    def remove(self, names: Sequence[str]) -> None:
        run(_side_by_side([*self.command(), "rm", "--force", "NAME"], names, 8))

    def close(self) -> None:
        if self._names:
            run([*self.command(), "rm", "--force", *sorted(self._names)], check=False)
            self._names.clear()

    def _run(self) -> list[str]:
        words = [*self.command(), "run", "--detach", *self.options()]
        port = self._workload.port
        words += [f"--publish={port}:80"] if port else ["--network=none"]
        if self._workload.restart:
            words.append("--restart=always")
        if self._workload.share:
            words += ["--volume", f"{self._workload.share}:/bench"]
        return words


class Podman(_Engine):
    """podman, with the machine's own storage."""

    name = "podman"

    def options(self) -> list[str]:
        # Without the limit: a host whose pids controller is elsewhere refuses it.
        return ["--pids-limit=0"]

    def version(self) -> str:
        return run(["podman", "--version"]).strip()

    def open(self, scratch: Path, archive: Path) -> None:
        run(["podman", "load", "--quiet", "--input", str(archive)])

    def remove(self, names: Sequence[str]) -> None:
        run(["podman", "rm", "--force", "--time", "0", *names])


class Docker(_Engine):
    """A docker daemon of our own, with its own containerd, storage and socket."""

    name = "docker"
    unit = "ctr-bench-dockerd"

    def __init__(self) -> None:
        super().__init__()
        self._socket = ""

    def command(self) -> list[str]:
        return ["docker", "--host", self._socket]

    def version(self) -> str:
        return run(["docker", "--version"]).strip()

    def open(self, scratch: Path, archive: Path) -> None:
        self._socket = f"unix://{scratch}/docker.sock"
        if not shutil.which("dockerd"):
            raise BenchError("dockerd: not found")
        run(["systemd-run", f"--unit={self.unit}", "--property=Delegate=yes", "--property=OOMScoreAdjust=0", "--quiet",
             "--property=LimitNOFILE=1048576", "--property=TasksMax=infinity",
             "dockerd", "--host", self._socket, "--data-root", f"{scratch}/data", "--exec-root", f"{scratch}/exec",
             "--pidfile", f"{scratch}/docker.pid", "--bip", "10.199.0.1/24", "--log-level=error"])  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                run([*self.command(), "version"])
                break
            except BenchError:
                if time.monotonic() > deadline or not self._alive():
                    words = run(["journalctl", "-u", self.unit, "-n", "3", "-o", "cat", "--no-pager"], check=False)
                    self.close()
                    raise BenchError(f"dockerd: does not answer: {words.strip()}") from None
                time.sleep(0.1)
        run(["skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"docker-archive:{scratch}/image.tar:{IMAGE}"])
        run([*self.command(), "load", "--quiet", "--input", f"{scratch}/image.tar"])

    def _alive(self) -> bool:
        return run(["systemctl", "is-active", self.unit], check=False).strip() == "active"

    def close(self) -> None:
        if self._alive():
            super().close()
            run(["systemctl", "stop", self.unit], check=False)
        run(["systemctl", "reset-failed", self.unit], check=False)


class Crun:
    """The runtime alone: no image store, no log, no one who waits for the process."""

    name = "crun"

    def __init__(self) -> None:
        self._scratch = Path()
        self._names: set[str] = set()

    def version(self) -> str:
        return run(["crun", "--version"]).splitlines()[0]

    def open(self, scratch: Path, archive: Path) -> None:
        self._scratch = scratch
        root = scratch / "rootfs"
        root.mkdir()
        unpack(archive, root)
        run(["crun", "spec", "--bundle", str(scratch)])

    def define(self, names: Sequence[str], workload: Workload) -> None:
        self._names |= set(names)
        file = self._scratch / "config.json"
        config = json.loads(file.read_text())
        config["process"]["terminal"] = False
        config["process"]["args"] = list(workload.command)
        file.write_text(json.dumps(config))

    def start(self, name: str) -> list[str]:
        return [*self._command(), "run", "--detach", "--bundle", str(self._scratch), name]

    def start_all(self, names: Sequence[str], width: int) -> list[str]:
        return _side_by_side(self.start("NAME"), names, width)

    def main_pid(self, name: str) -> int:
        return int(json.loads(run([*self._command(), "state", name]))["pid"])

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            run([*self._command(), "delete", "--force", name])

    def close(self) -> None:
        for name in self._names:
            run([*self._command(), "delete", "--force", name], check=False)

    def _command(self) -> list[str]:
        return ["crun", "--root", str(self._scratch / "state"), "--cgroup-manager=disabled"]


class Systemd:
    """A service without any container: what systemctl start costs by itself."""

    name = "service"

    def version(self) -> str:
        return run(["systemctl", "--version"]).splitlines()[0]

    def open(self, scratch: Path, archive: Path) -> None:
        self._file.write_text(
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n"
        )
        run(["systemctl", "daemon-reload"])

    def define(self, names: Sequence[str], workload: Workload) -> None:
        """Nothing: the template has all."""

    def start(self, name: str) -> list[str]:
        return ["systemctl", "start", f"ctr-bench-plain@{name}"]

    def start_all(self, names: Sequence[str], width: int) -> list[str]:
        return ["systemctl", "start", *(f"ctr-bench-plain@{name}" for name in names)]

    def main_pid(self, name: str) -> int:
        return int(run(["systemctl", "show", "-P", "MainPID", f"ctr-bench-plain@{name}"]))

    def remove(self, names: Sequence[str]) -> None:
        run(["systemctl", "stop", *(f"ctr-bench-plain@{name}" for name in names)])

    def close(self) -> None:
        run(["systemctl", "stop", "ctr-bench-plain@*"], check=False)
        self._file.unlink(missing_ok=True)
        run(["systemctl", "daemon-reload"])

    _file = Path("/run/systemd/system/ctr-bench-plain@.service")


def unpack(archive: Path, target: Path) -> None:
    """The layers of the OCI *archive*, one over the other, below *target* (whiteouts are not looked at)."""
    (manifest,) = json.loads(run(["tar", "-xOf", str(archive), "manifest.json"]))
    for layer in manifest["Layers"]:
        run(["sh", "-c", 'tar -xOf "$1" "$2" | tar -xz -C "$3"', "sh", str(archive), layer, str(target)])


def kill(pid: int) -> None:
    """SIGKILL, as an out-of-memory kill or a person would send it."""
    os.kill(pid, signal.SIGKILL)


def _side_by_side(command: Sequence[str], names: Sequence[str], width: int) -> list[str]:
    """*command* once for each of *names* (in place of the word NAME), *width* at a time."""
    return ["sh", "-c", f"printf '%s\\n' {shlex.join(names)} | xargs -P {width} -I NAME {shlex.join(command)}"]


def _quoted(words: Sequence[str]) -> str:
    """Words for Exec=, quoted as systemd.service(5) says."""
    return " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
