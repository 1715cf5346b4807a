"""How far each of our services could reach: what systemd-analyze(1) security says, in a table that may only go down.

The number is systemd's own sum over what a service's sandbox leaves open, from 0 (nothing) to 10 (root without any).
That the doors are shut in fact, and not only by that count, test_privileges.py shows for the supervisor.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostkit import run

INSTALLED = Path("/usr/lib/ctr/installed")

#: Unit -> the most it may have, on systemd 252 and 257, and why it is not less than 1.5.
MOST: dict[str, tuple[float, str]] = {
    "ctr-supervisor.service": (0.2, ""),
    "ctr-metrics.service": (0.4, ""),
    "ctr-log.service": (0.7, ""),
    "ctr-notify@.service": (1.2, ""),
    "ctr-image@.service": (1.1, ""),
    "ctr-dns.service": (1.7, "answers on networks of this host, on a privileged port, and forwards to any server"),
    "ctr-store@.service": (2.7, "makes layers as they are: owners, modes, device nodes, trusted attributes"),
    "ctr-build@.service": (7.0, "its steps are root in namespaces that the runtime makes, and may do what that may"),
    "ctr-netns@.service": (9.3, "netavark as root, and a mount that everybody must see: no mount namespace of its own"),
    "ctr-firewall.service": (9.6, "does with netavark what ctr-netns@ does, in its place"),
    "ctr-health@.service": (9.6, "enters containers by their runtime, as root; a sandbox would cost each probe time"),
    "ctr-idle@.service": (9.6, "looks into every network namespace, and stops containers"),
    "ctr-healthy@.service": (9.6, "as ctr-health@"),
    "ctr-apply.service": (9.6, "as ctr-remove@: what `ctrctl apply` does by hand"),
    "ctr-remove@.service": (9.6, "deploys: writes units, and has systemd read them"),
    "ctr@.service": (9.8, "whatever is set here, the container inherits; its own sandbox is the runtime's"),
}


@pytest.fixture(scope="module")
def exposure() -> dict[str, float]:
    """Unit -> exposure. Templates are asked for by an instance."""
    names = (name.replace("@.", "@x.") for name in MOST)
    text = run("systemd-analyze", "security", "--no-pager", *names).stdout
    found = re.findall(r"Overall exposure level for (\S+): ([\d.]+)", text)
    return {name.replace("@x.", "@."): float(number) for name, number in found}


def test_every_service_is_in_the_table() -> None:
    """A new one comes with its number."""
    names = (line.removeprefix("usr/lib/systemd/system/") for line in INSTALLED.read_text().splitlines())
    assert {name for name in names if name.endswith(".service") and "/" not in name} == MOST.keys()


@pytest.mark.parametrize("unit", MOST)
def test_a_service_is_no_more_exposed_than_it_has_to_be(unit: str, exposure: dict[str, float]) -> None:
    """At most the number in the table; what has more than 1.5 says why."""
    most, reason = MOST[unit]
    assert exposure[unit] <= most
    assert reason or most <= 1.5
