"""What a definition's meaning depends on beside its text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.spec.pod import Pod


@dataclass(frozen=True, slots=True)
class Context:
    """The other definitions, and the host."""

    names: Mapping[str, str] = field(default_factory=dict)
    """The definitions compiled together: file name (``db.container``, ``shop.network``, ``data.volume``, ``shop.pod``,
    ``web.image``, ``web.build``) to the name of what it defines."""
    references: Mapping[str, str] = field(default_factory=dict)
    """File name of a ``.image`` or ``.build`` file to the image that containers run."""
    pods: Mapping[str, Pod] = field(default_factory=dict)
    """By file name; those that have mistakes are missing."""
    selinux: bool = False
    """Whether the host knows SELinux labels, enforced or not."""
    apparmor: bool = False
    """Whether the host's kernel has AppArmor."""
    systemd: int = 0
    """Version of the host's systemd; 0 when it is not known, and then every newer key is warned of."""
    host: Mapping[str, str] = field(default_factory=dict)
    """Specifiers of systemd.unit(5) that differ between hosts, but not between boots: letter ('H') to value."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The units that podman would make of the definitions: unit (``db.service``, ``shop-pod.service``, or what
    ``ServiceName=`` says) to file name."""
