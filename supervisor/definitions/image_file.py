"""A ``.image`` file in, a `ImageSource` out. Pure. `supervisor.cli.fetching` acts on it."""

from __future__ import annotations

import posixpath
import re

from supervisor.definitions import fetching, kinds, podman_args, values
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import IMAGE
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import UserError
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import ImageSource

#: containers-transports(5): images that lie in files.
_FILES = re.compile(r"(oci|oci-archive|docker-archive|dir):(.*)", re.DOTALL)


def compile_unit(file: UnitFile) -> Compiled[ImageSource]:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file = podman_args.expand_section(file, IMAGE.section, findings)
    name = kinds.name_or_refuse(file, IMAGE, findings)
    kinds.check_sections(file, IMAGE, findings, " with Image=")
    timeout = fetching.unit_sections(file, IMAGE, findings)
    stem = kinds.unit_stem(file, IMAGE)
    Lines(file, "Quadlet", findings, stem=stem, unit=f"{stem}.service")
    lines = Lines(file, "Image", findings, stem=stem, unit=f"{stem}.service")
    image = _image(file.path, name, lines, timeout, findings)
    return compiled(image, findings)


def _image(path: str, name: str, lines: Lines, timeout: float, findings: Findings) -> ImageSource:
    directory = posixpath.dirname(path)
    reference = lines.get("Image", lambda text: _reference(text, directory), "")
    tag = lines.get("ImageTag", values.image, "")
    if not lines.of("Image"):
        findings.refuse_section(lines.begin, "says not what to fetch; write Image= in [Image]")
    elif _FILES.match(reference) and not lines.of("ImageTag"):
        findings.refuse(lines.of("Image")[0], "what lies in a file has no certain name; write ImageTag= beside it")
    return ImageSource(
        name=name,
        source=path,
        reference=reference,
        tag=tag,
        pull=lines.get("Policy", fetching.policy, PullPolicy.MISSING),
        fetch=fetching.fetch(lines, directory, timeout),
    )


def _reference(text: str, directory: str) -> str:
    """podman-pull(1): a reference, with ``docker://`` or without, or an image in a file."""
    if match := _FILES.fullmatch(text):
        path, colon, name = match[2].partition(":")
        return f"{match[1]}:{fetching.placed(directory)(path, 'path')}{colon}{name}"
    if text.startswith(("docker-daemon:", "containers-storage:", "ostree:", "sif:")):
        raise UserError(
            f"{values.short(text)} is of another tool's store; save it with that tool, and write docker-archive:PATH"
        )
    return values.image(text.removeprefix("docker://"))
