"""A ``.pod`` file in, a `Pod` out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import Problem
from supervisor.spec.pod import Pod


@dataclass(frozen=True, slots=True)
class Compiled:
    """*pod* is None exactly when there are *problems*."""

    pod: Pod | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def compile_unit(file: UnitFile, context: Context) -> Compiled:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    findings.refuse_file(0, ".pod files are not supported yet")
    return Compiled(None, findings.problems, findings.warnings)
