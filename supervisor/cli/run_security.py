"""What ``ctrctl run`` may say about capabilities, security modules and devices. Pure.

Owns these options and how they are read; what they mean is `supervisor.definitions`' business, as in a ``.container``
file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.cli import option
from supervisor.definitions import devices, security, values
from supervisor.definitions.mounts import Place
from supervisor.spec.security import Security

#: What ``--gpus`` is short for (podman-run(1)).
_GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Confined:
    """What ``--security-opt`` says."""

    security: Security
    no_new_privileges: bool
    warnings: tuple[str, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("security and devices")
    group.add_argument("--cap-add", action="append", metavar="CAP", help="add a capability, or ALL")
    group.add_argument("--cap-drop", action="append", metavar="CAP", help="drop a capability, or ALL")
    group.add_argument("--privileged", action="store_true", help="all capabilities and devices, nothing masked")
    group.add_argument(
        "--security-opt",
        action="append",
        metavar="NAME[=VALUE]",
        help="no-new-privileges, seccomp=FILE, apparmor=PROFILE, label=…, mask=PATHS, unmask=PATHS",
    )
    group.add_argument("--sysctl", action="append", metavar="NAME=VALUE", help="namespaced kernel parameter")
    group.add_argument(
        "--device",
        action="append",
        metavar="HOST[:CONTAINER][:rwm]",
        help="device node, or a directory of them, or VENDOR/CLASS=NAME (CDI)",
    )
    group.add_argument("--gpus", action="append", metavar="NAME", help=f"the same as --device {_GPU}=NAME")


def devices_of(args: argparse.Namespace) -> tuple[str, ...]:
    """What ``--device`` and ``--gpus`` name, each once. Raises `UserError`."""
    gpus = [f"{_GPU}={name}" for text in args.gpus or () for name in text.removeprefix("device=").split(",")]
    found = (*option.each("--device", devices.device, args.device), *option.each("--gpus", devices.device, gpus))
    return tuple(dict.fromkeys(found))


def read(texts: Iterable[str], place: Place) -> Confined:
    """The values of ``--security-opt``. Raises `UserError`."""
    found, no_new_privileges, warnings = Security(), False, []
    for text in texts:
        name, _, value = text.replace("=", ":", 1).partition(":")
        with option.named("--security-opt"):
            if name == "no-new-privileges":
                no_new_privileges = values.boolean(value or "yes")
                continue
            found, warning = security.option(text, found, place)
        warnings += [warning] if warning else []
    return Confined(found, no_new_privileges, tuple(warnings))
