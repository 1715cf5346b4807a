"""What a container is like from inside, read from the kernel: one dictionary of facts for each running container.

Owns how a fact is observed and how it is written so that two containers can be compared; makes no claims. It looks
through /proc/PID of the container's first process, so it needs no program in the image, and asks no container tool.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from hostkit import CGROUPS, run

#: A fact's name, and what it says: text, or parts by name.
Facts = dict[str, dict[str, str]]

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
SYSCTLS = (
    "fs/mqueue/msg_max",
    "kernel/domainname",
    "kernel/sem",
    "kernel/shmmax",
    "kernel/shm_rmid_forced",
    "net/core/somaxconn",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ping_group_range",
    "net/ipv6/conf/all/forwarding",
)
_STATUS = ("Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "Seccomp")
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
#: Options of a file system, beside those of the mount, that the definition decides.
_OURS = re.compile(r"size=.*|mode=.*|uid=.*|gid=.*|nr_inodes=.*|ro|rw|max=.*|newinstance|ptmxmode=.*")
#: File systems on a disk: where a tool keeps its files differs, and on the test machines what the disk is.
_DISKS = frozenset({"btrfs", "ext4", "overlay", "xfs"})
#: Addresses in the default networks, podman's and ctr's: the router is the first, the rest are given in turn.
_ROUTER = re.compile(r"10\.(88|90)\.\d+\.1\b")
_OWN = re.compile(r"10\.(88|90)\.\d+\.\d+")
#: Limits of a control group, where the host has the controllers.
_GROUP_LIMITS = ("memory.max", "memory.swap.max", "pids.max", "cpu.max")


def facts(pid: int) -> Facts:
    """Everything about the container whose first process is *pid*, as the host numbers it."""
    proc = Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return {
        "command": _listed(_words(proc / "cmdline")),
        "environment": dict(word.partition("=")[::2] for word in _words(proc / "environ")),
        "identity": {name: " ".join(status[name].split()) for name in _STATUS},
        "capabilities": {name: status[name].strip() for name in _CAPABILITIES},
        "mounts": _mounts(proc),
        "namespaces": {name: _whose(proc, name) for name in NAMESPACES},
        "place": {
            "hostname": _in_namespaces(pid, "hostname").strip(),
            "cwd": os.readlink(proc / "cwd"),
            "oom_score_adj": (proc / "oom_score_adj").read_text().strip(),
            "personality": _readable(proc / "personality"),
        },
        "limits": _limits(proc),
        "streams": {number: _stream(proc / "fd" / number) for number in ("0", "1", "2")},
        "sysctls": _sysctls(pid),
        "group": _group(proc),
        "hosts": _hosts(proc),
        "resolver": _listed(_lines(proc, "etc/resolv.conf")),
        "accounts": _accounts(proc, status),
        "devices": _devices(proc / "root/dev"),
    }


def _words(path: Path) -> list[str]:
    return path.read_bytes().decode(errors="surrogateescape").removesuffix("\0").split("\0")


def _listed(items: list[str]) -> dict[str, str]:
    return {str(index): item for index, item in enumerate(items)}


def _readable(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        return str(error.strerror)


def _lines(proc: Path, file: str) -> list[str]:
    try:
        lines = (proc / "root" / file).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def _mounts(proc: Path) -> dict[str, str]:
    """Target to kind, options and propagation (proc_pid_mountinfo(5)); the last one at a target is what is seen."""
    found: dict[str, str] = {}
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, root, target, options, *propagation = before.split(" ")
        kind, _, superblock = after.split(" ", 2)
        own = sorted(options.split(","))
        theirs = sorted(word for word in superblock.split(",") if _OURS.fullmatch(word))
        shared = sorted(re.sub(r":\d+", "", word) for word in propagation)
        shown = root if root.startswith("/compare") or kind == "proc" else ""
        kind = "disk" if kind in _DISKS and target != "/" else kind
        found[target] = " ".join(filter(None, (kind, shown, ",".join(own), "/", ",".join(theirs), *shared)))
    return found


def _whose(proc: Path, name: str) -> str:
    same = (proc / "ns" / name).readlink() == Path("/proc/1/ns", name).readlink()
    return "the host's" if same else "its own"


def _limits(proc: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (proc / "limits").read_text().splitlines()[1:]:
        name, soft, hard = re.split(r"\s{2,}", line)[:3]
        found[name] = f"{soft} {hard}"
    return found


def _group(proc: Path) -> dict[str, str]:
    """The limits that hold for the container's control group: the smallest of its own and those above it."""
    path = CGROUPS / (proc / "cgroup").read_text().strip().removeprefix("0::/")
    found: dict[str, str] = {}
    for group in (path, *path.parents):
        for name in _GROUP_LIMITS if group.is_relative_to(CGROUPS) else ():
            limit = _readable(group / name) if (group / name).exists() else "max"
            if not limit.startswith("max"):
                found[name] = min(limit, found.get(name, limit), key=lambda text: int(text.split()[0]))
    return found


def _sysctls(pid: int) -> dict[str, str]:
    values = _in_namespaces(pid, "cat", *(f"/proc/sys/{name}" for name in SYSCTLS)).splitlines()
    return dict(zip(SYSCTLS, values, strict=True))


def _stream(path: Path) -> str:
    """What an open file is: a pipe, a socket, or the name of a file."""
    return path.readlink().as_posix().partition(":[")[0]


def _in_namespaces(pid: int, *argv: str) -> str:
    return run("nsenter", f"--target={pid}", "--net", "--ipc", "--uts", *argv).stdout


def _hosts(proc: Path) -> dict[str, str]:
    """Name and family to address."""
    found: dict[str, str] = {}
    for line in _lines(proc, "etc/hosts"):
        address, *names = line.split()
        for name in names:
            shown = _OWN.sub("its own", _ROUTER.sub("the router", address))
            found[f"{name} {'v6' if ':' in address else 'v4'}"] = shown
    return found


def _accounts(proc: Path, status: dict[str, str]) -> dict[str, str]:
    """The container's own line for the user and the group that it runs as."""
    user, group = status["Uid"].split()[0], status["Gid"].split()[0]

    def line(file: str, number: str) -> str:
        return next((line for line in _lines(proc, file) if line.split(":")[2] == number), "")

    return {"user": line("etc/passwd", user), "group": line("etc/group", group)}


def _devices(directory: Path) -> dict[str, str]:
    """Nodes and links directly below /dev; kind, mode, owner and number or target."""
    found: dict[str, str] = {}
    for path in directory.iterdir():
        entry = path.lstat()
        if stat.S_ISLNK(entry.st_mode):
            found[path.name] = f"-> {path.readlink()}"
        else:
            number = f"{os.major(entry.st_rdev)}:{os.minor(entry.st_rdev)}" if entry.st_rdev else ""
            found[path.name] = f"{stat.filemode(entry.st_mode)} {entry.st_uid}:{entry.st_gid} {number}".strip()
    return found
