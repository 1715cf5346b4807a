"""Hand the credentials that systemd loaded for the unit to the container: as files, or as variables. Imported only by a
start that has some.

Files are copied by the kernel (sendfile(2)) into a file system of the container's own that is never swapped out and
that no other mount namespace sees; their content never enters this process. Variables do, so it makes itself
undumpable.
"""

from __future__ import annotations

import ctypes
import os

from supervisor.errors import UserError
from supervisor.launcher import rootfs

_PR_SET_DUMPABLE = 4
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_CHUNK = 1 << 20


def mount_files(files: tuple[str, ...], credentials: str, directory: str, root: tuple[str, ...] = ()) -> None:
    """Make *directory* hold a read-only copy of each of *files*, which are ``NUMBER UID GID MODE NAME`` (see plan).

    *credentials*: $CREDENTIALS_DIRECTORY. *root*: user and group of the container's root, where they are not the
    host's: the runtime looks for the files as them. Called in the container's mount namespace. ramfs, not tmpfs: its
    pages never reach a swap device, on any kernel (tmpfs knows ``noswap`` since Linux 6.4). Raises `UserError`,
    `HostError`.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    flags = _NOSUID | _NODEV | _NOEXEC
    rootfs.mount("ramfs", directory, "ramfs", flags, "mode=0700")
    if root:
        os.chown(directory, int(root[0]), int(root[1]))
    for line in files:
        number, uid, gid, mode, name = line.split(" ", 4)
        reader = _open(credentials, name)
        writer = os.open(f"{directory}/{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        while os.sendfile(writer, reader, None, _CHUNK):
            pass
        os.fchown(writer, int(uid), int(gid))
        os.fchmod(writer, int(mode, 8))
        os.close(reader)
        os.close(writer)
    # The file system itself, not this one mount of it. With CAP_SYS_ADMIN a container can undo it ('remount,rw'), which
    # changes this copy of its own and nothing else.
    rootfs.mount("ramfs", directory, "", flags | _RDONLY | _REMOUNT, "")


def variables(wanted: tuple[str, ...], credentials: str) -> dict[str, str]:
    """Names and values of *wanted*, which are ``NAME VARIABLE``; a value is the credential as it is, as with podman.

    From here on this process leaves no core dump (prctl(2), PR_SET_DUMPABLE). Raises `UserError` for a value that
    cannot be a variable's.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    found = {}
    for line in wanted:
        name, variable = line.split(" ", 1)
        with open(_open(credentials, name), "rb") as file:
            value = file.read()
        if b"\0" in value:
            raise UserError(f"secret '{name}': holds a NUL byte, which no variable can; use type=mount")
        try:
            found[variable] = value.decode()
        except UnicodeDecodeError:
            # Without the cause, whose text quotes the value.
            raise UserError(f"secret '{name}': is not UTF-8 text, which a variable has to be; use type=mount") from None
    return found


def _open(credentials: str, name: str) -> int:
    try:
        return os.open(f"{credentials}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise UserError(f"secret '{name}': systemd loaded no such credential; run 'ctrctl apply'") from error
