"""The keys of [Container] about a process's environment, where its output goes, how it reloads and is updated. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from supervisor.definitions import values
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.errors import UserError
from supervisor.spec.container import LogDriver

#: podman-auto-update(1).
_AUTO_UPDATE = "io.containers.autoupdate"

#: podman's drivers that write a file of their own.
_FILE_DRIVERS = frozenset({"k8s-file", "json-file"})
_TEMPLATE = re.compile(r"\{\{\s*\.?([A-Za-z]*)[^}]*\}\}")


@dataclass(frozen=True, slots=True)
class Output:
    """Members of `Container`."""

    driver: LogDriver
    tag: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Members of `Container`."""

    signal: str | None
    command: tuple[str, ...]


def env_files(lines: Lines, directory: str) -> tuple[str, ...]:
    """Absolute paths; '-' in front of one that may be missing stays there."""

    def absolute(text: str) -> str:
        optional = "-" if text.startswith("-") else ""
        return optional + values.path(posixpath.join(directory, text.removeprefix("-")), "file")

    return tuple(path for _, path in lines.words("EnvironmentFile", absolute, unescape=True))


def output(lines: Lines, name: str, image: str, findings: Findings) -> Output:
    """``LogDriver=`` and ``LogOpt=`` of the container *name*, which runs *image*."""
    driver = LogDriver.JOURNALD
    for at, text in lines.each("LogDriver", _driver):
        if text in _FILE_DRIVERS:
            findings.warn(at, f"{text} writes no file here: the lines are in the journal, see 'ctrctl logs {name}'")
        else:
            driver = LogDriver(text)
    tag = ""
    for at, option in lines.words("LogOpt", str, unescape=True):
        key, _, value = option.partition("=")
        try:
            if key == "tag":
                tag = _tag(value, {"Name": name, "ImageName": image})
            elif key in ("max-size", "max-file", "mode", "max-buffer-size"):
                findings.warn(at, f"{key} has no effect: the journal's own limits are set in journald.conf(5)")
            else:
                raise UserError(_no_option(key))
        except UserError as error:
            findings.refuse(at, error)
    return Output(driver, tag)


def _driver(text: str) -> str:
    if text in _FILE_DRIVERS or text in [driver.value for driver in LogDriver]:
        return text
    raise UserError(f"{values.short(text)} is not a log driver; write journald, passthrough or none")


def _no_option(key: str) -> str:
    if key == "path":
        return "path: no log file is written, the lines are in the journal; remove it, or read 'ctrctl logs'"
    return f"{values.short(key)} is not supported; write tag=TEXT"


def _tag(text: str, known: dict[str, str]) -> str:
    """SYSLOG_IDENTIFIER of the lines; of podman's templates, those that are known before the container runs."""

    def filled(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise UserError(f"tag: {values.short(match[0])} is not known before it runs; write {{{{.Name}}}} or a text")
        return known[match[1]]

    found = values.check_text(_TEMPLATE.sub(filled, text), "the tag").strip()
    if not found or len(found) > 128:
        raise UserError("tag: is not 1 to 128 characters long; write a short name")
    return found


def reload(lines: Lines, findings: Findings) -> Reload:
    """``ReloadSignal=`` or ``ReloadCmd=``; podman takes one of them only."""
    signal = lines.one("ReloadSignal", values.signal)
    command = lines.words("ReloadCmd", values.argument, unescape=True)
    if lines.of("ReloadSignal") and lines.of("ReloadCmd"):
        first, second = sorted((lines.of("ReloadSignal")[-1], lines.of("ReloadCmd")[-1]), key=lambda at: at.line)
        findings.refuse(second, f"{first.key}= in {first.where} says how to reload already; keep one of the two")
    return Reload(signal, tuple(word for _, word in command))


def auto_update(lines: Lines, labels: tuple[tuple[str, str], ...], findings: Findings) -> tuple[tuple[str, str], ...]:
    """*labels* and, with ``AutoUpdate=``, podman's label for it: programs that look for it find it."""
    policy = lines.one("AutoUpdate", _policy)
    if policy is None:
        return labels
    findings.warn(
        lines.of("AutoUpdate")[-1],
        f"only sets the label {_AUTO_UPDATE}; to update, run 'ctrctl pull' and 'ctrctl apply' from a timer",
    )
    return tuple((dict(labels) | {_AUTO_UPDATE: policy}).items())


def _policy(text: str) -> str:
    if text in ("registry", "local"):
        return text
    raise UserError(f"{values.short(text)} is no update policy; write registry or local")


def retries(text: str) -> int:
    """How often fetching the image is tried again."""
    return values.integer(text, 0, 1000)
