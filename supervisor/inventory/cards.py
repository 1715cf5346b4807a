"""Reads the cards of deployed containers from the drop-ins that deploy writes.

systemd's own directory is everyone's to read, and the drop-ins hold no secrets: image, definition, project, interval of
the health check, whether it runs to completion. No file of ours below /var/lib/ctr is opened, so the supervisor needs
no right to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from supervisor.names import health_timer, name_of_service, service_unit
from supervisor.paths import Layout
from supervisor.spec.card import PROBE_SECTION, SECTION, Card

_DROP_IN = "50-ctr.conf"


def names(layout: Layout) -> tuple[str, ...]:
    """Names of the deployed containers, sorted."""
    try:
        entries = os.listdir(layout.units)
    except OSError:
        return ()
    units = (entry.removesuffix(".d") for entry in entries if entry.endswith(".service.d"))
    found = (name for unit in units if (name := name_of_service(unit)))
    return tuple(sorted(n for n in found if os.path.exists(f"{layout.units}/{service_unit(n)}.d/{_DROP_IN}")))


def read(name: str, layout: Layout) -> Card | None:
    """The card of container *name*; None when it is not deployed."""
    text = _text(f"{layout.units}/{service_unit(name)}.d/{_DROP_IN}")
    if text is None:
        return None
    facts = dict(assignments(text, SECTION))
    probe = dict(assignments(_text(f"{layout.units}/{health_timer(name)}.d/{_DROP_IN}") or "", PROBE_SECTION))
    return Card(
        name,
        facts.get("Image", ""),
        facts.get("ImageDigest", ""),
        facts.get("Definition", ""),
        facts.get("Project", ""),
        _seconds(probe.get("IntervalSec", "0")),
        facts.get("Oneshot") == "yes",
    )


def read_all(layout: Layout) -> dict[str, Card]:
    """Every card by name."""
    return {name: card for name in names(layout) if (card := read(name, layout))}


def assignments(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Keys and values of *section* in the unit file *text* that deploy wrote (one line each, no continuation)."""
    inside = False
    for line in text.splitlines():
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            yield key, value


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None
