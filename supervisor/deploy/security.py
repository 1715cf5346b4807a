"""What the host has for containers' security: profiles, policies, descriptions of devices. Decides nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from supervisor.paths import Layout
from supervisor.render import cdi
from supervisor.render.facts import HostText, Selinux
from supervisor.spec.container import Container

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_APPARMOR_PROFILES = "/sys/kernel/security/apparmor/profiles"
_SELINUX = "/sys/fs/selinux/enforce"
_CONTEXTS = "/usr/share/containers/selinux/contexts"
_TEXT_MAX = 16 * 1024 * 1024


def has_apparmor(layout: Layout) -> bool:
    """Whether the kernel has AppArmor, uses it, and shows its profiles: inside a container it does not."""
    return _first_line(layout.root + _APPARMOR) == "Y" and os.path.exists(layout.root + _APPARMOR_PROFILES)


def has_selinux(layout: Layout) -> bool:
    """Whether the kernel knows SELinux labels, enforced or not."""
    return os.path.exists(layout.root + _SELINUX)


def apparmor(layout: Layout) -> frozenset[str] | None:
    """Names of the loaded profiles; None without AppArmor. For root: others may not see them."""
    if not has_apparmor(layout):
        return None
    try:
        with open(layout.root + _APPARMOR_PROFILES, encoding="utf-8") as file:
            return frozenset(line.rpartition(" (")[0] for line in file)
    except OSError:
        return frozenset()


def selinux(layout: Layout) -> Selinux | None:
    """The policy's contexts for containers (go-selinux, loadLabels); None without SELinux. What the policy lacks is
    empty."""
    if not has_selinux(layout):
        return None
    policy = _settings(f"{layout.root}/etc/selinux/config").get("SELINUXTYPE", "targeted")
    own = f"{layout.root}{_CONTEXTS}"
    path = own if os.path.exists(own) else f"{layout.root}/etc/selinux/{policy}/contexts/lxc_contexts"
    contexts = _settings(path)
    return Selinux(contexts.get("process", ""), contexts.get("file", ""))


def seccomp_profiles(containers: Iterable[Container]) -> Iterator[HostText]:
    """The files that *containers* name."""
    for path in sorted({c.security.seccomp for c in containers if c.security.seccomp.startswith("/")}):
        yield _read(path)


def cdi_specs(layout: Layout, containers: Iterable[Container]) -> Iterator[HostText]:
    """Every specification, those that win last; none when no container asks for such a device."""
    if not any(container.cdi_devices for container in containers):
        return
    for directory in cdi.DIRECTORIES:
        try:
            names = sorted(os.listdir(layout.root + directory))
        except OSError:
            continue
        for name in names:
            path = f"{layout.root}{directory}/{name}"
            if os.path.isdir(path):
                continue
            if name.endswith(cdi.SUFFIXES):
                yield _read(path)
            elif name.endswith(cdi.MISLEADING):
                yield HostText(path, problem=f"is not read; give it a name that ends in {' or '.join(cdi.SUFFIXES)}")


def _read(path: str) -> HostText:
    try:
        with open(path, encoding="utf-8") as file:
            return HostText(path, file.read(_TEXT_MAX))
    except OSError as error:
        return HostText(path, problem=(error.strerror or str(error)).lower())
    except UnicodeDecodeError:
        return HostText(path, problem="is no text")


def _settings(path: str) -> dict[str, str]:
    """``NAME=VALUE`` lines; none of a file that is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {name.strip(): value.strip().strip('"') for name, equals, value in pairs if equals}


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""
