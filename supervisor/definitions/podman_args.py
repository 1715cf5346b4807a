"""``PodmanArgs=``: options of podman-run(1), translated into the keys of Quadlet that say the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import UnitFile
from supervisor.spec.container import NamespaceMode


@dataclass(frozen=True, slots=True)
class Extras:
    """What options can say and no key: members of `Container`."""

    privileged: bool = False
    terminal: bool = False
    stdin: bool = False
    publish_all: bool = False
    pid_namespace: NamespaceMode = NamespaceMode.OWN
    ipc_namespace: NamespaceMode = NamespaceMode.OWN
    uts_namespace: NamespaceMode = NamespaceMode.OWN
    cgroup_namespace: NamespaceMode = NamespaceMode.OWN


def expand(file: UnitFile, findings: Findings) -> tuple[UnitFile, Extras]:
    """*file* with every option of its ``PodmanArgs=`` and ``GlobalArgs=`` as an assignment of its own."""
    return file, Extras()
