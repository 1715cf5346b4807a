"""What rendering may know of the host: values only. `supervisor.deploy.host` gathers them; nothing here looks."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.spec.container import Runtime
from supervisor.spec.image import Layer


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
class StoredImage:
    """An image in the store that is to be mounted."""

    reference: str
    """As a definition names it."""
    id: str
    layers: tuple[Layer, ...]
    """Lowest first."""


@dataclass(frozen=True, slots=True)
class HostText:
    """A file of the host that a definition asks for, or that describes its devices."""

    path: str
    text: str = ""
    problem: str = ""
    """Why it cannot be read; then there is no text."""


@dataclass(frozen=True, slots=True)
class Selinux:
    """The policy's contexts for containers (lxc_contexts), USER:ROLE:TYPE[:LEVEL]."""

    process: str
    file: str


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
    """The nodes that the specs at hand name, or that lie below a directory they name; every node of /dev when one of
    them is privileged."""
    seccomp_profiles: tuple[HostText, ...] = ()
    """Those that the specs at hand name."""
    apparmor: frozenset[str] | None = None
    """The loaded profiles; None where the kernel has no AppArmor."""
    selinux: Selinux | None = None
    """None where the host does not know labels."""
    cdi_specs: tuple[HostText, ...] = ()
    """Specifications of the Container Device Interface, the ones that win last; read for those who name a device."""
    existing: frozenset[str] = frozenset()
    """Which of `supervisor.render.mounts.host_files` exist."""
    runtime: Runtime = Runtime.CRUN
    """The host's OCI runtime (``runtime=`` in ctr.conf)."""
    images: tuple[StoredImage, ...] = ()
    """Those that the specs at hand mount and the store has."""
    credentials: tuple[tuple[str, str, bool], ...] = ()
    """Of those that the specs at hand name, the ones that exist: name, absolute path, whether encrypted there."""
