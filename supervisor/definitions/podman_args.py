"""``PodmanArgs=`` and ``GlobalArgs=``: options of podman, translated into the keys of Quadlet that say the same. Pure.

Owns how podman reads a command line (spf13/pflag) and where the outcome goes; what each option means is in the tables
`podman_run` and `podman_create`. podman puts these options behind those of the keys, so where one value counts they
win.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from supervisor.definitions import coverage, podman_create, podman_limits, podman_run, resources, values
from supervisor.definitions.findings import Findings
from supervisor.definitions.key import State
from supervisor.definitions.podman_option import Effect, Ignored, Option, Setting, Takes, named
from supervisor.definitions.unitfile import Assignment, UnitFile
from supervisor.definitions.words import quote, split_words
from supervisor.errors import UserError
from supervisor.spec.container import ImageVolumes, NamespaceMode, Runtime, ScopeProperty

#: Keys whose value is a list of words, with and without escapes (`Lines.words`); of the others it is the whole line.
_ESCAPED = values.words("Annotation BuildArg Environment EnvironmentFile Exec Label LogOpt Mount Secret")
_RAW = values.words("AddCapability AddDevice DropCapability PublishPort Sysctl")

#: What a word that is a variable begins with (`specifiers.expand`).
_VARIABLE = re.compile(r"\$[^${]")


@dataclass(frozen=True, slots=True)
class Extras:
    """What options can say and no key: members of `Container`."""

    privileged: bool = False
    terminal: bool = False
    stdin: bool = False
    publish_all: bool = False
    pid_namespace: NamespaceMode = NamespaceMode.OWN
    ipc_namespace: NamespaceMode = NamespaceMode.OWN
    uts_namespace: NamespaceMode = NamespaceMode.OWN
    cgroup_namespace: NamespaceMode = NamespaceMode.OWN
    runtime: Runtime = Runtime.CRUN
    image_volumes: ImageVolumes = ImageVolumes.ANONYMOUS
    umask: int | None = None
    oom_score: int | None = None
    limits: tuple[tuple[Assignment, ScopeProperty], ...] = ()
    swap: tuple[Assignment, str] | None = None
    """``--memory-swap``, whose meaning depends on the limit for memory."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One option as it was written, with its single value."""

    at: Assignment
    option: Option
    value: str
    attached: bool = False
    """Whether name and value are one word (``--name=value``)."""


def expand(file: UnitFile, findings: Findings) -> tuple[UnitFile, Extras]:
    """*file* with every option of its ``PodmanArgs=`` and ``GlobalArgs=`` as an assignment of its own."""
    arguments = (
        *_arguments(file, "Container", "GlobalArgs", podman_run.GLOBAL, findings),
        *_arguments(file, "Container", "PodmanArgs", podman_run.RUN, findings),
    )
    translation = _Translation("Container", findings)
    for argument in arguments:
        translation.take(argument)
    return translation.applied(file), translation.extras()


def expand_section(file: UnitFile, section: str, findings: Findings) -> UnitFile:
    """The same for a file of another kind, whose own section is *section*; no option says more than a key there."""
    translation = _Translation(section, findings)
    for name, table in (("GlobalArgs", podman_run.GLOBAL), ("PodmanArgs", podman_create.SECTIONS[section])):
        for argument in _arguments(file, section, name, table, findings):
            translation.take(argument)
    return translation.applied(file)


def find(name: str) -> Option | None:
    """The option of podman-run(1), or else of podman(1), that is called *name* ('--cpus', '-v')."""
    return named(podman_run.GLOBAL + podman_run.RUN).get(name)


def explain(name: str) -> str:
    """What becomes of the option *name* in PodmanArgs=: one line for people."""
    option = find(name)
    if option is None:
        return f"{name}: no such option of podman run; {_nearest(name, podman_run.RUN)}"
    where = "GlobalArgs=" if option in podman_run.GLOBAL else "PodmanArgs="
    if option.state is State.DONE:
        return f"{where}{option.name}: done: {option.says}"
    if option.state is State.NO_EFFECT:
        return f"{where}{option.name}: accepted, no effect here: {option.says}"
    return f"{where}{option.name}: refused: {option.says}"


def _nearest(name: str, table: tuple[Option, ...]) -> str:
    return coverage.nearest(name, [option.name for option in table])


def _arguments(
    file: UnitFile, section: str, key: str, table: tuple[Option, ...], findings: Findings
) -> tuple[Argument, ...]:
    """The options in the lines of *key*, in order. What cannot be read is reported."""
    words: list[tuple[Assignment, str]] = []
    for at in file.of(section):
        if at.key != key:
            continue
        if not at.value:
            words.clear()  # systemd.syntax(7): an empty assignment resets what came before
        try:
            words += [(at, word) for word in split_words(at.value)]
        except UserError as error:
            findings.refuse(at, error)
    return tuple(_Reader(words, table, findings).read())


class _Reader:
    """podman's way through the words of a command line."""

    def __init__(self, words: list[tuple[Assignment, str]], table: tuple[Option, ...], findings: Findings) -> None:
        self._words = deque(words)
        self._table = table
        self._known = named(table)
        self._advice: dict[str, str] = {}
        self._findings = findings

    def read(self) -> Iterator[Argument]:
        while self._words:
            at, word = self._words.popleft()
            if word.startswith("--") and len(word) > 2:
                yield from self._long(at, word)
            elif word.startswith("-") and len(word) > 1 and word != "--":
                yield from self._short(at, word)
            else:
                self._findings.refuse(at, f"{values.short(word)} is no option, and podman would take it for the image")

    def _long(self, at: Assignment, word: str) -> Iterator[Argument]:
        name, equals, value = word.partition("=")
        option = self._known.get(name)
        at = replace(at, argument=name[:60])
        if option is None:
            if name not in self._advice:
                self._advice[name] = _nearest(name, self._table)
            self._findings.refuse(at, f"no such option of podman; {self._advice[name]}")
            if not equals and self._words and not self._words[0][1].startswith("-"):
                self._words.popleft()  # its value, most likely
        elif equals or option.takes is Takes.FLAG:
            yield from self._argument(at, option, value if equals else option.default, attached=True)
        else:
            yield from self._with_next(at, option)

    def _short(self, at: Assignment, word: str) -> Iterator[Argument]:
        """``-it``, ``-v /a:/b``, ``-v/a:/b``, ``-v=/a:/b``, ``-ite A=B``."""
        letters = word[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            option = self._known.get(name)
            spot = replace(at, argument=name)
            if option is None:
                self._findings.refuse(spot, "no such option of podman; correct it or remove it")
                return
            if letters.startswith("="):
                yield from self._argument(spot, option, letters[1:], attached=True)
                return
            if option.takes is Takes.FLAG:
                yield from self._argument(spot, option, option.default)
            elif letters:
                yield from self._argument(spot, option, letters, attached=True)
                return
            else:
                yield from self._with_next(spot, option)

    def _with_next(self, at: Assignment, option: Option) -> Iterator[Argument]:
        if self._words:
            yield from self._argument(at, option, self._words.popleft()[1])
        else:
            self._findings.refuse(at, f"has no value; write {option.name}=VALUE")

    def _argument(self, at: Assignment, option: Option, text: str, *, attached: bool = False) -> Iterator[Argument]:
        try:
            if option.takes is Takes.FLAG and option.default == "true":
                values.boolean(text)
            for value in option.values(text):
                yield Argument(at, option, value, attached)
        except UserError as error:
            self._findings.refuse(at, error)


class _Translation:
    """Arguments into assignments and extras. Mutable while it goes on."""

    def __init__(self, section: str, findings: Findings) -> None:
        self._section = section
        self._findings = findings
        self._settings: list[Assignment] = []
        self._members: dict[str, tuple[Assignment, Any]] = {}
        self._limits: dict[str, list[tuple[Assignment, ScopeProperty]]] = {}

    def take(self, argument: Argument) -> None:
        at, option = argument.at, argument.option
        if option.takes is Takes.FLAG and option.state is not State.DONE and argument.value != option.default:
            return  # what is not wanted is not there
        if option.meaning is None:
            self._findings.refuse(at, option.says)
            return
        try:
            for effect in option.meaning(argument.value):
                self._apply(at, effect, argument.attached)
        except UserError as error:
            self._findings.refuse(at, error)

    def _apply(self, at: Assignment, effect: Effect, attached: bool) -> None:
        if isinstance(effect, Setting):
            section = effect.section or self._section
            value = effect.value
            if attached and section == self._section and _VARIABLE.match(value):
                value = f"${value}"  # not at the start of a word, so systemd would leave it alone
            self._settings.append(replace(at, section=section, key=effect.key, value=written(effect.key, value)))
        elif isinstance(effect, Ignored):
            self._findings.warn(at, f"has no effect: {effect.reason}")
        elif isinstance(effect.value, ScopeProperty):
            self._limit(at, effect.value)
        else:
            self._members[effect.name] = (at, effect.value)

    def _limit(self, at: Assignment, limit: ScopeProperty) -> None:
        self._limits.setdefault(limit.name, []).append((at, limit))

    def applied(self, file: UnitFile) -> UnitFile:
        """*file* with the assignments behind its own."""
        assignments = [*file.assignments, *self._settings]
        if "mac" in self._members:
            self._hardware_address(assignments, *self._members["mac"])
        gone = {(self._section, "PodmanArgs"), (self._section, "GlobalArgs")}
        return dataclasses.replace(
            file, assignments=tuple(at for at in assignments if (at.section, at.key) not in gone)
        )

    def _hardware_address(self, assignments: list[Assignment], at: Assignment, address: str) -> None:
        """``--mac-address`` is an option of the one network."""
        place = ("Container", "Network")
        networks = [index for index, one in enumerate(assignments) if (one.section, one.key) == place]
        if len(networks) > 1:
            self._findings.refuse(at, "says not in which network; write Network=NETWORK:mac=…")
        elif networks:
            one = assignments[networks[0]]
            text = f"{one.value}{',' if ':' in one.value else ':'}mac={address}"
            assignments[networks[0]] = replace(at, section="Container", key="Network", value=text)
        else:
            assignments.append(replace(at, section="Container", key="Network", value=f"bridge:mac={address}"))

    def extras(self) -> Extras:
        """What is left once `applied` has taken what keys can say."""
        self._quota()
        names = {field.name for field in dataclasses.fields(Extras)} - {"limits", "swap"}
        members = {name: value for name, (_, value) in self._members.items() if name in names}
        if "stdin" in members and members["stdin"] and not members.get("terminal"):
            at = self._members["stdin"][0]
            self._findings.warn(at, "has no effect: nobody types into a unit, and its stdin is /dev/null")
        return Extras(**members, limits=tuple(map(_together, self._limits.values())), swap=self._members.get("swap"))

    def _quota(self) -> None:
        quota, period = self._members.get("quota"), self._members.get("period")
        if not (found := quota or period):
            return
        at = found[0]
        if "CPUQuotaPerSecUSec" in self._limits:
            self._findings.refuse(at, "contradicts --cpus; keep one of the two")
            return
        try:
            for limit in podman_limits.quota(quota[1] if quota else None, period[1] if period else None):
                self._limit(at, limit)
        except UserError as error:
            self._findings.refuse(at, error)


def _together(found: list[tuple[Assignment, ScopeProperty]]) -> tuple[Assignment, ScopeProperty]:
    """The last one; of a list all entries, for each device the last."""
    at, last = found[-1]
    if last.signature not in resources.LISTS:
        return at, last
    entries = {limit.value.rpartition(" ")[0]: limit.value for _, limit in found}
    return at, replace(last, value="\n".join(entries.values()))


def written(key: str, value: str) -> str:
    """*value* as a line of *key* has to write it, to be read as this one value."""
    if key in _ESCAPED:
        return quote(value)
    if key in _RAW and value and not set(value).intersection(" \t\n\r\"'"):
        return value
    if key in _RAW:
        # Without escapes, a quote can only stand inside the other one.
        return "".join(f"'{char}'" if char == '"' else f'"{char}"' for char in value) or '""'
    if not value or (len(value) > 1 and value[0] == value[-1] == '"'):
        return f'"{value}"'
    return value
