"""What a start does otherwise for a container with users of its own: mounts that show them, and whom things belong to.

Only those containers import this. Called in the stub, in the mount namespace of the container's root.
"""

from __future__ import annotations

import os

from supervisor.errors import HostError
from supervisor.launcher import idmap, programs, rootfs
from supervisor.network import namespace
from supervisor.runtime.foreign import FilesAs, give_pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.launcher.plan import Plan

_NODEV, _RDONLY = 4, 1


def mount_root(plan: Plan, places: str) -> None:
    """As `rootfs.mount_layers` or `rootfs.mount_directory`, with every owner shifted. *places*: the container's runtime
    directory, through which its root may now pass: the runtime looks for the root and the mounts as that user."""
    users, _, gid = plan.users
    os.chown(places, -1, int(gid))
    os.chmod(places, 0o710)
    if plan.directory:
        idmap.mount(plan.directory, plan.rootfs, users, recursive=True)
        return
    mount_layers(plan.layers, plan.upper, plan.users, f"{places}/layers", plan.rootfs, plan.label, fresh=plan.fresh)


def mount_layers(
    given: tuple[tuple[str, ...], ...],
    writable: str,
    owner: tuple[str, ...],
    places: str,
    target: str,
    label: str,
    *,
    fresh: bool,
) -> None:
    """As `rootfs.mount_layers` on *target*, every owner shifted as in the user namespace *owner* (path, UID and GID of
    its root). *places*: an empty directory."""
    users, uid, gid = owner
    layers = []
    for number, (kind, path, *data) in enumerate(given):
        if kind == "shifted":  # already
            layers.append(("directory", path))
            continue
        place = f"{places}/{number}"
        os.mkdir(place)
        if kind == "erofs":
            rootfs.mount(path, place, "erofs", _RDONLY | _NODEV, f"device={data[0]}")
        idmap.mount(place if kind == "erofs" else path, place, users)
        layers.append(("directory", place))
    upper = ""
    if writable:
        upper = f"{places}/upper"
        os.mkdir(upper)
        idmap.mount(writable, upper, users)
    # overlayfs does its own work as whoever mounted it.
    with FilesAs(int(uid), int(gid)):
        rootfs.mount_layers(tuple(layers), upper, fresh, places, target, label)


def own_streams(plan: Plan) -> None:
    """Let the container's root open /dev/stdin, stdout and stderr anew."""
    give_pipes(range(3), int(plan.users[1]), int(plan.users[2]))


def run_inside(command: tuple[str, ...], users: str, complaints: int) -> int:
    """Run *command* as root of the user namespace *users* and wait; its exit status. It writes to *complaints*."""
    program = programs.find(command[0])
    child = os.fork()
    if not child:
        try:
            namespace.join(users)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            os.dup2(complaints, 2)
            os.execve(program, command, programs.ENVIRONMENT)
        except (HostError, OSError) as error:
            os.write(complaints, str(error).encode())
        finally:
            os._exit(125)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
