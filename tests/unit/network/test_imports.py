"""``ctr-netns`` lies in the path of ``systemctl start``: it imports only what it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import supervisor

ROOT = str(Path(supervisor.__file__).parent.parent)
HEAVY = {"argparse", "collections", "dataclasses", "enum", "ipaddress", "json", "re", "signal", "socket", "subprocess"}
OURS = {
    "errors",
    "names",
    "network",
    "network.dns",
    "network.gateways", "network.main",
    "network.names",
    "network.namespace",
    "network.netavark",
    "network.progress",
    "network.record",
    "network.runtime",
    "paths",
    "systemd",
    "systemd.notify",
}


def modules_after(statement: str) -> set[str]:
    """Names in sys.modules of a bare interpreter after *statement*."""
    code = f"import sys; sys.path.insert(0, {ROOT!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_program_imports_what_it_uses() -> None:
    """Exactly these of ours; ports bring one more, without `socket`; the D-Bus door is for the first container."""
    loaded = modules_after("import supervisor.network.main")
    assert {m.removeprefix("supervisor.") for m in loaded if m.startswith("supervisor.")} == OURS
    assert loaded & HEAVY == set()
    assert modules_after("import supervisor.network.reservation") & HEAVY == set()
