"""The container's mounts, in the order the runtime makes them: the kernel's file systems, ours, the user's.

A user's mount replaces a default one on the same target, and parents come before children, as podman has it. Options
are podman's (specgen, pkg/util/mount_opts.go).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import cdi, masking, secrets, userns
from supervisor.render.facts import HostFacts
from supervisor.render.sharing import finds_network, namespace_owner, shared_memory
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.health import Notify
from supervisor.spec.network import NetworkMode
from supervisor.spec.userns import IdMaps
from supervisor.spec.volume import Volume

#: Where ``RunInit=`` puts the host's init.
INIT_TARGET = "/run/.ctr-init"
#: Where a container with ``Notify=yes`` finds the socket for sd_notify(3). Its directory is bound, so that a socket
#: that is made anew is found as well.
NOTIFY_SOCKET = "/run/notify/notify.sock"
#: Where a read-only container has a tmpfs (podman-run(1), ``--read-only-tmpfs``).
READ_ONLY_TMPFS = ("/tmp", "/var/tmp", "/run")
#: Deployed beside config.json and bound into the container; see `supervisor.render.tree`.
CURRENT = "current"

_PROPAGATION = frozenset(["private", "rprivate", "slave", "rslave", "unbindable", "runbindable"])
_BINDING = frozenset(("bind", "rbind"))
_FLAGS = frozenset(
    [
        "ro",
        "rw",
        "nosuid",
        "suid",
        "nodev",
        "dev",
        "noexec",
        "exec",
        "sync",
        "async",
        "dirsync",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
        "nosymfollow",
    ]
)
_TMPFS_VALUES = ("size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=")
# The launcher's (`supervisor.render.volumes`), or SELinux relabelling: nothing to tell the runtime.
_NO_RUNTIME_OPTION = frozenset(["z", "Z", "U", "O", "copy", "nocopy", "idmap"])
_NO_RUNTIME_VALUE = ("subpath=", "upperdir=", "workdir=")
_SUBPATH = "subpath="
#: The first kernel that keeps a tmpfs out of swap.
_NOSWAP = (6, 4)
#: What the mount of a volume may forbid, each with the word that would allow it again.
_RESTRICTIONS = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec"}


@dataclass(frozen=True, slots=True)
class OciMount:
    """One entry of OCI ``mounts``."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...]


def host_files(container: Container) -> tuple[str, ...]:
    """Host files whose absence changes what is rendered; `HostFacts.existing` says which are there."""
    zone = (_zone_file(container.timezone),) if container.timezone else ()
    return ("/etc/hosts", "/etc/resolv.conf", *zone)


def mounts(
    container: Container,
    facts: HostFacts,
    layout: Layout,
    known: Mapping[str, Volume] | None = None,
    own_files: tuple[str, ...] = (),
    id_maps: IdMaps | None = None,
) -> tuple[OciMount, ...]:
    """Every mount of *container*, parents first. *known*: volumes that somebody defined, by name. *own_files*: names of
    files that are deployed for its /etc. *id_maps*: of its user namespace. Raises `UserError` naming the mount that
    cannot be."""
    made = _kernel(container, layout, id_maps)
    kernel = (_borrowed(m) if m.destination in userns.borrowed(container) else m for m in made)
    by_target = {m.destination: m for m in (*kernel, *_ours(container, facts, layout, own_files))}
    given = ((_restricted(mount, known or {}), source) for mount, source in sources(container, layout))
    users = [_user_mount(mount, source, facts) for mount, source in given]
    users += [_user_mount(mount, mount.source, facts) for mount in secrets.mounts(container, layout)]
    targets = [m.destination for m in users]
    if twice := next((t for t in targets if targets.count(t) > 1), None):
        raise UserError(f"mount {twice}: given twice; keep one").asked_by("Volume Mount Tmpfs Secret", twice)
    taken = {m.destination: m for m in users}
    if container.read_only and container.read_only_tmpfs:
        by_target |= {t: _tmpfs(t, ("rw",)) for t in READ_ONLY_TMPFS}
    by_target |= taken
    by_target |= {m.target: OciMount(m.target, m.type, m.source, m.options) for m in cdi.mounts(container, facts)}
    return tuple(sorted(by_target.values(), key=lambda m: m.destination.rstrip("/").count("/")))


def bind_sources(container: Container) -> tuple[str, ...]:
    """Host paths the unit needs mounted before it starts, each once."""
    sources = [m.source for m in container.mounts if m.type is MountType.BIND]
    kept = (o.partition("=")[2] for m in container.mounts for o in m.options if o.startswith(("upperdir=", "workdir=")))
    sources += kept
    return tuple(dict.fromkeys((*((container.rootfs,) if container.rootfs else ()), *sources)))


def sources(container: Container, layout: Layout) -> tuple[tuple[Mount, str], ...]:
    """The definition's mounts, each with what the runtime mounts: of a part of a volume, a place the launcher makes."""
    places = f"{layout.running(container.name)}/subpaths"
    return tuple(
        (mount, f"{places}/{number}" if subpath(mount) else own_source(number, container, layout))
        for number, mount in enumerate(container.mounts)
    )


def own_source(number: int, container: Container, layout: Layout) -> str:
    """Source of all that the container's mount *number* can show: an overlay, or its `content`."""
    if is_overlaid(container.mounts[number]):
        return overlay_place(number, container, layout)
    return content(number, container, layout)


def content(number: int, container: Container, layout: Layout) -> str:
    """Where the files of mount *number* are: on the host, or where the launcher shifts their numbers."""
    mount = container.mounts[number]
    if userns.is_idmapped(mount, container):
        return userns.idmap_place(number, container, layout)
    return source_on_host(mount, layout)


def is_overlaid(mount: Mount) -> bool:
    """Whether the launcher makes an overlay, and that is what is mounted."""
    return mount.type is MountType.IMAGE or "O" in mount.options


def overlay_place(number: int, container: Container, layout: Layout) -> str:
    """Where it makes that of the container's mount *number*."""
    return f"{layout.running(container.name)}/overlays/{number}"


def has_source(mount: Mount) -> bool:
    """Whether something that exists already is mounted, not a file system that is made for the container."""
    return mount.type not in (MountType.TMPFS, MountType.RAMFS, MountType.DEVPTS)


def subpath(mount: Mount) -> str:
    """Which directory of the volume is mounted; '' for all of it."""
    return next((o.removeprefix(_SUBPATH) for o in mount.options if o.startswith(_SUBPATH)), "")


def source_on_host(mount: Mount, layout: Layout) -> str:
    """The directory of a volume, the path of a bind mount."""
    return f"{layout.volumes}/{mount.source}" if mount.type is MountType.VOLUME else mount.source


def volume_directories(container: Container, layout: Layout) -> tuple[str, ...]:
    """Directories of the named volumes, each once."""
    names = [m.source for m in container.mounts if m.type is MountType.VOLUME]
    return tuple(f"{layout.volumes}/{name}" for name in dict.fromkeys(names))


def _kernel(container: Container, layout: Layout, id_maps: IdMaps | None) -> tuple[OciMount, ...]:
    rw = "rw" if container.privileged else "ro"
    cgroups = "rw" if masking.writable_cgroups(container.security) else rw
    # podman: --read-only --read-only-tmpfs=false makes the tmpfs on /dev and /dev/shm read-only as well.
    sealed = ("ro",) if container.read_only and not container.read_only_tmpfs else ()
    terminals = ("gid=5",) if userns.has_group(5, id_maps) else ()
    return (
        OciMount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
        OciMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k", *sealed)),
        OciMount("/sys", "sysfs", "sysfs", ("rprivate", "nosuid", "noexec", "nodev", rw)),
        OciMount("/sys/fs/cgroup", "cgroup", "cgroup", ("rprivate", "nosuid", "noexec", "nodev", "relatime", cgroups)),
        OciMount(
            "/dev/pts",
            "devpts",
            "devpts",
            ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *terminals),
        ),
        OciMount("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
        _shm(container, layout, sealed),
    )


def _borrowed(mount: OciMount) -> OciMount:
    """The host's own file system at the target of *mount*, with the same restrictions. Read-only is what lies below,
    too (/sys/kernel/debug): the container's root may be the host's."""
    kept = [option for option in mount.options if option in ("nosuid", "noexec", "nodev", "rw")]
    sealed = ("rro",) if "ro" in mount.options else ()
    return OciMount(mount.destination, "bind", mount.destination, ("rbind", "rprivate", *kept, *sealed))


def _shm(container: Container, layout: Layout, sealed: tuple[str, ...]) -> OciMount:
    if source := shared_memory(container, layout):
        return OciMount("/dev/shm", "bind", source, ("rbind", "rprivate", "nosuid", "noexec", "nodev", *sealed))
    options = ("nosuid", "noexec", "nodev", "mode=1777", f"size={container.shm_size}", *sealed)
    return OciMount("/dev/shm", "tmpfs", "shm", options)


def _ours(container: Container, facts: HostFacts, layout: Layout, own_files: tuple[str, ...]) -> list[OciMount]:
    # Never writable: these files are part of the deployed record.
    options = ("bind", "rprivate", "ro", "nosuid", "noexec", "nodev")
    deployed = f"{layout.container(container.name)}/{CURRENT}"
    found = [OciMount(f"/etc/{name}", "bind", f"{deployed}/{name}", options) for name in ("hostname", *own_files)]
    if finds_network(container):
        # Made anew with the namespace, and its containers' own to change, as with docker and podman.
        directory = layout.resolving(namespace_owner(container))
        names = ("hosts",) if container.dns == ("none",) else ("hosts", "resolv.conf")
        own = ("bind", "rprivate", "rw", "nosuid", "noexec", "nodev")
        found += [OciMount(f"/etc/{name}", "bind", f"{directory}/{name}", own) for name in names]
    elif container.network is NetworkMode.HOST:
        if container.hosts or container.dns or container.dns_search or container.dns_options:
            raise UserError("AddHost=, DNS=: with Network=host the host's own files apply; change those instead")
        # The host's own files, so never writable from inside.
        found += [
            OciMount(path, "bind", path, options)
            for path in ("/etc/hosts", "/etc/resolv.conf")
            if path in facts.existing
        ]
    else:
        found.append(OciMount("/etc/hosts", "bind", f"{deployed}/hosts", options))
    if container.notify is Notify.CONTAINER:
        found.append(OciMount(posixpath.dirname(NOTIFY_SOCKET), "bind", layout.notifications(container.name), options))
    if container.timezone:
        found.append(_localtime(container.timezone, facts))
    if container.run_init:
        if not facts.init_path:
            text = "RunInit=: this host has neither tini nor catatonit; install the package 'tini'"
            raise UserError(text).asked_by("RunInit")
        found.append(OciMount(INIT_TARGET, "bind", facts.init_path, ("bind", "rprivate", "ro")))
    return found


def _zone_file(zone: str) -> str:
    if zone == "local":
        return "/etc/localtime"
    if zone.startswith("/") or ".." in zone.split("/"):
        raise UserError(
            f"timezone '{zone}' is not a name below /usr/share/zoneinfo; write Europe/Berlin, say, or local"
        )
    return f"/usr/share/zoneinfo/{zone}"


def _localtime(zone: str, facts: HostFacts) -> OciMount:
    path = _zone_file(zone)
    if path not in facts.existing:
        text = f"timezone '{zone}': {path} does not exist; correct the name, or install the package 'tzdata'"
        raise UserError(text).asked_by("Timezone")
    return OciMount("/etc/localtime", "bind", path, ("bind", "rprivate", "ro", "nosuid", "noexec", "nodev"))


def _user_mount(mount: Mount, source: str, facts: HostFacts) -> OciMount:
    target = posixpath.normpath(mount.target)
    if not target.startswith("/") or target.strip("/") == "" or ".." in mount.target.split("/"):
        raise UserError(f"mount {mount.target}: not an absolute path below /; write /data, say")
    target = "/" + target.lstrip("/")
    if subpath(mount) and mount.type not in (MountType.VOLUME, MountType.IMAGE):
        raise UserError(f"mount {target}: option 'subpath' is for volumes only; write the whole path as source")
    options = tuple(o for o in mount.options if o not in _NO_RUNTIME_OPTION and not o.startswith(_NO_RUNTIME_VALUE))
    if mount.type is MountType.TMPFS:
        if "noswap" in options and facts.kernel < _NOSWAP:
            text = f"mount {target}: option 'noswap' needs Linux 6.4; drop it, or boot a newer kernel"
            raise UserError(text).asked_by("Tmpfs Mount Volume", target)
        return _tmpfs(target, options)
    if mount.type in (MountType.RAMFS, MountType.DEVPTS):
        return _made(mount.type, target, options)
    _check(target, options, _FLAGS | _PROPAGATION | _BINDING, ())
    if mount.type is MountType.IMAGE and "rw" not in options:
        options = (*options, *(() if "ro" in options else ("ro",)))
    if mount.type in (MountType.VOLUME, MountType.IMAGE):
        return OciMount(target, "bind", source, _bind_options(options, ("nosuid", "nodev")))
    if not source.startswith("/"):
        raise UserError(f"mount {target}: source '{source}' is not an absolute path; write one")
    return OciMount(target, "bind", source, _bind_options(options, ()))


def is_sealed(mount: Mount, known: Mapping[str, Volume]) -> bool:
    """Whether *mount* is of a volume whose file system is mounted read-only."""
    return "ro" in _restrictions(mount, known)


def _restrictions(mount: Mount, known: Mapping[str, Volume]) -> tuple[str, ...]:
    volume = known.get(mount.source) if mount.type is MountType.VOLUME else None
    return tuple(r for r in _RESTRICTIONS if volume and r in volume.options.split(","))


def _restricted(mount: Mount, known: Mapping[str, Volume]) -> Mount:
    """*mount* with what its volume's own mount forbids: the runtime's would allow it again."""
    added = _restrictions(mount, known)
    undone = {*added, *(_RESTRICTIONS[r] for r in added)}
    return replace(mount, options=(*(o for o in mount.options if o not in undone), *added)) if added else mount


def _bind_options(options: tuple[str, ...], restrictions: tuple[str, ...]) -> tuple[str, ...]:
    """*options* completed: writable, private, recursive, and *restrictions* unless their opposites are given."""
    kept = [o for o in options if o not in _BINDING and o not in ("suid", "dev", "exec")]
    kept += [] if {"ro", "rw"} & set(options) else ["rw"]
    kept += [] if _PROPAGATION & set(options) else ["rprivate"]
    kept += [r for r in restrictions if r.removeprefix("no") not in options and r not in kept]
    return (*kept, "bind" if "bind" in options else "rbind")


def _tmpfs(target: str, options: tuple[str, ...]) -> OciMount:
    _check(target, options, _FLAGS | _PROPAGATION | {"tmpcopyup", "notmpcopyup", "noswap"}, _TMPFS_VALUES)
    kept = [o for o in options if o not in ("suid", "dev", "exec", "notmpcopyup")]
    kept += [] if {"ro", "rw"} & set(options) else ["rw"]
    kept += [] if _PROPAGATION & set(options) else ["rprivate"]
    kept += [r for r in ("nosuid", "nodev") if r.removeprefix("no") not in options and r not in kept]
    kept += [] if {"tmpcopyup", "notmpcopyup"} & set(options) else ["tmpcopyup"]
    return OciMount(target, "tmpfs", "tmpfs", tuple(kept))


def _made(kind: MountType, target: str, options: tuple[str, ...]) -> OciMount:
    """A file system without a source; as podman has it, with no more than what was asked for, and no device nodes or
    setuid programs."""
    if kind is MountType.DEVPTS:
        return OciMount(target, "devpts", "devpts", ("nosuid", "noexec", *options))
    kept = tuple(o for o in options if o not in ("suid", "dev", "exec"))
    kept += tuple(r for r in ("nosuid", "nodev") if r.removeprefix("no") not in options and r not in kept)
    return OciMount(target, "ramfs", "ramfs", kept)


def _check(target: str, options: tuple[str, ...], words: frozenset[str], prefixes: tuple[str, ...]) -> None:
    for option in options:
        if option not in words and not option.startswith(prefixes or ("\0",)):
            raise UserError(f"mount {target}: option '{option}' is not supported; see ctr.container(5)")
