"""What compiling one file gives, of whatever kind it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from supervisor.definitions.findings import Findings
from supervisor.definitions.unitfile import Assignment
from supervisor.errors import Problem
from supervisor.spec.network import PublishedPort

T = TypeVar("T")

#: Published ports with the lines that ask for them, for checks across files.
Ports = tuple[tuple[Assignment, PublishedPort], ...]


@dataclass(frozen=True, slots=True)
class Compiled(Generic[T]):
    """*defined* is None exactly when there are *problems*."""

    defined: T | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    ports: Ports = ()


def compiled(thing: T, findings: Findings, ports: Ports = ()) -> Compiled[T]:
    """*thing*, unless something was found that keeps it from being deployed."""
    return Compiled(None if findings.problems else thing, findings.problems, findings.warnings, ports)
