"""Device nodes: which a container gets, and which its scope lets it open.

The policy is systemd's (DevicePolicy=, DeviceAllow= on the scope, systemd.resource-control(5)): it applies them anew
after a daemon-reload, and rules that only the OCI runtime knows would be lost then.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.errors import UserError
from supervisor.render import cdi
from supervisor.render.facts import DeviceNode, HostFacts
from supervisor.spec.container import Container

#: What crun and runc allow every container (libcrun default_devices, runc specconv.AllowedDevices): nodes may be
#: made at will, and the harmless ones opened. By number where the host's node may be absent or another device
#: (/dev/console in a container).
DEFAULT_POLICY = (
    ("char-*", "m"),
    ("block-*", "m"),
    ("/dev/null", "rwm"),
    ("/dev/zero", "rwm"),
    ("/dev/full", "rwm"),
    ("/dev/random", "rwm"),
    ("/dev/urandom", "rwm"),
    ("/dev/tty", "rwm"),
    ("/dev/char/5:1", "rwm"),  # console
    ("/dev/char/5:2", "rwm"),  # ptmx
    ("char-pts", "rwm"),
    ("/dev/char/10:200", "rwm"),  # net/tun
)

#: Made by the runtime or by mounts of ours in every container.
_NEVER_COPIED = ("/dev/pts/", "/dev/shm/", "/dev/mqueue/")
_RUNTIME_MAKES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "console", "ptmx", "tty")
)

#: The keys of [Service] that name nodes, for refusals.
_LIMITS = (
    "DeviceAllow IODeviceWeight IODeviceLatencyTargetSec IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax "
    "IOWriteIOPSMax"
)


@dataclass(frozen=True, slots=True)
class Device:
    """A host node and where the container sees it."""

    node: DeviceNode
    target: str
    access: str

    def oci(self) -> dict[str, object]:
        """As an entry of OCI ``linux.devices``."""
        return {
            "path": self.target,
            "type": self.node.type,
            "major": self.node.major,
            "minor": self.node.minor,
            "fileMode": self.node.mode,
            "uid": self.node.uid,
            "gid": self.node.gid,
        }


def granted(container: Container, facts: HostFacts, uid: int = 0, gid: int = 0) -> tuple[Device, ...]:
    """The nodes *container* gets beyond the runtime's own; *uid* and *gid* are its user's. Raises `UserError` for one
    that does not parse or exist."""
    found: dict[str, Device] = {}
    if container.privileged:
        found = {
            node.path: Device(node, node.path, "rwm")
            for node in facts.devices
            if _is_copied(node)
        }
    else:
        for text in container.devices:
            found |= {device.target: device for device in _named(text, facts)}
    found |= {target: Device(node, target, access) for node, target, access in cdi.nodes(container, facts, uid, gid)}
    return tuple(found.values())


def _named(text: str, facts: HostFacts) -> tuple[Device, ...]:
    """The node that *text* names, or those below the directory that it names (podman, DevicesFromPath)."""
    source, target, access = parse(text)
    below = f"{source.rstrip('/')}/"
    found = tuple(
        Device(node, target if node.path == source else f"{target.rstrip('/')}/{node.path.removeprefix(below)}", access)
        for node in facts.devices
        if node.path == source or (node.path.startswith(below) and _is_copied(node))
    )
    if not found and not is_optional(text):
        what = "no such device node on this host, nor a directory with any"
        raise UserError(f"device {source}: {what}; load its driver, or drop AddDevice=").asked_by("AddDevice", source)
    return found


def _is_copied(node: DeviceNode) -> bool:
    return node.path not in _RUNTIME_MAKES and not node.path.startswith(_NEVER_COPIED)


def is_optional(text: str) -> bool:
    """Whether the device may be missing."""
    return text.startswith("-")


def parse(text: str) -> tuple[str, str, str]:
    """``[-]HOST[:CONTAINER][:rwm]`` as (host path, container path, access). Raises `UserError`."""
    source, *rest = text.removeprefix("-").split(":")
    access = rest.pop() if rest and rest[-1] and set(rest[-1]) <= set("rwm") else "rwm"
    target = rest.pop() if rest else source
    is_path = source.startswith("/dev/") and target.startswith("/") and ".." not in f"{source}/{target}".split("/")
    if rest or not is_path:
        raise UserError(f"device '{text}' is not HOST[:CONTAINER[:rwm]] with HOST below /dev; write /dev/fuse, say")
    return source, target, access


def limited(container: Container) -> tuple[str, ...]:
    """The nodes that *container*'s I/O limits and device rules of its own name."""
    return tuple(
        path
        for item in container.scope_properties
        if item.signature in ("a(st)", "a(ss)")
        for path in (line.rpartition(" ")[0] for line in item.value.split("\n"))
        if path.startswith("/dev/") and not path.startswith(("/dev/char/", "/dev/block/"))
    )


def check_limited(container: Container, facts: HostFacts) -> None:
    """Raise `UserError` for a node that does not exist: systemd would ignore the limit."""
    known = {node.path for node in facts.devices}
    for path in limited(container):
        if path not in known:
            text = f"device {path}: no such device node on this host; load its driver, or drop the limit"
            raise UserError(text).asked_by(_LIMITS, path)


def policy(container: Container, facts: HostFacts) -> tuple[tuple[str, str], ...]:
    """(node or group, access) pairs for the scope's DeviceAllow=; empty when *container* may open everything."""
    if container.privileged:
        return ()
    kinds = {"c": "char", "b": "block"}
    return DEFAULT_POLICY + tuple(
        (f"/dev/{kinds[d.node.type]}/{d.node.major}:{d.node.minor}", d.access)
        for d in granted(container, facts)
        if d.node.type in kinds  # a pipe needs nobody's leave
    )
