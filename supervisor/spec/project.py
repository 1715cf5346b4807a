"""Which project a container belongs to: the one whose target it says it is part of. Pure.

A project is a unit, ``ctr@PROJECT.target``: what is ``PartOf=`` it stops with it, what it wants (``WantedBy=`` in
[Install]) starts with it. So a definition says nothing that systemd does not act on.
"""

from __future__ import annotations

from supervisor.names import is_name
from supervisor.spec.container import Container

_KEYS = ("PartOf", "WantedBy", "RequiredBy", "UpheldBy")


def project_of(container: Container) -> str:
    """The project's name; empty when it belongs to none. The first one counts, [Unit] before [Install]."""
    for entry in (*container.unit.unit, *container.unit.install):
        if entry.key in _KEYS:
            for word in entry.value.split():
                name = word.removeprefix("ctr@").removesuffix(".target")
                if word == f"ctr@{name}.target" and is_name(name):
                    return name
    return ""
