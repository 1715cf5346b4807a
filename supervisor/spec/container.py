"""One container, as its author meant it: no image facts, no host facts, no paths of ours.

Definitions and command lines compile into `Container`; `supervisor.render` turns it, together with
`supervisor.spec.image.Image`, into files. Sizes are bytes, durations seconds, unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from supervisor.spec.health import HealthChanges, HealthCheck, Notify
from supervisor.spec.network import Attachment, NetworkMode, PublishedPort
from supervisor.spec.secret import Secret
from supervisor.spec.security import Security
from supervisor.spec.userns import UserNamespace


class PullPolicy(Enum):
    """When deploy fetches the image (podman-run(1) ``--pull``)."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"
    NEWER = "newer"


class LogDriver(Enum):
    """Where stdout and stderr go."""

    JOURNALD = "journald"
    """Through the relay: pipes, kept across its restarts, shown by ``journalctl -u ctr@NAME``."""
    PASSTHROUGH = "passthrough"
    """journald's own socket, no relay; see DESIGN section 2 for its limits."""
    NONE = "none"


class Runtime(Enum):
    """The OCI runtime program."""

    CRUN = "crun"
    RUNC = "runc"


class NamespaceMode(Enum):
    """Whose pid, ipc, uts or cgroup namespace a container has."""

    OWN = "own"
    HOST = "host"


class ImageVolumes(Enum):
    """What becomes of the directories that an image calls volumes (podman-run(1) ``--image-volume``)."""

    ANONYMOUS = "anonymous"
    """A volume without a name of its own, unless something is mounted there."""
    TMPFS = "tmpfs"
    IGNORE = "ignore"
    """Part of the container like others."""


class MountType(Enum):
    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"
    IMAGE = "image"
    RAMFS = "ramfs"
    DEVPTS = "devpts"
    GLOB = "glob"
    """Several bind mounts; deploy finds which."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. *options* are mount(8) words ('ro', 'rslave', 'size=64m', 'mode=1777') in the order given, and
    podman's own: 'U' (give the source to the container's user), 'z', 'Z', 'copy', 'nocopy' (see `Volume.copy`),
    'subpath=PATH' (mount that directory of the volume or image), 'idmap' (the source's users are the container's own),
    'O' (what the container writes is thrown away, or kept in 'upperdir=PATH', with 'workdir=PATH' beside it)."""

    type: MountType
    target: str
    """Absolute path in the container. GLOB: a directory, or empty for each path's own."""
    source: str = ""
    """BIND: absolute host path. VOLUME: the volume's name. IMAGE: the image's reference. GLOB: an absolute pattern.
    Otherwise empty."""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ulimit:
    """setrlimit(2): *name* without ``RLIMIT_`` in lower case ('nofile'); -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class ScopeProperty:
    """A resource-control setting that belongs on the scope, where the processes are.

    *name* and *value* are as on D-Bus (org.freedesktop.systemd1(5)), e.g. MemoryMax, CPUQuotaPerSecUSec, TasksMax;
    *signature* is the D-Bus type: 't' (uint64), 'u' (uint32), 'b', 's', 'ay', 'a(ss)' or 'a(st)'. For 't', 2**64-1 is
    infinity. A bool is 'true' or 'false', 'ay' is lower-case hex; 'a(ss)' and 'a(st)' are pairs, "PATH MODE" and
    "PATH NUMBER", joined by newlines.
    """

    name: str
    signature: str
    value: str

    def lines(self) -> tuple[str, ...]:
        """``SIGNATURE NAME VALUE``, for a list one for each of its pairs; `supervisor.systemd.scope` reads them."""
        values = self.value.split("\n") if self.signature in ("a(ss)", "a(st)") else [self.value]
        return tuple(f"{self.signature} {self.name} {value}" for value in values)


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``Key=value`` line that is passed through to systemd as it is."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class UnitSections:
    """The [Unit], [Service] and [Install] lines of the definition, minus what ctr acts on itself."""

    unit: tuple[Entry, ...] = ()
    service: tuple[Entry, ...] = ()
    install: tuple[Entry, ...] = ()


#: Seconds between the stop signal and SIGKILL for who says nothing.
STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Membership:
    """What a container in a pod says itself where its pod has a say too: from this and the pod,
    `supervisor.spec.membership` makes what it has."""

    starts: bool = True
    """Whether the pod starts it (``StartWithPod=``)."""
    mounts: tuple[Mount, ...] = ()
    stop_timeout: float | None = None
    unit: UnitSections = field(default_factory=UnitSections)


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Unset is None (or an empty tuple): the image's own value, else podman's default, applies."""

    name: str
    source: str
    """Where it came from: the definition's path, or the command line (``ctrctl run``)."""
    image: str | None = None
    """Image reference as written; exactly one of *image* and *rootfs* is set."""
    rootfs: str | None = None
    """Absolute host directory used as the root file system."""
    rootfs_overlay: bool = False
    """What the container changes in it is thrown away."""
    pull: PullPolicy = PullPolicy.MISSING
    fetched_by: str = ""
    """File name of the definition that *image* comes from ('x.image', 'x.build'); empty: none, it is a reference."""
    pull_retries: int = 3
    pull_retry_delay: float = 0.0
    """Seconds between two tries; 0: the image worker's own."""

    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    """Name and value, last one wins."""
    environment_files: tuple[str, ...] = ()
    """Absolute paths, read by the launcher at every start; `environment` wins over them. One with '-' in front may be
    missing."""
    environment_host: bool = False
    """Start from the environment that systemd gives the unit; everything else wins over it."""
    working_dir: str | None = None
    umask: int = 0o022
    user: str | None = None
    """'USER', 'UID', 'USER:GROUP' or 'UID:GID', as the OCI image config writes it."""
    supplementary_groups: tuple[str, ...] = ()
    hostname: str | None = None
    timezone: str | None = None
    """'local' or a name below /usr/share/zoneinfo."""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    pod: str = ""
    """Name of the pod it is in: its network (NetworkMode.POD), ipc and uts namespaces, and user namespace if it has
    one."""
    membership: Membership | None = None
    """In a pod."""
    pid_namespace: NamespaceMode = NamespaceMode.OWN
    ipc_namespace: NamespaceMode = NamespaceMode.OWN
    uts_namespace: NamespaceMode = NamespaceMode.OWN
    cgroup_namespace: NamespaceMode = NamespaceMode.OWN

    mounts: tuple[Mount, ...] = ()
    image_volumes: ImageVolumes = ImageVolumes.ANONYMOUS
    read_only: bool = False
    read_only_tmpfs: bool = True
    """With *read_only*: writable tmpfs on /tmp, /var/tmp, /run (podman-run(1) ``--read-only-tmpfs``)."""
    shm_size: int = 64 * 1024 * 1024

    add_capabilities: tuple[str, ...] = ()
    """Upper case with CAP_ prefix, or 'ALL'."""
    drop_capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    privileged: bool = False
    security: Security = field(default_factory=Security)
    user_namespace: UserNamespace | None = None
    """None: the host's users."""
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ()
    """Absolute host device nodes, 'HOST[:CONTAINER[:rwm]]'."""
    cdi_devices: tuple[str, ...] = ()
    """Names of the Container Device Interface, 'VENDOR/CLASS=DEVICE'."""
    scope_properties: tuple[ScopeProperty, ...] = ()
    """Limits: memory, pids, cpu, io."""

    network: NetworkMode = NetworkMode.NETWORKS
    attachments: tuple[Attachment, ...] = ()
    """With NetworkMode.NETWORKS; empty: the default network."""
    network_container: str = ""
    """With NetworkMode.CONTAINER: whose namespace."""
    ports: tuple[PublishedPort, ...] = ()
    publish_all: bool = False
    """Publish every port the image exposes, on free host ports."""
    dns: tuple[str, ...] = ()
    """Name servers instead of the network's; 'none' alone leaves the image's /etc/resolv.conf."""
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    """Search domains instead of the network's; '.' alone for none."""
    hosts: tuple[tuple[str, str], ...] = ()
    """Lines of /etc/hosts: name and address; the address 'host-gateway' is the host as the container sees it."""

    secrets: tuple[Secret, ...] = ()
    health: HealthCheck | None = None
    """None: the image's own, if it has one."""
    health_changes: HealthChanges | None = None
    """Of the image's health check; only without one of its own."""
    no_health: bool = False
    """Ignore the image's health check too (``HealthCmd=none``)."""
    notify: Notify = Notify.STARTED

    run_init: bool = False
    terminal: bool = False
    stdin: bool = False
    """Keep stdin open (``run -i``); otherwise it is /dev/null."""
    stop_signal: str | None = None
    """A name with SIG prefix, or a number in decimal."""
    stop_timeout: float = STOP_TIMEOUT
    """Seconds between the stop signal and SIGKILL."""
    reload_signal: str | None = None
    """What ``systemctl reload`` sends; a name with SIG prefix, or a number."""
    reload_command: tuple[str, ...] = ()
    """What it executes in the container instead."""
    oneshot: bool = False
    """Runs to completion before its dependents start: Type=oneshot, RemainAfterExit=yes."""

    log_driver: LogDriver = LogDriver.JOURNALD
    log_tag: str = ""
    """SYSLOG_IDENTIFIER of its lines; empty: its name."""
    idle_timeout: float = 0.0
    """Seconds without a connection to its socket unit after which it is stopped; 0: never."""
    runtime: Runtime = Runtime.CRUN
    keep_layer: bool = False
    """Whether the writable layer survives stop and start (``ctrctl run``), or each start is fresh (Quadlet)."""
    remove: bool = False
    """Removed once it has stopped (``run --rm``)."""
    network_online: bool = False
    """Whether it is started only when the host's network is online, as podman's Quadlet has it."""
    unit: UnitSections = field(default_factory=UnitSections)
