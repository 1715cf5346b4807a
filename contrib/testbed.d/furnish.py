"""Owns what a Debian root needs on top to be a good test host: units off, a large journal, a name, a place for COMMAND.

It only writes files below a mounted root; what they mean is systemd's business.
"""

from __future__ import annotations

import uuid
from pathlib import Path

# Enabled by their packages; a test may still start one by hand.
DISABLED = (
    *("docker.service", "docker.socket", "containerd.service", "docker-registry.service"),
    *("podman.service", "podman.socket", "podman-restart.service", "podman-auto-update.service"),
    *("podman-auto-update.timer", "netavark-dhcp-proxy.service", "netavark-dhcp-proxy.socket"),
    "netavark-firewalld-reload.service",
    # A hundred profiles, for nobody here; under emulation that takes longer than the boot. contrib/install loads ours.
    "apparmor.service",
)

# Only noise in a host that lives for minutes.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "systemd-pstore.service", "systemd-tmpfiles-clean.timer", "systemd-networkd.service"),
    *("getty@tty1.service", "console-getty.service", "serial-getty@ttyS0.service", "getty-static.service"),
)

# In a container these would act on the devices of the machine outside.
MASKED_IN_CONTAINER = (
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("systemd-udev-trigger.service", "systemd-udev-settle.service", "systemd-modules-load.service"),
    *("systemd-sysctl.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount"),
    *("proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount", "kmod-static-nodes.service"),
)

JOURNAL = """\
# Tests read what they wrote minutes ago, and count every line.
[Journal]
Storage=persistent
SystemMaxUse=4G
SystemKeepFree=256M
RateLimitIntervalSec=0
"""

# COMMAND is put into the control group of this service: a place of its own, which systemd leaves alone and ends at
# shutdown. Nothing of it goes over D-Bus, so a COMMAND survives a test that stops the bus.
SESSION = """\
[Unit]
Description=The command that testbed was asked to run

[Service]
Type=exec
ExecStart=/usr/bin/sleep infinity
Delegate=yes
TimeoutStopSec=5

[Install]
WantedBy=multi-user.target
"""

SESSION_CGROUP = "system.slice/testbed.service"


def furnish(root: Path, name: str, *, container: bool) -> None:
    """Write all of it below the mounted `root`; `name` becomes its host name."""
    _off(root, container=container)
    _write(root / "etc/systemd/journald.conf.d/50-testbed.conf", JOURNAL)
    (root / "var/log/journal").mkdir(mode=0o2755, parents=True, exist_ok=True)
    _write(root / "etc/systemd/system/testbed.service", SESSION)
    _link(root / "etc/systemd/system/multi-user.target.wants/testbed.service", "../testbed.service")
    # A machine id, or systemd takes every boot for the first one and enables all that its packages offer.
    _write(root / "etc/machine-id", uuid.uuid4().hex + "\n")
    _write(root / "etc/hostname", name + "\n")
    _write(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n")
    _write(root / "etc/resolv.conf", "# no name server: this host has no network but lo\n")
    _write(root / "etc/fstab", "")


def _off(root: Path, *, container: bool) -> None:
    units = root / "etc/systemd/system"
    for link in (*units.glob("*.wants/*"), *units.glob("*.requires/*")):
        if link.name in DISABLED:
            link.unlink()
    for unit in MASKED + (MASKED_IN_CONTAINER if container else ()):
        _link(units / unit, "/dev/null")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # may be a symbolic link that leads out of the root
    path.write_text(text)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
