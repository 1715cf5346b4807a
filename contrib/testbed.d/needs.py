"""Owns the checks made before anything is touched: root, tools, disk.

Each failure says what is missing and how to get it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from errors import TestbedError

# Tool -> the Debian package that has it.
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "cp": "coreutils",
    "rm": "coreutils",
    "mke2fs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "apt-get": "apt",
}

GIB = 1 << 30


def root() -> None:
    """Refuse anyone but root: namespaces, overlay mounts and mmdebstrap in mode root need it."""
    if os.geteuid() != 0:
        raise TestbedError("testbed: needs root, to mount and to boot a host; run it with sudo")


def tools(*names: str) -> None:
    """Refuse when a program is not in PATH; one message names all of them and the command that installs them."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        packages = sorted({PACKAGES[name] for name in missing})
        raise TestbedError(
            f"testbed: {', '.join(missing)}: not found; apt-get install --no-install-recommends {' '.join(packages)}"
        )


def disk(where: Path, gib: float) -> None:
    """Refuse when the file system of the existing directory `where` has less than `gib` GiB free."""
    free = shutil.disk_usage(where).free
    if free < gib * GIB:
        raise TestbedError(
            f"{where}: {free / GIB:.1f} GiB free, {gib} GiB needed; make room, or set CTR_TESTBED_CACHE to another disk"
        )
