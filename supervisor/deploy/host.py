"""Gather what rendering must know of this host. Reads only; decides nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from supervisor.deploy import security
from supervisor.deploy.settings import Settings
from supervisor.errors import UserError
from supervisor.names import is_name
from supervisor.paths import Layout
from supervisor.render import cdi, devices, mounts, secrets
from supervisor.render.capabilities import NAMES
from supervisor.render.facts import DeviceNode, HostFacts, HostText
from supervisor.render.users import Accounts
from supervisor.spec.container import Container

#: containers/common pkg/seccomp: the administrator's file wins over the package's.
_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
#: Statically linked ones first: they run in an image without a C library.
_INITS = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/tini-static", "/usr/bin/tini")
_LIMITS = {"Max open files": "nofile", "Max processes": "nproc"}
_ACCOUNT_FILE_MAX = 4 * 1024 * 1024


def gather(layout: Layout, containers: Iterable[Container], settings: Settings) -> HostFacts:
    """The facts that rendering *containers* takes. Raises `UserError` when a needed file of the host is missing."""
    wanted = tuple(containers)
    system = os.uname()
    status = _fields("/proc/1/status")
    mask = int(status["CapBnd"], 16)
    specs = tuple(security.cdi_specs(layout, wanted))
    return HostFacts(
        hostname=system.nodename,
        architecture=system.machine,
        kernel=_kernel(system.release),
        seccomp_profile=_seccomp_profile(layout),
        capabilities=frozenset(name for bit, name in enumerate(NAMES) if mask >> bit & 1),
        hard_limits=_hard_limits(),
        init_path=next((path for path in _INITS if os.access(layout.root + path, os.X_OK)), ""),
        devices=tuple(_devices(wanted, specs)),
        seccomp_profiles=tuple(security.seccomp_profiles(wanted)),
        apparmor=security.apparmor(layout),
        selinux=security.selinux(layout),
        cdi_specs=specs,
        existing=frozenset(p for c in wanted for p in _files(c) if os.path.exists(layout.root + p)),
        runtime=settings.runtime,
        credentials=tuple(_credentials(layout, wanted)),
    )


def rootfs_accounts(rootfs: str) -> Accounts:
    """The account files of the directory *rootfs*; a symbolic link in the way counts as no file, for it may lead out.

    Raises `UserError` when *rootfs* itself is no directory.
    """
    try:
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        text = f"Rootfs={rootfs}: {_reason(error)}; create the directory or correct the path"
        raise UserError(text).asked_by("Rootfs") from error
    try:
        return Accounts(_account_file(root, "passwd"), _account_file(root, "group"))
    finally:
        os.close(root)


def _account_file(root: int, name: str) -> str:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        etc = os.open("etc", flags | os.O_DIRECTORY, dir_fd=root)
    except OSError:
        return ""
    try:
        file = os.open(name, flags, dir_fd=etc)
    except OSError:
        return ""
    finally:
        os.close(etc)
    with open(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        return stream.read(_ACCOUNT_FILE_MAX).decode("utf-8", "replace")


def _files(container: Container) -> tuple[str, ...]:
    try:
        return mounts.host_files(container)
    except UserError:
        return ()  # rendering reports it, with the name


def _seccomp_profile(layout: Layout) -> str:
    for path in _PROFILES:
        try:
            with open(layout.root + path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise UserError(
        f"seccomp profile {_PROFILES[-1]}: not there; install the package 'golang-github-containers-common'"
    )


def _fields(path: str) -> dict[str, str]:
    with open(path) as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def _hard_limits() -> tuple[tuple[str, int], ...]:
    """PID 1's, which its services start from; proc_pid_limits(5)."""
    limits = []
    with open("/proc/1/limits") as file:
        for line in file:
            name = _LIMITS.get(line[:26].strip())
            if name:
                hard = line[26:].split()[1]
                limits.append((name, -1 if hard == "unlimited" else int(hard)))
    return tuple(limits)


def _kernel(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    digits = "".join(c if c.isdigit() else " " for c in rest).split()
    return int(major), int(digits[0]) if digits else 0


def _devices(containers: tuple[Container, ...], specs: tuple[HostText, ...]) -> Iterator[DeviceNode]:
    named = frozenset((*_named(containers), *cdi.host_nodes(containers, specs)))
    paths = dict.fromkeys(named)
    for directory in (path for path in named if os.path.isdir(path)):
        paths |= dict.fromkeys(_below(directory))
    if any(c.privileged for c in containers):
        paths |= dict.fromkeys(_below("/dev"))
    for path in sorted(paths):
        try:
            # Directories give nodes, not names for them; a definition may name a node by a link (/dev/disk/by-id/…).
            node = os.stat(path) if path in named else os.lstat(path)
        except OSError:
            continue
        if stat.S_ISCHR(node.st_mode) or stat.S_ISBLK(node.st_mode):
            kind = "c" if stat.S_ISCHR(node.st_mode) else "b"
            number = node.st_rdev
            permissions = stat.S_IMODE(node.st_mode)
            yield DeviceNode(path, kind, os.major(number), os.minor(number), permissions, node.st_uid, node.st_gid)


def _below(directory: str) -> Iterator[str]:
    return (f"{where.rstrip('/')}/{name}" for where, _, names in os.walk(directory) for name in sorted(names))


def _named(containers: tuple[Container, ...]) -> Iterator[str]:
    for container in containers:
        for text in container.devices:
            try:
                yield devices.parse(text)[0]
            except UserError:
                continue  # rendering reports it, with the container's name
        yield from devices.limited(container)


def _credentials(layout: Layout, containers: tuple[Container, ...]) -> Iterator[tuple[str, str, bool]]:
    for name in sorted({name for container in containers for name in secrets.names(container)}):
        if found := credential(layout, name):
            yield (name, *found)


def credential(layout: Layout, name: str) -> tuple[str, bool] | None:
    """Where the credential *name* lies (without the layout's root) and whether it is encrypted there."""
    for store, encrypted in secrets.STORES if is_name(name) else ():
        if os.path.isfile(f"{layout.root}{store}/{name}"):
            return f"{store}/{name}", encrypted
    return None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
