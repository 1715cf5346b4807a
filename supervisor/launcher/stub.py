"""The process that becomes the container: mounts the root, waits to be placed in the scope, then executes the runtime.

Runs between fork and exec, so it touches nothing of the launcher's but its own arguments. What goes wrong is written to
the report pipe, which execve closes: an empty report means the runtime was started.
"""

from __future__ import annotations

import os

from supervisor.errors import CtrError
from supervisor.launcher import programs, rootfs
from supervisor.launcher.plan import Plan

_FAILED = 125


def become_container(
    plan: Plan,
    argv: tuple[str, ...],
    places: str,
    credentials: str,
    stdio: tuple[int, int, int],
    go: int,
    report: int,
    passed: int = 0,
) -> None:
    """Never returns. *places*: the container's runtime directory. *credentials*: $CREDENTIALS_DIRECTORY.
    *stdio* become 0, 1 and 2, and *passed* descriptors from 3 on stay; *go* is readable once the scope holds this
    process, and at end of file when the launcher died first."""
    try:
        problem = _prepare_root(plan, places, credentials)
        # Also after a failure: systemd cannot make a scope of a process that is gone.
        if os.read(go, 1) and not problem:
            for target, fd in enumerate(stdio):
                os.dup2(fd, target)
            if plan.users:
                from supervisor.launcher import users

                users.own_streams(plan)
            if passed:
                from supervisor.launcher import activation

                activation.pass_on(passed)
            problem = _execute(argv)
        os.write(report, problem.encode())
    finally:
        os._exit(_FAILED)


def _prepare_root(plan: Plan, places: str, credentials: str) -> str:
    """Mount the root; what went wrong, in words."""
    try:
        rootfs.enter_namespace()
        if plan.users:
            from supervisor.launcher import users

            users.mount_root(plan, places)
        elif plan.directory:
            rootfs.mount_directory(plan.directory, plan.rootfs)
        else:
            rootfs.mount_layers(plan.layers, plan.upper, plan.fresh, f"{places}/layers", plan.rootfs, plan.label)
        rootfs.guard(plan.rootfs)
        if plan.mounts or plan.copy_ups or plan.idmaps:
            from supervisor.launcher import volumes

            volumes.prepare(plan, places)
        if plan.secrets:
            from supervisor.launcher import secrets

            secrets.mount_files(plan.secrets, credentials, f"{places}/secrets", plan.users[1:])
        if plan.runtime == "runc":
            rootfs.freeze_cgroups()
    except CtrError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _execute(argv: tuple[str, ...]) -> str:
    """Become the runtime; returns only with what went wrong."""
    try:
        os.execve(programs.find(argv[0]), argv, programs.ENVIRONMENT)
    except CtrError as error:
        return str(error)
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
