"""A ``.image`` file in, a `ImageSource` out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.definitions.context import Context
from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import Problem
from supervisor.spec.sourcing import ImageSource


@dataclass(frozen=True, slots=True)
class Compiled:
    """*image* is None exactly when there are *problems*."""

    image: ImageSource | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def compile_unit(file: UnitFile, context: Context) -> Compiled:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    findings.refuse_file(0, ".image files are not supported yet")
    return Compiled(None, findings.problems, findings.warnings)
