"""The launcher lies in the path of ``systemctl start``: it imports only what it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import supervisor

ROOT = str(Path(supervisor.__file__).parent.parent)
HEAVY = {"argparse", "collections", "dataclasses", "enum", "json", "pathlib", "re", "signal", "socket", "subprocess"}
OURS = {
    "launcher.main": {
        "errors",
        "launcher",
        "launcher.main",
        "launcher.output",
        "launcher.plan",
        "launcher.programs",
        "launcher.rootfs",
        "launcher.stub",
        "logs",
        "logs.handover",
        "names",
        "paths",
        "runtime",
        "runtime.argv",
        "runtime.failure",
        "systemd",
        "systemd.manager",
        "systemd.notify",
        "systemd.scope",
        "systemd.sdbus",
    },
    "launcher.cleanup": {
        "errors",
        "events",
        "events.records",
        "launcher",
        "launcher.cleanup",
        "launcher.plan",
        "launcher.programs",
        "names",
        "paths",
        "systemd",
        "systemd.journal",
        "systemd.notify",
    },
}


def modules_after(statement: str) -> set[str]:
    """Names in sys.modules of a bare interpreter after *statement*."""
    code = f"import sys; sys.path.insert(0, {ROOT!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_programs_import_what_they_use() -> None:
    """Exactly these modules of ours, and none of the expensive ones of the standard library."""
    for program, expected in OURS.items():
        loaded = modules_after(f"import supervisor.{program}")
        assert {m.removeprefix("supervisor.") for m in loaded if m.startswith("supervisor.")} == expected, program
        assert loaded & HEAVY == set(), program


def test_importing_supervisor_costs_nothing() -> None:
    """`import supervisor` loads one module."""
    assert modules_after("import supervisor") - modules_after("pass") == {"supervisor"}
