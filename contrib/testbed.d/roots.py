"""Owns the cached Debian roots: which packages they hold, how they are built, which one is current.

A root is built under another name and renamed when whole, so a directory that has the final name is complete. Its name
carries a hash of everything that decides its content. It is never changed after that; hosts see it through an overlay.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import linux
import needs
from errors import TestbedError

SUITES = ("trixie", "bookworm")

PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-container", "dbus", "polkitd", "libpam-systemd"),
    *("iproute2", "iptables", "nftables", "procps", "psmisc", "curl", "ca-certificates", "less", "strace", "kmod"),
    *("crun", "runc", "podman", "docker.io", "netavark", "aardvark-dns", "skopeo", "docker-registry"),
    *("buildah", "jq", "erofs-utils", "zstd", "tini", "golang-github-containers-common", "apparmor"),
    *("python3", "python3-pystemd", "python3-dbus-next", "python3-anyio", "python3-aiofiles", "python3-systemd"),
    *("python3-prometheus-client", "python3-rich", "python3-yaml", "prometheus", "graphviz"),
    *("python3-pytest", "python3-hypothesis", "linux-image-cloud-amd64"),
)

# Debian 13 split the client off docker.io.
MORE_PACKAGES = {"trixie": ("docker-cli",), "bookworm": ()}

# Nobody reads manuals in a test host; without them the root is smaller and the build faster.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

BUILD_GIB = 4.0

# A mirror that fails is asked again: seconds to wait before.
PAUSES = (5.0, 30.0)


@dataclass(frozen=True)
class Root:
    """A complete Debian root at `path`; `key` names its suite and content."""

    suite: str
    key: str
    path: Path


def key(suite: str) -> str:
    """`SUITE-HASH`: another package list gives another key, and so another root."""
    content = "\n".join([suite, *packages(suite), *LEFT_OUT])
    return f"{suite}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def packages(suite: str) -> list[str]:
    """The packages asked for by name in a root of `suite`."""
    return sorted(PACKAGES + MORE_PACKAGES[suite])


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on the file `path` (made when missing); yields False when it is taken and `wait` is false."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


@contextlib.contextmanager
def borrowed(cache: Path, suite: str) -> Iterator[Root]:
    """The current root of `suite`, built when missing; nobody removes it while it is borrowed.

    Raises TestbedError when it cannot be built. Call it inside a private mount namespace.
    """
    name = key(suite)
    root = Root(suite, name, cache / "roots" / name)
    with contextlib.ExitStack() as stack:
        # One lock for building and for using: a builder holds it alone, so a second first run waits and then finds the
        # root built; users share it, so `clean` leaves a root that is in use alone.
        lock = cache / "roots" / f"{name}.lock"
        if not root.path.is_dir():
            with locked(lock):
                if not root.path.is_dir():
                    _build(root)
        stack.enter_context(locked(lock, shared=True))
        if not root.path.is_dir():
            raise TestbedError(f"{root.path}: removed while it was waited for; run testbed again")
        yield root


def clean(cache: Path) -> list[str]:
    """Remove every root that is not in use; returns the names of those that are and so stay."""
    busy = []
    for lock in sorted((cache / "roots").glob("*.lock")):
        with locked(lock, wait=False) as free:
            if not free:
                busy.append(lock.stem)
                continue
            for path in lock.parent.glob(f"{lock.stem}*"):
                _remove(path)
    return busy


def _build(root: Root) -> None:
    needs.tools("mmdebstrap", "apt-get", "unshare", "mount")
    partial = root.path.with_name(f"{root.key}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    log = root.path.with_name(f"{root.key}.log")
    print(f"testbed: building the {root.suite} root, about a minute; log: {log}", file=sys.stderr)
    begin = time.monotonic()
    status = _fetch(root.suite, partial, log)
    for pause in PAUSES:
        if status == 0:
            break
        print(f"testbed: {root.suite} root: mmdebstrap failed; once more in {pause:.0f} s", file=sys.stderr)
        time.sleep(pause)
        status = _fetch(root.suite, partial, log)
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TestbedError(f"{root.suite} root: mmdebstrap failed with status {status}; see {log}\n{tail}")
    subprocess.run(["sync", "--file-system", str(partial)], check=True)
    partial.rename(root.path)
    print(f"testbed: built in {time.monotonic() - begin:.0f} s", file=sys.stderr)


def _fetch(suite: str, partial: Path, log: Path) -> int:
    """Build a root of `suite` at `partial`, and say all about it in `log`; mmdebstrap's exit status."""
    _remove(partial)  # of a build that failed or was killed: we hold the lock, so nobody is at work on it
    needs.disk(partial.parent, BUILD_GIB)
    command = [
        # In a process namespace of its own, so that not one of apt's and dpkg's processes outlives us.
        *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory"),
        f"--include={','.join(packages(suite))}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        *("--", suite, str(partial), *_sources(suite)),
    ]
    with log.open("w") as out:
        return subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=linux.die_with(os.getpid()),
            env=os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        ).returncode


def _sources(suite: str) -> list[str]:
    """The apt source lines for `suite`, on the mirrors this machine already uses for Debian.

    `apt-get indextargets` (its manual page) prints what apt itself has read from its configuration.
    """
    form = "$(CREATED_BY)|$(LABEL)|$(COMPONENT)|$(SITE)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", form], check=True, capture_output=True, text=True
    ).stdout
    sites: dict[str, str] = {}
    for line in listed.splitlines():
        created_by, label, component, site = line.split("|", 3)
        if created_by == "Packages" and component == "main":
            sites.setdefault(label, site)
    mirror = os.environ.get("CTR_TESTBED_MIRROR") or sites.get("Debian")
    if mirror is None:
        raise TestbedError(
            "apt: no Debian mirror among its sources; run apt-get update, or set CTR_TESTBED_MIRROR to the URL of one"
        )
    lines = [f"deb {mirror} {suite} main", f"deb {mirror} {suite}-updates main"]
    if "Debian-Security" in sites:
        lines.append(f"deb {sites['Debian-Security']} {suite}-security main")
    return lines


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # One file system: were something mounted below, its content is not ours to delete.
        subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)
    else:
        path.unlink(missing_ok=True)


