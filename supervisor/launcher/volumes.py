"""What volumes and bind mounts need before the runtime mounts them: the image's content, an owner, a checked way.

Called in the stub, in the mount namespace of the container's root; imported only by a start that has such mounts. What
other containers write into a volume is hostile: nothing here follows a symbolic link out of one. The work itself is
done by cp(1) and chown(1), on a mount of the volume that the kernel follows no links on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat

from supervisor.errors import HostError, UserError
from supervisor.launcher import programs, rootfs
from supervisor.paths import SYSTEM_DIRECTORIES
from supervisor.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.launcher.plan import Plan

_SYS_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT = 0x02, 0x04, 0x08, 0x10
_REMOUNT, _NOSYMFOLLOW, _BIND, _REC = 32, 256, 4096, 16384
_DETACH = 2

#: What a mount forbids (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC); statvfs(3) has the same bits.
_RESTRICTIONS = 1 | 2 | 4 | 8

#: While a long copy goes on, systemd is asked at once and every 10 s for another minute (sd_notify(3),
#: EXTEND_TIMEOUT_USEC), for an hour at most: one that hangs has to end.
_ASK_SECONDS = 10.0
_ASKS = 360
_EXTENSION = "EXTEND_TIMEOUT_USEC=60000000"


def make_directories(directories: tuple[str, ...]) -> None:
    """Make the volumes that are not there yet. Raises `UserError` for one whose place is taken by something else."""
    for directory in directories:
        # A setuid program in a volume must be out of reach of the host's users.
        os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
        try:
            os.makedirs(directory, 0o755, exist_ok=True)
        except FileExistsError as error:
            what = f"volume {os.path.basename(directory)}: {directory}"
            raise UserError(f"{what} is not a directory; remove it, or use another volume") from error


def prepare(plan: Plan, places: str) -> None:
    """Everything between mounting the root and executing the runtime. *places*: the container's runtime directory.

    Raises `UserError` for a mount that cannot be, `HostError` when cp or chown fails, OSError.
    """
    for source, place in plan.idmaps:
        _mount_idmapped(source, place, plan.users[0])
    for directory, marker, target, owner, image in plan.copy_ups:
        _copy_up(directory, marker, target, owner, plan, places, image)
    images = {columns[4] for columns in plan.copy_ups}
    for place in (overlay[0] for overlay in plan.overlays if overlay[0] not in images):
        _mount_overlay(plan, place)
    for directory, path, place in plan.subpaths:
        _mount_subpath(directory, path, place)
    for source, target, over, rest in plan.mounts:
        _check(source, target, over, rest, plan.rootfs)
    for source, owner in plan.chowns:
        _change_owner(source, owner, places)
    for source, label, once in plan.relabels:
        if not (once and _has_label(source, label)):
            _relabel(source, label, places)


def wait_patiently(report: int, notify_socket: str) -> None:
    """Return when *report* is readable; until then keep systemd from giving the start up."""
    import select

    for _ in range(_ASKS):
        if notify_socket:
            notify.notify(notify_socket, _EXTENSION)
        if select.select([report], (), (), _ASK_SECONDS)[0]:
            return


def resolve(directory: str, path: str, how: int) -> int:
    """An O_PATH descriptor of *path* below *directory*, found as *how* says (openat2(2)); -1 when nothing is there.

    Raises OSError: ELOOP for a link that *how* forbids, ENOTDIR for a file in the way.
    """
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    arguments = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, how)
    name = os.fsencode(path.lstrip("/") or ".")
    call = ctypes.CDLL(None, use_errno=True).syscall
    try:
        while True:
            found = call(ctypes.c_long(_SYS_OPENAT2), root, name, ctypes.byref(arguments), ctypes.c_size_t(24))
            number = ctypes.get_errno()
            if found >= 0:
                return int(found)
            if number == errno.ENOENT:
                return -1
            if number != errno.EAGAIN:  # something was renamed on the way: try again
                raise OSError(number, os.strerror(number), f"{directory}/{path}")
    finally:
        os.close(root)


def _mount_overlay(plan: Plan, place: str) -> None:
    from supervisor.launcher import overlays

    overlays.prepare(plan, place)


def _copy_up(
    directory: str, marker: str, target: str, owner: str, plan: Plan, places: str, image: str = ""
) -> None:
    """Fill the volume *directory* with what the image has at *target* (nothing, if that is empty) while it is empty.
    *image*: where another image than the container's is to be mounted for that.

    As with docker, and with no more state than the volume itself: one that was emptied is filled again. *marker* has
    content while a copy goes on, so a copy that was killed is made again, over what it left; what others wrote in the
    meantime stays. What is mounted read-only stays as it is.
    """
    interrupted = os.path.lexists(marker)
    if not interrupted and not _is_empty(directory):
        return
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return
    if image:
        _mount_overlay(plan, image)
    found = resolve(image or plan.rootfs, target, _IN_ROOT | _NO_MAGICLINKS) if target else -1
    if found >= 0 and not stat.S_ISDIR(os.fstat(found).st_mode):
        raise UserError(f"mount {target}: the image has a file there; a volume needs a directory")
    # Not for a volume that stays empty because the image's directory is: that would cost every start.
    if interrupted or (found >= 0 and os.listdir(f"/proc/self/fd/{found}")):
        doing = f"copying the image's {target} ('nocopy' leaves it out)"
        _copy_locked(found, directory, marker, owner, places, doing, *plan.users[:1])
    else:
        if found >= 0:
            status = os.fstat(found)
            os.chown(directory, status.st_uid, status.st_gid)
            os.chmod(directory, stat.S_IMODE(status.st_mode))
        _give(directory, owner)
    if found >= 0:
        os.close(found)


def _copy_locked(
    found: int, directory: str, marker: str, owner: str, places: str, doing: str, users: str = ""
) -> None:
    """Copy the directory *found* into *directory*, or wait until another container has done so; as root of the user
    namespace *users*, if there is one: on a mount that shows its users there is no other.

    The lock is cp's too, which may outlive this process.
    """
    os.makedirs(os.path.dirname(marker), 0o700, exist_ok=True)
    lock = _locked(marker)
    if os.fstat(lock).st_size or _is_empty(directory):
        os.write(lock, b"copying\n")
        _flush(os.path.dirname(marker))
        if found >= 0:
            os.set_inheritable(found, True)
            source = f"/proc/self/fd/{found}/."
            problem = _on(directory, places, ("cp", "--archive", "--remove-destination", "--", source), users)
            if problem:
                raise HostError(f"{directory}: {doing}: {problem}")
        _give(directory, owner)
        _flush(directory)
        # One that a power cut brings back must not have the image's files put over what the container wrote since.
        os.ftruncate(lock, 0)
        _flush(os.path.dirname(marker))
    os.unlink(marker)
    os.close(lock)


def _give(path: str, owner: str) -> None:
    """Give *path* itself to *owner*, UID:GID or nothing."""
    if owner:
        user, group = owner.split(":")
        os.chown(path, int(user), int(group))


def _is_empty(directory: str) -> bool:
    """A new file system of the ext family is not quite."""
    return os.listdir(directory) in ([], ["lost+found"])


def _locked(path: str) -> int:
    """The file *path*, made if missing, with an exclusive lock that programs we execute inherit."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(file, True)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.stat(path), os.fstat(file)):
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # whoever had it has removed it


def _mount_idmapped(source: str, place: str, user_namespace: str) -> None:
    """Have *place* show *source* with its owners as in *user_namespace*."""
    from supervisor.launcher import idmap

    try:
        _make_place(place, stat.S_ISDIR(os.stat(source).st_mode))
    except FileNotFoundError as error:
        raise UserError(f"mount: {source} does not exist on the host; make it first") from error
    idmap.mount(source, place, user_namespace, recursive=True)


def _mount_subpath(directory: str, path: str, place: str) -> None:
    """Mount *path* of the volume *directory* on *place*; a link in the volume leads nowhere else."""
    volume = os.path.basename(directory)  # of an image: the number of its mount
    try:
        found = resolve(directory, path, _IN_ROOT | _NO_MAGICLINKS)
    except OSError as error:
        raise UserError(f"volume {volume}: subpath '{path}': {_reason(error)}") from error
    if found < 0:
        raise UserError(f"volume {volume}: subpath '{path}' does not exist in it; make it first")
    _make_place(place, stat.S_ISDIR(os.fstat(found).st_mode))
    rootfs.mount(f"/proc/self/fd/{found}", place, "", _BIND | _REC, "")
    os.close(found)


def _check(source: str, target: str, over: str, rest: str, root: str) -> None:
    """Refuse a mount without a source, of a file on a directory or the other way round, or through a foreign link.

    *source* is empty for what is no bind mount. *over* is the source of the mount that *target* lies in, *rest* the way
    from there: the runtime would follow a link in it, to anywhere in the container, onto another mount say.
    """
    is_directory = True
    if source:
        try:
            is_directory = stat.S_ISDIR(os.stat(source).st_mode)
        except FileNotFoundError as error:
            raise UserError(f"mount {target}: {source} does not exist on the host; make it first") from error
    try:
        found = resolve(over, rest, _BENEATH | _NO_SYMLINKS) if over else resolve(root, target, _IN_ROOT)
    except OSError as error:
        if over and error.errno == errno.ELOOP:
            raise UserError(f"mount {target}: {over}/{rest}: has a symbolic link on the way; refused") from error
        raise UserError(f"mount {target}: {_reason(error)} in the container") from error
    if found < 0:
        return
    mode = os.fstat(found).st_mode
    os.close(found)
    if stat.S_ISDIR(mode) != is_directory:
        kinds = ("directory", "file") if is_directory else ("file", "directory")
        what = f"{source or 'the source'} is a {kinds[0]}, {target} in the container a {kinds[1]}"
        raise UserError(f"mount {target}: {what}; mount a file on a file, a directory on a directory")


def _change_owner(source: str, owner: str, places: str) -> None:
    """Give *source* with all that is in it to *owner* (UID:GID); links in it themselves, not what they lead to."""
    found = _to_give(source)
    problem = ""
    if stat.S_ISDIR(os.fstat(found).st_mode):
        problem = _on(f"/proc/self/fd/{found}", places, ("chown", "-hR", "--", owner))
    else:
        _give(f"/proc/self/fd/{found}", owner)
    os.close(found)
    if problem:
        raise HostError(f"{source}: giving it to {owner}: {problem}")


def _relabel(source: str, label: str, places: str) -> None:
    """Give *source* with all that is in it the SELinux *label*; links in it themselves."""
    found = _to_give(source, "option z would label")
    place, problem = f"/proc/self/fd/{found}", ""
    if stat.S_ISDIR(os.fstat(found).st_mode):
        problem = _on(place, places, ("chcon", "-hR", "--", label))
    else:
        os.setxattr(place, "security.selinux", label.encode() + b"\0")
    os.close(found)
    if problem:
        raise HostError(f"{source}: labelling it {label}: {problem}")


def _has_label(source: str, label: str) -> bool:
    """Whether *source* itself has the SELinux *label*: chcon gives it to a directory after what is in it."""
    try:
        return os.getxattr(source, "security.selinux").rstrip(b"\0") == label.encode()
    except OSError:  # without a label, or on a file system without labels
        return False


def _to_give(source: str, doing: str = "option U would give away") -> int:
    """An O_PATH descriptor of *source*. Raises `UserError` when that is a directory of the system, also through a link
    or a bind mount: rendering has seen no more than its name."""
    found = os.open(source, os.O_PATH | os.O_CLOEXEC)
    status = os.fstat(found)
    for path in SYSTEM_DIRECTORIES:
        try:
            is_kept = os.path.samestat(os.stat(path or "/"), status)
        except FileNotFoundError:
            continue
        if is_kept:
            os.close(found)
            raise UserError(f"mount: {doing} {source}, a directory of the system ({path or '/'})")
    return found


def _on(directory: str, places: str, command: tuple[str, ...], users: str = "") -> str:
    """Run *command* on *directory*, where whoever writes there at the same time cannot lead it out: it sees a mount
    that follows no symbolic link (mount(8), nosymfollow), and allows no more than the directory's own. Returns '' or
    the first complaint."""
    place = f"{places}/volume"
    _make_place(place, is_directory=True)
    rootfs.mount(directory, place, "", _BIND, "")
    # A remount replaces them all: one that is read-only would become writable.
    kept = os.statvfs(place).f_flag & _RESTRICTIONS
    rootfs.mount("none", place, "", _REMOUNT | _BIND | _NOSYMFOLLOW | kept, "")
    problem = _run((*command, place), users)
    ctypes.CDLL(None).umount2(os.fsencode(place), _DETACH)
    return problem


def _run(command: tuple[str, ...], user_namespace: str = "") -> str:
    """Run *command* and wait; '' or its first complaint. The journal would show those as the scope's, if at all."""
    complaints = os.memfd_create("complaints")
    if user_namespace:
        from supervisor.launcher import users

        code = users.run_inside(command, user_namespace, complaints)
    else:
        to_stderr = [(os.POSIX_SPAWN_DUP2, complaints, 2)]
        pid = os.posix_spawn(programs.find(command[0]), command, programs.ENVIRONMENT, file_actions=to_stderr)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines = os.pread(complaints, 1024, 0).decode(errors="replace").splitlines()
    os.close(complaints)
    return (lines[0] if lines else f"{command[0]}: exit status {code}") if code else ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _make_place(path: str, is_directory: bool) -> None:
    """Something to mount on."""
    if is_directory:
        os.makedirs(path, 0o700, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _flush(directory: str) -> None:
    """Wait until the file system of *directory* is on disk (syncfs(2)): a marker must not go before what it is for."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    code = ctypes.CDLL(None, use_errno=True).syncfs(opened)
    number = ctypes.get_errno()
    os.close(opened)
    if code < 0:
        raise OSError(number, os.strerror(number), directory)
