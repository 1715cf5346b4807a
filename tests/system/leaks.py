"""What a test must not leave behind: the state of the host as sets of lines, before and after.

Owns what counts as a leak. What is resident by design (the log relay, slices, templates) does not.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from hostkit import CGROUPS, DEFINITIONS, RUNTIME, STATE, command_of, names, read_lines, systemctl

RESIDENT = frozenset(
    {"ctr-log.socket", "ctr-log.service", "ctr-image.socket", "ctr-supervisor.service", "ctr-metrics.socket"}
)
#: Mounts of systemd's services and sessions, of podman, which some tests compare with, and of Debian 12's crun 1.8.1,
#: which binds itself there for an instant and leaves that behind when a probe is killed just then.
OTHERS = ("/run/credentials/", "/run/user/", "/var/lib/containers/", "/tmp/crun.")
#: Where names of network namespaces are: made with the first one, by ip-netns(8), podman or us, and shared.
NAMESPACES = "/run/netns"
SANDBOXED = ("/systemd", "ctr-relay", "ctr-supervisor", "polkitd")
RUNTIMES = frozenset({"crun", "runc", "conmon"})


@dataclass(frozen=True)
class Snapshot:
    """The host at one moment. Each field is a set of lines fit for a message."""

    units: frozenset[str]
    failed_units: frozenset[str]
    processes: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]
    network_namespaces: frozenset[str]

    def leaks_since(self, before: Snapshot) -> list[str]:
        """What is there now and was not `before`."""
        return [
            f"{field.name}: {line}"
            for field in fields(self)
            for line in sorted(getattr(self, field.name) - getattr(before, field.name))
        ]


def snapshot() -> Snapshot:
    """Look at the host."""
    return Snapshot(
        units=_units(),
        failed_units=_failed_units(),
        processes=_processes(),
        mounts=frozenset(_mounts()),
        cgroups=_cgroups(),
        files=_files(),
        network_namespaces=_network_namespaces(),
    )


def _units() -> frozenset[str]:
    """Units of ours that are active, failed or have a job; with what they are, as `failed` is a leak of its own."""
    lines = systemctl("list-units", "--plain", "--no-legend", "--full", "ctr*").stdout.splitlines()
    words = [line.split(None, 4) for line in lines]
    return frozenset(
        f"{name} {active}" for name, _, active, *_ in words if name not in RESIDENT and not name.endswith(".slice")
    )


def _failed_units() -> frozenset[str]:
    """Units of anybody: one that a test started or killed and left `failed` makes the host `degraded` for the rest."""
    lines = systemctl("list-units", "--failed", "--plain", "--no-legend", "--full").stdout.splitlines()
    return frozenset(line.split(None, 1)[0] for line in lines)


def _processes() -> frozenset[str]:
    """Processes in groups of ours, of a container runtime, or left running by the test itself.

    Numbers are part of the line: a process that was there before is the same process.
    """
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        pid = int(directory.name)
        group = "".join(line[3:] for line in read_safely(directory / "cgroup") if line.startswith("0::"))
        name = "".join(read_safely(directory / "comm"))
        ours = "ctr" in group and not any(resident in group for resident in RESIDENT)
        if (ours or name in RUNTIMES or group.endswith("/testbed.service")) and not _is_us(pid):
            found.append(f"{pid} {command_of(pid)} in {group}")
    return frozenset(found)


def _is_us(pid: int) -> bool:
    return pid == os.getpid()


def read_safely(path: Path) -> list[str]:
    """Lines of a file of a process that may end meanwhile."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _mounts() -> list[str]:
    """Mount points that PID 1 sees (proc_pid_mountinfo(5))."""
    points = [line.split(" ")[4] for line in read_lines("/proc/1/mountinfo")]
    return [point for point in points if not point.startswith(OTHERS) and point != NAMESPACES]


def _cgroups() -> frozenset[str]:
    """Control groups of ours; slices stay for as long as systemd likes."""
    return frozenset(
        f"{parent}/{name}"
        for parent, directories, _ in os.walk(CGROUPS)
        for name in directories
        if name.startswith("ctr") and name not in RESIDENT and not name.endswith(".slice")
    )


def _files() -> frozenset[str]:
    return (
        names(DEFINITIONS)
        | names(STATE, ["containers/*", "build/*"])
        | names(RUNTIME, ["containers/*", "exec-*", "networks/*", "namespaces/*", "dns/*"])
        | names(RUNTIME, ["crun/[!.]*", "runc/*"])  # crun keeps a .cache of seccomp filters
        | names(Path("/etc/systemd/system"), ["ctr*", "*.wants/ctr@*", "*.requires/ctr@*", "*.upholds/ctr@*"])
        | names(Path("/run/systemd/system"), ["ctr*"])
        | names(Path("/run/netns"))
        | names(Path("/sys/class/net"))
    )


def _network_namespaces() -> frozenset[str]:
    """Network namespaces with a process in them, but for those of sandboxed services that stay.

    (lsns(8) may fail when a process ends while it looks.)
    """
    found: dict[str, list[str]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.setdefault(os.readlink(f"/proc/{pid}/ns/net"), []).append(command_of(int(pid)))
        except OSError:
            continue  # it has ended
    return frozenset(
        space
        for space, commands in found.items()
        if not any(name in command for name in SANDBOXED for command in commands)
    )
