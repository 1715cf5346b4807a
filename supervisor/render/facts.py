"""What rendering may know of the host: values only. `supervisor.deploy.host` gathers them; nothing here looks."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.spec.container import Runtime


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """One device node of the host, as stat(2) shows it."""

    path: str
    type: str
    """'c' or 'b'."""
    major: int
    minor: int
    mode: int
    """Permission bits."""
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host at deploy time."""

    hostname: str
    architecture: str
    """As uname(2) says: 'x86_64', 'aarch64'."""
    kernel: tuple[int, int]
    """Version and patch level, e.g. (6, 12)."""
    seccomp_profile: str
    """Text of the default profile, in Docker's format (containers/common, seccomp.json)."""
    capabilities: frozenset[str]
    """PID 1's bounding set: what a container of this host can have at all."""
    hard_limits: tuple[tuple[str, int], ...] = ()
    """PID 1's hard limits by setrlimit(2) name in lower case ('nofile'); -1 is unlimited."""
    init_path: str = ""
    """An init for ``RunInit=``: tini or catatonit; empty when the host has none."""
    devices: tuple[DeviceNode, ...] = ()
    """The nodes that the specs at hand name; every node of /dev when one of them is privileged."""
    existing: frozenset[str] = frozenset()
    """Which of `supervisor.render.mounts.host_files` exist."""
    runtime: Runtime = Runtime.CRUN
    """The host's OCI runtime (``runtime=`` in ctr.conf)."""
    credentials: tuple[tuple[str, str, bool], ...] = ()
    """Of those that the specs at hand name, the ones that exist: name, absolute path, whether encrypted there."""
