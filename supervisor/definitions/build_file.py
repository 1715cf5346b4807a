"""A ``.build`` file in, a `Build` out. Pure: neither the recipe nor its context is read here. `supervisor.cli.fetching`
acts on it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from supervisor.definitions import fetching, kinds, podman_args, specifiers, values
from supervisor.definitions.compiled import Compiled, compiled
from supervisor.definitions.findings import Findings
from supervisor.definitions.kinds import BUILD
from supervisor.definitions.labels import labels
from supervisor.definitions.lines import Lines
from supervisor.definitions.unitfile import UnitFile
from supervisor.errors import UserError
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import Build

#: What podman takes for something on the network (quadlet.go, URL).
_URL = re.compile(r"(?:https?|git|ssh)://|git@|github\.com/")
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_VOLUME_OPTIONS = values.words("ro rw z Z O U shared slave private rshared rslave rprivate")
_DOWNLOAD = "what is on the network may change at any time; download it, and write its path"


def compile_unit(file: UnitFile) -> Compiled[Build]:
    """Compile *file*. Never raises for bad input."""
    findings = Findings(file.path)
    findings.add(file.problems)
    file = podman_args.expand_section(file, BUILD.section, findings)
    name = kinds.name_or_refuse(file, BUILD, findings)
    kinds.check_sections(file, BUILD, findings, " with ImageTag=")
    timeout = fetching.unit_sections(file, BUILD, findings)
    stem = kinds.unit_stem(file, BUILD)
    Lines(file, "Quadlet", findings, stem=stem, unit=f"{stem}.service")
    lines = Lines(file, "Build", findings, stem=stem, unit=f"{stem}.service")
    build = _build(file, name, lines, timeout, findings)
    return compiled(build, findings)


def _build(file: UnitFile, name: str, lines: Lines, timeout: float, findings: Findings) -> Build:
    directory = posixpath.dirname(file.path)
    places = _places(file, lines, findings)
    if not lines.of("ImageTag"):
        text = f"says not what to call the image; write ImageTag=localhost/{name} in [Build]"
        findings.refuse_section(lines.begin, text)
    return Build(
        name=name,
        source=file.path,
        tags=_distinct(lines, "ImageTag", _tag),
        context=places.context,
        file=places.recipe,
        ignore_file=lines.get("IgnoreFile", lambda text: _path(text, places.context or directory, "file"), ""),
        target=lines.get("Target", _stage, ""),
        arguments=_pairs(lines, "BuildArg"),
        environment=_pairs(lines, "Environment"),
        labels=labels(lines, "Label", findings),
        annotations=labels(lines, "Annotation", findings),
        volumes=_distinct(lines, "Volume", lambda text: _volume(text, directory)),
        secrets=_secrets(lines, places.working),
        group_add=_distinct(lines, "GroupAdd", values.group),
        dns=_distinct(lines, "DNS", _server),
        dns_options=_distinct(lines, "DNSOption", _word),
        dns_search=_distinct(lines, "DNSSearch", _word),
        network=_network(lines, findings),
        pull=lines.get("Pull", fetching.policy, PullPolicy.MISSING),
        force_remove=lines.get("ForceRM", values.boolean, True),
        fetch=fetching.fetch(lines, directory, timeout),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Absolute paths; '' where nothing says it, or where a mistake has been told."""

    context: str = ""
    recipe: str = ""
    working: str = ""
    """The directory that podman would be run in."""


def _places(file: UnitFile, lines: Lines, findings: Findings) -> _Places:
    """Where the recipe and what it copies lie (podman-systemd.unit(5), ``SetWorkingDirectory=``, ``File=``)."""
    recipe = lines.get("File", _local, "")
    where = lines.get("SetWorkingDirectory", _local, "")
    if (lines.of("File") and not recipe) or (lines.of("SetWorkingDirectory") and not where):
        return _Places()  # its mistake has been told
    if where.lower() == "file" and not recipe:
        findings.refuse(lines.of("SetWorkingDirectory")[0], "needs File= beside it")
        return _Places()
    service = _working_directory(file, findings)
    try:
        found = _found(posixpath.dirname(file.path), service or "", where, recipe)
    except UserError as error:
        findings.refuse((*lines.of("SetWorkingDirectory"), *lines.of("File"))[0], error)
        return _Places()
    if service is None:
        return found
    if not found.context and recipe:
        findings.refuse(
            lines.of("File")[0],
            "is relative, and nothing says to what; write SetWorkingDirectory=unit, or an absolute path",
        )
    elif not found.context:
        findings.refuse_section(lines.begin, "says not what to build; write File= or SetWorkingDirectory= in [Build]")
    return found


def _found(directory: str, service: str, where: str, recipe: str) -> _Places:
    """As quadlet.go, handleSetWorkingDirectory: WorkingDirectory= of the *service* counts more than all that is
    relative to the definition's *directory*, and less than an absolute SetWorkingDirectory=. Without a path for it the
    context is the directory of an absolute File= (podman-build(1)), also with 'unit'. Raises `UserError`."""
    word = where.lower()
    working, context = service, ""
    if word == "file":
        recipe = recipe if service else _path(recipe, directory, "file")
        working = service or posixpath.dirname(recipe)
    elif word == "unit":
        working = service or directory
    elif where.startswith("/"):
        context = _path(where, directory, "directory")
    elif where and not service:
        working, context = directory, _path(where, directory, "directory")
    if not context and recipe.startswith("/"):
        context = posixpath.dirname(_path(recipe, directory, "file"))
    context = context or working
    return _Places(context, posixpath.join(context, recipe) if recipe else "", working)


def _working_directory(file: UnitFile, findings: Findings) -> str | None:
    """``WorkingDirectory=`` of [Service], or ''; None when it is a mistake, which is told."""
    found: str | None = ""
    stem = kinds.unit_stem(file, BUILD)
    for at in file.of("Service"):
        if at.key != "WorkingDirectory":
            continue
        try:
            text = specifiers.expand(at.value, stem=stem, unit=f"{stem}.service", more=file.specifiers)
            found = values.path(text, "directory") if text else ""
        except UserError as error:
            findings.refuse(at, error)
            found = None
    return found


def _path(text: str, directory: str, what: str) -> str:
    return values.path(posixpath.join(directory, text), what)


def _local(text: str) -> str:
    if _URL.match(text):
        raise UserError(f"{values.short(text)}: {_DOWNLOAD}")
    return values.check_text(text, "the path")


def _distinct(lines: Lines, key: str, convert: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for _, value in lines.each(key, convert)))


def _pairs(lines: Lines, key: str) -> tuple[tuple[str, str], ...]:
    """Names and values; of several values for a name the last one."""
    return tuple(dict(pair for _, pair in lines.words(key, values.environment, unescape=True)).items())


def _tag(text: str) -> str:
    """A name of the image; one without a registry is of this host, as podman has it."""
    name = values.image(text)
    first, slash, _ = name.partition("/")
    has_registry = slash and ("." in first or ":" in first or first == "localhost")
    return name if has_registry else f"localhost/{name}"


def _stage(text: str) -> str:
    if _STAGE.fullmatch(text):
        return text
    raise UserError(f"{values.short(text)} is no stage of a recipe; write the name after AS, or its number")


def _volume(text: str, directory: str) -> str:
    """HOST:CONTAINER[:OPTIONS] of podman-build(1)."""
    host, _, rest = text.partition(":")
    inside, _, options = rest.partition(":")
    if not host.startswith(("/", ".")):
        raise UserError(f"{values.short(host)} is not a path; a build reads directories of the host, no named volumes")
    if not inside:
        raise UserError(f"{values.short(text)} says not where it is mounted; write HOST:CONTAINER")
    for option in options.split(",") if options else []:
        if option not in _VOLUME_OPTIONS:
            raise UserError(f"{values.short(option)} is no option of a build's volume; write ro or rw")
    place = f"{fetching.placed(directory)(host, 'directory')}:{values.path(inside)}"
    return f"{place}:{options}" if options else place


def _secrets(lines: Lines, working: str) -> tuple[str, ...]:
    found = lines.words("Secret", lambda text: _secret(text, working), unescape=True)
    return tuple(dict.fromkeys(secret for _, secret in found))


def _secret(text: str, working: str) -> str:
    """``id=ID,src=PATH`` of podman-build(1); the path absolute, relative to the directory *working* before."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        found["src" if name == "source" else name] = value
    if found.get("type", "file") != "file" or "env" in found:
        raise UserError(f"{values.short(text)}: nothing secret is in the environment of a build; write src=PATH")
    if not found.get("id") or not found.get("src") or found.keys() - {"id", "src", "type"}:
        raise UserError(f"{values.short(text)} is not a secret of a build; write id=NAME,src=PATH")
    if not working and not found["src"].startswith("/"):
        raise UserError(f"{values.short(found['src'])} is relative, and nothing says to what; write an absolute path")
    return f"id={_word(found['id'])},src={_path(found['src'], working, 'file')}"


def _server(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not an address; write one like 192.0.2.53") from error


def _word(text: str) -> str:
    if re.search(r"[\s,]", values.check_text(text, "the word")):
        raise UserError(f"{values.short(text)} is several words; write one on each line")
    return text


def _network(lines: Lines, findings: Findings) -> str:
    """'host' or 'none'."""
    network = lines.get("Network", _network_mode, "")
    if network == "none":
        for key in ("DNS", "DNSOption", "DNSSearch"):
            for at in lines.of(key):
                findings.refuse(at, "with Network=none there is nobody to ask; remove one of the two")
    return network


def _network_mode(text: str) -> str:
    if text not in ("host", "none"):
        raise UserError(f"{values.short(text)}: a build has the host's network or none; write host or none")
    return text
