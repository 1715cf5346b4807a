"""The keys that say which users of the host a container's users are: ``UserNS=``, ``UIDMap=`` and their like. Pure."""

from __future__ import annotations

from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.spec.userns import UserNamespace


def user_namespace(lines: Lines, findings: Findings) -> UserNamespace | None:
    """What *lines*, of a container or a pod, ask for; None: the host's users."""
    return None
