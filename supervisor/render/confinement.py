"""What the kernel's security modules and seccomp are told of a container: parts of its OCI configuration. Pure.

Follows podman (specgen, securityConfigureGenerator and setupApparmor). A module that the host does not have is passed
over here; whoever wrote its key was warned when the definition was read.
"""

from __future__ import annotations

from typing import Any

from supervisor.errors import UserError
from supervisor.render import labels, masking, seccomp, userns
from supervisor.render.facts import HostFacts
from supervisor.spec.container import Container

_UNCONFINED = "unconfined"
#: Loaded by contrib/install and at boot, where the host has AppArmor's programs (contrib/apparmor).
_DEFAULT = "ctr-default"


def process(container: Container, facts: HostFacts) -> dict[str, Any]:
    """Members of OCI ``process``. Raises `UserError` for an AppArmor profile that is not loaded."""
    found: dict[str, Any] = {}
    if profile := _apparmor(container, facts.apparmor):
        found["apparmorProfile"] = profile
    if label := labels.labels(container, facts.selinux).process:
        found["selinuxLabel"] = label
    return found


def _apparmor(container: Container, loaded: frozenset[str] | None) -> str:
    """The profile; '' for none, with which the kernel would still apply the host's to programs by their path."""
    wanted = container.security.apparmor
    if loaded is None:
        return ""
    if not wanted:
        return _DEFAULT if _DEFAULT in loaded and not container.privileged else ""
    if wanted != _UNCONFINED and wanted not in loaded:
        advice = "load its file with 'apparmor_parser --replace FILE', or write unconfined"
        raise UserError(f"AppArmor profile '{wanted}': is not loaded on this host; {advice}").asked_by("AppArmor")
    return wanted


def linux(container: Container, bounding: tuple[str, ...], facts: HostFacts) -> dict[str, Any]:
    """Members of OCI ``linux``. *bounding*: the container's capabilities. Raises `UserError` for a seccomp profile
    that cannot be read, or is none."""
    security = container.security
    found: dict[str, Any] = {}
    hosts_proc = "/proc" in userns.borrowed(container)
    if hidden := masking.hidden(security, privileged=container.privileged, hosts_proc=hosts_proc):
        found["maskedPaths"] = list(hidden)
    if sealed := masking.read_only(security, privileged=container.privileged):
        found["readonlyPaths"] = list(sealed)
    if filters := _filters(container, bounding, facts):
        found["seccomp"] = filters
    if label := labels.labels(container, facts.selinux).files:
        found["mountLabel"] = label
    return found


def orders(container: Container, facts: HostFacts) -> dict[str, str]:
    """An order to the runtime: labels of what the container itself mounts may differ (crun(1))."""
    nested = container.security.label_nested and facts.selinux is not None
    return {"run.oci.mount_context_type": "rootcontext"} if nested else {}


def _filters(container: Container, bounding: tuple[str, ...], facts: HostFacts) -> dict[str, Any] | None:
    """A privileged container has only a filter that it asks for."""
    wanted = container.security.seccomp
    if wanted == _UNCONFINED or (container.privileged and not wanted):
        return None
    if not wanted:
        return seccomp.evaluate(facts.seccomp_profile, bounding, facts.architecture, facts.kernel)
    profile = next((file for file in facts.seccomp_profiles if file.path == wanted), None)
    if profile is None or profile.problem:
        reason = profile.problem if profile else "not there"
        text = f"seccomp profile {wanted}: {reason}; correct the path, or write unconfined"
        raise UserError(text).asked_by("SeccompProfile")
    try:
        return seccomp.evaluate(profile.text, bounding, facts.architecture, facts.kernel)
    except UserError as error:
        raise UserError(f"{wanted}: {error}").asked_by("SeccompProfile") from error
