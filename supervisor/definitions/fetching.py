"""What ``.image`` and ``.build`` files share: how to reach a registry, what stands in for a unit of their own, and how
others refer to them (``Image=x.image``). Pure.

Neither is a unit: ``ctrctl apply`` fetches and builds, so that no start of a container waits for a registry. Of the
systemd sections only how long it may take has a meaning.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from supervisor.definitions import kinds, values
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import Kind
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.errors import UserError
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import Fetch

#: Seconds; a transfer that takes longer than a day hangs.
LONGEST = 86_400.0

_PLATFORM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
#: What uname(2) calls what an image calls otherwise (podman takes both).
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i686": "386", "i386": "386"}
_SOURCES = (".image", ".build")


def fetch(lines: Lines, directory: str, timeout: float) -> Fetch:
    """How to reach a registry, from the keys of [Image] or [Build]; './x' is relative to *directory*."""
    default = Fetch()
    place = placed(directory)
    return Fetch(
        auth_file=lines.get("AuthFile", lambda text: place(text, "file"), default.auth_file),
        certificates=lines.get("CertDir", lambda text: place(text, "directory"), default.certificates),
        credentials=lines.get("Creds", _credentials, default.credentials),
        tls_verify=lines.get("TLSVerify", values.boolean, default.tls_verify),
        architecture=lines.get("Arch", _architecture, default.architecture),
        os=lines.get("OS", _os, default.os),
        variant=lines.get("Variant", platform, default.variant),
        retries=lines.get("Retry", lambda text: values.integer(text, 0, 1000), default.retries),
        retry_delay=lines.get("RetryDelay", values.duration, default.retry_delay),
        timeout=timeout,
    )


def placed(directory: str) -> Callable[[str, str], str]:
    """A function for paths as in podman's files: absolute, or './x' relative to *directory*."""

    def place(text: str, what: str) -> str:
        return values.path(posixpath.join(directory, text) if text.startswith(".") else text, what)

    return place


def platform(text: str) -> str:
    """A word of an OCI platform ('arm64', 'v8')."""
    if _PLATFORM.fullmatch(text):
        return text
    raise UserError(f"{values.short(text)} is no part of a platform; write one like arm64 or v8")


def _architecture(text: str) -> str:
    word = platform(text)
    return _ARCHITECTURES.get(word, word)


def _os(text: str) -> str:
    if text != "linux":
        raise UserError(f"{values.short(text)} does not run on this kernel; write linux, or remove the line")
    return text


def _credentials(text: str) -> str:
    try:
        values.check_text(text, "the login")
    except UserError:
        # Without the text, and its cause: a message ends up in the journal.
        raise UserError("the login holds a control character; remove it, or better write AuthFile=") from None
    if not text.partition(":")[0]:
        raise UserError("has no user name; write USER:PASSWORD, or better AuthFile=")
    return text


def policy(text: str) -> PullPolicy:
    """podman-pull(1) ``--policy``; podman-build(1) takes a boolean for it, too."""
    for word, meant in (("true", "always"), ("false", "missing"), ("ifnewer", "newer")):
        text = meant if text == word else text
    try:
        return PullPolicy(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a pull policy; write always, missing, newer or never") from error


def reference(text: str, references: Mapping[str, str], names: Mapping[str, str]) -> tuple[str, str]:
    """The image that ``Image=`` means, and the ``.image`` or ``.build`` file it comes from or ''. Raises `UserError`.

    *references* and *names* are those of `supervisor.definitions.context.Context`.
    """
    if not text.endswith(_SOURCES):
        return values.image(text), ""
    if text in references:
        return references[text], text
    if text in names:
        raise UserError(f"{text} has mistakes of its own; correct those first")
    raise UserError(f"there is no {text} beside this definition; add it, or apply it together with this one")


def unit_sections(file: UnitFile, kind: Kind, findings: Findings) -> float:
    """Read [Unit], [Service] and [Install]: what would change nothing is warned of, or refused where that would be a
    surprise. Returns the time it may take in seconds, 0 when nothing is said."""
    timeout = 0.0
    for at in kinds.without_unit(file, kind, findings):
        if at.section == "Service" and at.key in ("TimeoutStartSec", "TimeoutSec"):
            timeout = _timeout(at, findings)
        elif at.section == "Service" and at.key == "WorkingDirectory" and kind.section == "Build":
            continue
        elif at.section == "Service" and at.key.startswith("Exec"):
            findings.refuse(at, f"'ctrctl apply' makes the {kind.what}, and runs no commands around it; remove it")
        else:
            findings.warn(at, f"has no effect: {_instead(at, kind)}")
    return timeout


def _instead(at: Assignment, kind: Kind) -> str:
    verb = "fetches" if kind.section == "Image" else "builds"
    if at.key.startswith("Restart"):
        return "Retry= says how often a transfer is tried"
    return f"'ctrctl apply' {verb} it, before any container starts"


def _timeout(at: Assignment, findings: Findings) -> float:
    if at.value in ("", "0", "infinity"):
        return LONGEST if at.value else 0.0
    try:
        seconds = values.duration(at.value)
    except UserError as error:
        findings.refuse(at, error)
        return 0.0
    if seconds > LONGEST:
        findings.refuse(at, "a day is the longest; write 1d or less")
    return seconds
