"""What a user namespace of its own changes in a container: where it is found, which mounts it cannot make, and what the
host's numbers are. Pure.

Files on disk keep the numbers that the container knows: layers and volumes are mounted so that they show shifted ones
(`supervisor.launcher.idmap`). With `UserNamespaceMode.KEEP_ID` nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import cdi
from supervisor.render.facts import HostFacts
from supervisor.render.users import User
from supervisor.spec import mapping
from supervisor.spec.container import Container, Mount, MountType, NamespaceMode
from supervisor.spec.network import NetworkMode
from supervisor.spec.userns import IdMaps, IdRange, UserNamespaceMode

#: Idmapped layers below overlayfs, and EROFS as one.
_KERNEL = (5, 19)

#: The keys that ask for one, for refusals.
KEYS = "UserNS UIDMap GIDMap SubUIDMap SubGIDMap RemapUsers RemapUid RemapGid"


def owner(container: Container) -> str:
    """Whose user namespace *container* is in, if it is in one."""
    return container.pod or container.name


def path(container: Container, layout: Layout) -> str:
    """The file its user namespace is bound on; '' for the host's."""
    return f"{layout.namespaces(owner(container))}/user" if container.user_namespace else ""


def namespaces(container: Container, layout: Layout) -> list[dict[str, str]]:
    """As config.json has it."""
    return [{"type": "user", "path": path(container, layout)}] if container.user_namespace else []


def mappings(maps: IdMaps | None) -> dict[str, list[dict[str, int]]]:
    """What runc 1.1.5 has to be told of a user namespace, though it joins one; later ones warn of it, in vain."""
    if maps is None:
        return {}
    return {
        key: [{"containerID": one.container, "hostID": one.host, "size": one.length} for one in ranges]
        for key, ranges in (("uidMappings", maps.uids), ("gidMappings", maps.gids))
    }


def is_shifted(container: Container) -> bool:
    """Whether its users are others on the host."""
    return container.user_namespace is not None and container.user_namespace.mode is not UserNamespaceMode.KEEP_ID


def is_idmapped(mount: Mount, container: Container) -> bool:
    """Whether what *mount* shows has the container's own numbers on disk."""
    return is_shifted(container) and (mount.type is MountType.VOLUME or "idmap" in mount.options)


def idmap_place(number: int, container: Container, layout: Layout) -> str:
    """Where the launcher mounts the source of the container's mount *number* with its numbers shifted."""
    return f"{layout.running(container.name)}/idmaps/{number}"


def borrowed(container: Container) -> frozenset[str]:
    """Targets of file systems of the kernel that are the host's own, mounted once more: one who has power over the
    namespace they show may mount them anew, others may not (podman does the same)."""
    if not container.user_namespace:
        return frozenset()
    kinds = (
        ("/sys", container.network in (NetworkMode.HOST, NetworkMode.CONTAINER)),
        ("/proc", container.pid_namespace is NamespaceMode.HOST),
        ("/sys/fs/cgroup", container.cgroup_namespace is NamespaceMode.HOST),
        ("/dev/mqueue", container.ipc_namespace is NamespaceMode.HOST),
    )
    return frozenset(target for target, is_hosts in kinds if is_hosts)


def plan_lines(
    container: Container, user: User, maps: IdMaps | None, facts: HostFacts, layout: Layout
) -> Iterator[tuple[str, str]]:
    """users=PATH UID GID: its user namespace, and who is root in there. Raises `UserError` when *user* is nobody
    there, or the kernel too old."""
    if not is_shifted(container) or maps is None:
        return
    if facts.kernel < _KERNEL:
        text = f"UserNS=: needs Linux {_KERNEL[0]}.{_KERNEL[1]}, this is {facts.kernel[0]}.{facts.kernel[1]}"
        raise UserError(f"{text}; boot a newer kernel, or write UserNS=host").asked_by(KEYS)
    outside(user.uid, maps.uids, "user")
    for group in (user.gid, *user.groups, *cdi.edits(container, facts.cdi_specs).groups):
        outside(group, maps.gids, "group")
    yield "users", f"{path(container, layout)}\t{outside(0, maps.uids, 'user')}\t{outside(0, maps.gids, 'group')}"


def has_group(gid: int, maps: IdMaps | None) -> bool:
    """Whether the container has the group *gid*."""
    return maps is None or any(one.container <= gid < one.container + one.length for one in maps.gids)


def outside(number: int, ranges: tuple[IdRange, ...], what: str) -> int:
    """The host's number of the container's user or group *number*. Raises `UserError` when it has none."""
    host = mapping.outside(number, ((one.container, one.host, one.length) for one in ranges))
    if host >= 0:
        return host
    count = sum(one.length for one in ranges)
    text = f"{what} {number}: is not among the {count} of its user namespace; map it, or enlarge that"
    raise UserError(text).asked_by(f"User Group GroupAdd {KEYS}", str(number))


def owner_outside(uid: int, gid: int, maps: IdMaps | None) -> tuple[int, int]:
    """As chown(2) takes them on what is mounted for the container; -1 stays."""
    if maps is None:
        return uid, gid
    return (
        uid if uid < 0 else outside(uid, maps.uids, "user"),
        gid if gid < 0 else outside(gid, maps.gids, "group"),
    )
