"""Which line of a definition asks for what its deployment refuses. Pure.

Whoever deploys knows keys and values, and no lines: a spec holds what was meant, not how it was written. So a refusal
says which keys may have asked, and the line is looked for when it is told.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from supervisor.definitions import kinds, podman_args
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import Kind
from supervisor.definitions.load import Loaded
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import DefinitionError, Problem
from supervisor.spec.container import Container
from supervisor.spec.network import Network
from supervisor.spec.pod import Pod
from supervisor.spec.volume import Volume


@contextmanager
def telling_lines(loaded: Loaded) -> Iterator[None]:
    """Have the `DefinitionError` of whoever deploys *loaded* say the lines."""
    try:
        yield
    except DefinitionError as error:
        raise DefinitionError(placed(error.problems, loaded)) from error


def placed(problems: Iterable[Problem], loaded: Loaded) -> tuple[Problem, ...]:
    """*problems* with the line and key that ask for what is refused, else the line where the definition's own section
    begins. What has a line, or concerns a file that was not read, stays as it is."""
    return tuple(_placed(problem, loaded) for problem in problems)


def _placed(problem: Problem, loaded: Loaded) -> Problem:
    file, kind = loaded.files.get(problem.file), kinds.of(problem.file)
    if file is None or kind is None or problem.line:
        return problem
    findings = Findings(problem.file)
    if at := _asking(_expanded(file, kind), kind, problem.asked, loaded):
        findings.refuse(at, problem.message)
    else:
        findings.refuse_section(file.begin(kind.section), problem.message)
    return findings.problems[0]


def _expanded(file: UnitFile, kind: Kind) -> UnitFile:
    """*file* with what its ``PodmanArgs=`` ask for; what is wrong with them was told."""
    findings = Findings(file.path)
    if kind is kinds.CONTAINER:
        return podman_args.expand(file, findings)[0]
    return podman_args.expand_section(file, kind.section, findings)


def _asking(file: UnitFile, kind: Kind, asked: tuple[str, ...], loaded: Loaded) -> Assignment | None:
    """The line; None where it cannot be told from others."""
    keys, words = asked[:1], asked[1:]
    found: list[Assignment] = []
    for at in file.assignments:
        if at.section in (kind.section, "Service", "Install") and at.key in " ".join(keys).split():
            # systemd.syntax(7): an empty assignment resets what came before.
            found = [*found, at] if at.value else [other for other in found if other.key != at.key]
    meant = {*words, *(file for file, name in _names(loaded) if name in words)}
    naming = [at for at in found if any(_mentions(at.value, word) for word in meant)]
    return naming[-1] if naming else found[0] if len(found) == 1 else None


def _names(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """What definitions are called in others, and what that stands for."""
    named: tuple[Container | Network | Volume | Pod, ...] = (*loaded.containers, *loaded.networks, *loaded.volumes)
    for one in (*named, *loaded.pods):
        yield posixpath.basename(one.source), one.name
    for image in loaded.images:
        yield posixpath.basename(image.source), image.tag or image.reference
    for build in loaded.builds:
        yield posixpath.basename(build.source), build.tags[0]


def _mentions(value: str, word: str) -> bool:
    """Whether *word* stands in *value* as a whole."""
    return bool(word) and re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w-])", value) is not None
