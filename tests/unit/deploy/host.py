"""A host in a temporary directory: a store with one image, a systemd that only keeps a record, a disk that can fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supervisor.deploy.deploy import Deployment
from supervisor.deploy.write import Disk
from supervisor.errors import HostError, NotFoundError
from supervisor.paths import Layout
from supervisor.spec.container import Container, Entry, Mount, MountType, UnitSections
from supervisor.spec.image import Image, ImageConfig, Layer
from supervisor.spec.network import NetworkMode
from supervisor.systemd.manager import Job, UnitStatus

IMAGE = Image(
    "sha256:" + "1" * 64, "", ("nginx",), "amd64", "linux", "", 1, ("sha256:2",), ImageConfig(command=("run",))
)


class Store:
    """One image, called nginx; or by its id."""

    def find(self, reference: str) -> Image:
        if reference not in ("nginx", IMAGE.id):
            raise NotFoundError(f"image '{reference}': not in the store")
        return IMAGE

    def layers(self, image: Image) -> tuple[Layer, ...]:
        return (Layer("directory", "/layers/1"),)


class Systemd:
    """Remembers what it was asked; *active* maps loaded units to their state, jobs end as *results* says."""

    def __init__(self, **active: str) -> None:
        self.active = {f"ctr@{name}.service": state for name, state in active.items()}
        self.results: dict[str, str] = {}
        self.calls: list[str] = []
        self.reload_fails = False

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]:
        return tuple(UnitStatus(u, "", "loaded", a, "", 0) for u, a in self.active.items() if u in patterns)

    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job:
        self.calls.append(f"{verb} {unit}")
        return Job(f"/job/{verb}/{unit}", unit)

    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]:
        results = {}
        for job in jobs:
            results[job.unit] = self.results.get(job.unit, "done")
            if results[job.unit] == "done" and "/stop/" in job.path:
                self.active[job.unit] = "inactive"
        return results

    def daemon_reload(self) -> None:
        self.calls.append("daemon-reload")
        if self.reload_fails:
            raise HostError("systemd: Reload: no")

    def reset_failed(self, unit: str) -> None:
        self.calls.append(f"reset-failed {unit}")


class Neighbourhood:
    """A host whose own network has taken *subnets* and listens on *ports*."""

    def __init__(self, subnets: tuple[str, ...] = (), ports: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.subnets = subnets
        self.ports = ports

    def host_subnets(self, ours: Iterable[str]) -> tuple[str, ...]:
        return self.subnets

    def busy_ports(self) -> frozenset[tuple[str, int]]:
        return self.ports


class Refusing(Disk):
    """Refuses the effect number *at* (from 0) with *errno*; *fatal* instead kills the process there, or at the flush
    number *flushes* (from 1)."""

    def __init__(self, at: int = -1, errno: int = 28, *, fatal: bool = False) -> None:
        self.at = at
        self.errno = errno
        self.fatal = fatal
        self.count = 0
        self.flushes = 0

    def before(self, effect: str, path: str) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            if self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.errno, os.strerror(self.errno), path)

    def flush(self, path: str) -> None:
        # A shared machine's disk takes its time, and no test here cuts the power.
        self.before("flush", path)
        self.flushes -= 1
        if not self.flushes:
            os.kill(os.getpid(), signal.SIGKILL)


class Place:
    """A root directory with what deploy reads from a host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(str(root))
        profile = root / "usr/share/containers/seccomp.json"
        profile.parent.mkdir(parents=True)
        profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
        for path in ("etc/ctr", "etc/systemd/system", "run"):
            (root / path).mkdir(parents=True)
        self.systemd = Systemd()
        self.neighbourhood = Neighbourhood()

    def deployment(self, disk: Disk | None = None) -> Deployment:
        return Deployment(self.layout, Store(), self.systemd, disk or Refusing(), self.neighbourhood)

    def container(self, name: str = "web", *, command: str = "one", **changes: Any) -> Container:
        base: dict[str, Any] = {
            "source": f"{self.layout.definitions}/{name}.container",
            "image": "nginx",
            "command": (command,),
            "unit": UnitSections(
                service=(Entry("Environment", f"V={command}"),), install=(Entry("WantedBy", f"{command}.target"),)
            ),
            "mounts": (Mount(MountType.VOLUME, "/data", f"{name}-data"),),
            "network": NetworkMode.NONE,
        }
        return Container(name=name, **{**base, **changes})

    def from_definitions(self, container: Container) -> bool:
        return container.source.startswith(self.layout.definitions)

    def snapshot(self, below: str = "") -> dict[str, str]:
        """Every file and link below the root with its content, by path; not the lock."""
        found = {}
        top = self.root / below
        for where, directories, files in os.walk(top):
            for name in (*directories, *files):
                path = f"{where}/{name}"
                key = os.path.relpath(path, self.root)
                if os.path.islink(path):
                    found[key] = f"-> {os.readlink(path)}"
                elif os.path.isfile(path):
                    found[key] = Path(path).read_text()
                else:
                    found[key] = "directory"
        return {k: v for k, v in found.items() if k not in ("run/ctr", "run/ctr/deploy.lock")}
