"""Every directory and socket of ours, as one frozen value. Pure: joins strings, touches nothing.

Strings rather than `pathlib`, and no dataclass: the launcher imports this module, and either import
would cost it more than all of its own code.
"""

from __future__ import annotations

#: What no option of a mount gives away ('' is the root), from containers/common pkg/chown, DangerousHostPath.
SYSTEM_DIRECTORIES = frozenset(
    [
        *("", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki", "/home", "/lib", "/lib64", "/media", "/opt"),
        *("/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log"),
    ]
)


class Layout:
    """Where things are, below *root* (``/`` on a host, a temporary directory in unit tests)."""

    __slots__ = ("root",)

    def __init__(self, root: str = "/") -> None:
        object.__setattr__(self, "root", root.rstrip("/"))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Layout is frozen; cannot set {name}")

    root: str

    @property
    def definitions(self) -> str:
        """What people write: ``*.container`` and the like."""
        return f"{self.root}/etc/ctr"

    @property
    def settings(self) -> str:
        """Host-wide settings of ctr itself (the OCI runtime, say); optional."""
        return f"{self.root}/etc/ctr/ctr.conf"

    @property
    def units(self) -> str:
        """Where deploy writes drop-ins and ``.wants`` links."""
        return f"{self.root}/etc/systemd/system"

    @property
    def runtime_units(self) -> str:
        """Where drop-ins lie that are gone after a reboot."""
        return f"{self.root}/run/systemd/system"

    @property
    def state(self) -> str:
        """What must survive a reboot."""
        return f"{self.root}/var/lib/ctr"

    @property
    def images(self) -> str:
        return f"{self.state}/images"

    @property
    def builds(self) -> str:
        """What builders keep: NAME/record.json, NAME/storage/ (layers they can use again)."""
        return f"{self.state}/build"

    @property
    def volumes(self) -> str:
        return f"{self.state}/volumes"

    @property
    def volume_records(self) -> str:
        """What is known of the volumes beside their content: NAME.json, NAME.copying."""
        return f"{self.state}/volume-records"

    @property
    def networks(self) -> str:
        """The networks of this host: NAME.json."""
        return f"{self.state}/networks"

    @property
    def containers(self) -> str:
        return f"{self.state}/containers"

    def container(self, name: str) -> str:
        """Deployed state of one container: spec.json, config.json, plan, layer/, last-exit."""
        return f"{self.containers}/{name}"

    @property
    def runtime(self) -> str:
        """What is gone after a reboot."""
        return f"{self.root}/run/ctr"

    def running(self, name: str) -> str:
        """Runtime files of one container: rootfs mount point, pid file, console and attach sockets."""
        return f"{self.runtime}/containers/{name}"

    def namespace(self, name: str) -> str:
        """The network namespace of container *name*, where ip-netns(8) finds it."""
        return f"{self.root}/run/netns/ctr-{name}"

    def namespaces(self, name: str) -> str:
        """Namespaces of container or pod *name* beside its network, each a file that is bound: user, ipc, uts; and shm,
        a pod's /dev/shm."""
        return f"{self.runtime}/namespaces/{name}"

    def networking(self, name: str) -> str:
        """Runtime files of one container's network: document (what it was set up from), and how far that came."""
        return f"{self.runtime}/networks/{name}"

    def resolving(self, name: str) -> str:
        """hosts and resolv.conf of one container's network. The container may write them, so they are not below /run,
        which all of the host shares."""
        return f"{self.container(name)}/resolving"

    @property
    def dns(self) -> str:
        """aardvark-dns's configuration: one file a network, and its pid file."""
        return f"{self.runtime}/dns"

    def notifications(self, name: str) -> str:
        """Holds the socket that container *name* sends sd_notify(3) messages to (ctr-notify@NAME.socket)."""
        return f"{self.runtime}/notify/{name}"

    def runtime_state(self, runtime: str) -> str:
        """The ``--root`` of crun or runc."""
        return f"{self.runtime}/{runtime}"

    @property
    def log_socket(self) -> str:
        """Where the relay takes over a container's output pipes (ctr-log.socket)."""
        return f"{self.runtime}/log.sock"

    @property
    def image_socket(self) -> str:
        """Where every connection is a new image worker (ctr-image.socket)."""
        return f"{self.runtime}/image.sock"

    @property
    def journal(self) -> str:
        """Where journald takes entries in its native protocol."""
        return f"{self.root}/run/systemd/journal/socket"

    @property
    def library(self) -> str:
        """Our own installed code: ``/usr/lib/ctr/supervisor`` and the programs beside it."""
        return f"{self.root}/usr/lib/ctr"
