"""The facts of one deployed container that everybody on the host may know. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: Sections of the drop-ins that carry a card; systemd leaves what begins with 'X-' alone (systemd.syntax(7)).
SECTION, PROBE_SECTION = "X-Container", "X-Probe"


@dataclass(frozen=True, slots=True)
class Card:
    """One deployed container."""

    name: str
    image: str = ""
    """Image reference, or root directory."""
    image_digest: str = ""
    """'sha256:…' of the image's configuration; empty with Rootfs=."""
    definition: str = ""
    """Path of the definition, or the command line."""
    project: str = ""
    interval: float = 0.0
    """Seconds between health probes; 0 when it has none that repeat."""
    oneshot: bool = False
    """Runs to completion: what systemd calls 'activating' is running for it."""
