"""What AddDevice= and ``--device`` may say: a device node of the host, a directory of them, or a name of the Container
Device Interface. Pure. Whether there is one is for the host to know."""

from __future__ import annotations

import re

from supervisor.definitions import values
from supervisor.errors import UserError

_VENDOR = r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
_QUALIFIED = re.compile(rf"{_VENDOR}/{_VENDOR}=[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")


def device(text: str) -> str:
    """``[-]HOST[:CONTAINER][:PERMISSIONS]`` as '[-]HOST:CONTAINER:rwm' with all three written out (podman-run(1)
    --device; '-' for one that may be missing, podman-systemd.unit(5)); a name VENDOR/CLASS=DEVICE as it is."""
    if is_qualified(text):
        if _QUALIFIED.fullmatch(text):
            return text
        raise UserError(f"{values.short(text)} is not the name of a device; write VENDOR/CLASS=DEVICE")
    parts = text.removeprefix("-").split(":")
    if len(parts) > 3:
        raise UserError(f"{values.short(text)} has too many ':'; write HOST[:CONTAINER][:rwm]")
    host = values.path(parts[0], "device")
    permissions = "rwm"
    if len(parts) > 1 and re.fullmatch("[rwm]{1,3}", parts[-1]):
        permissions = parts.pop()
    elif len(parts) == 3:
        raise UserError(f"{values.short(parts[2])} are no device permissions; combine r, w and m")
    target = values.path(parts[1], "device") if len(parts) == 2 else host
    return f"{'-' if text.startswith('-') else ''}{host}:{target}:{permissions}"


def is_qualified(text: str) -> bool:
    """Whether *text* is meant as a name of the Container Device Interface."""
    return "=" in text and not text.startswith(("/", "-", "."))
