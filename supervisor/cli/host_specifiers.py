"""What specifiers of systemd.unit(5) stand for on this host: names and versions that the next boot does not change.

Definitions are read once, when they are applied, so these are the host's at that moment.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

#: os-release(5)
_RELEASE = {"A": "IMAGE_VERSION", "B": "BUILD_ID", "M": "IMAGE_ID", "W": "VARIANT_ID", "o": "ID", "w": "VERSION_ID"}

#: systemd's names of architectures (systemd.unit(5), ConditionArchitecture=) where they are not the kernel's.
_ARCHITECTURES = {
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "x86",
    "i586": "x86",
    "i686": "x86",
    "ppc": "ppc",
    "ppc64le": "ppc64-le",
    "x86_64": "x86-64",
}


def read(root: str = "") -> dict[str, str]:
    """Each letter of `supervisor.definitions.specifiers.HOST` with its value, empty where the host says nothing, as
    for systemd. *root* is put before the paths that are read."""
    system = os.uname()
    release = _settings(f"{root}/etc/os-release") or _settings(f"{root}/usr/lib/os-release")
    machine = _settings(f"{root}/etc/machine-info")
    return {
        **{letter: release.get(name, "") for letter, name in _RELEASE.items()},
        "H": system.nodename,
        "a": _ARCHITECTURES.get(system.machine, system.machine),
        "l": system.nodename.partition(".")[0],
        "m": _text(f"{root}/etc/machine-id").strip(),
        "q": machine.get("PRETTY_HOSTNAME") or system.nodename,
    }


def _settings(path: str) -> Mapping[str, str]:
    """NAME=VALUE lines with the quotes of a shell."""
    found = {}
    for line in _text(path).splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                continue  # an unbalanced quote; systemd passes such a line over as well
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
