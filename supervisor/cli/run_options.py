"""The options of ``ctrctl run`` and ``create``, named as docker-run(1) and podman-run(1) name them. Pure.

Owns the parser's options and their way into a `Container`. Values are read by `supervisor.definitions`, as in a
``.container`` file. Looks at no file and no clock: what a command line means besides its words is in `Caller`.
"""

from __future__ import annotations

import argparse
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NoReturn, TypeVar

from supervisor.cli.run_refused import REFUSED
from supervisor.definitions import mounts, resources, values
from supervisor.errors import UserError
from supervisor.names import MAX_LENGTH, check_name
from supervisor.spec.container import (
    Container,
    Entry,
    LogDriver,
    Mount,
    NetworkMode,
    PullPolicy,
    Runtime,
    ScopeProperty,
    UnitSections,
)

SOURCE = "ctrctl run"

_DEFAULTS = Container("", SOURCE)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """What the words of a command line stand in relation to."""

    directory: str
    """Absolute working directory."""
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A command line that makes sense, and what its author should know about it."""

    container: Container
    warnings: tuple[str, ...] = ()


class _Refuse(argparse.Action):
    """An option of docker or podman that we do not have; says why as soon as it is seen."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise UserError(f"{'/'.join(self.option_strings)}: {REFUSED[self.option_strings[0]][1]}")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add every option and the positional arguments to *parser*; *verb* is 'run' or 'create'."""
    # -h is the host name, as everywhere else; --help stays help.
    parser.conflict_handler = "resolve"
    parser.usage = f"ctrctl {verb} [OPTIONS] IMAGE [COMMAND …]"
    _add_process(parser, verb)
    _add_files(parser)
    _add_limits(parser)
    _add_security(parser)
    _add_lifecycle(parser)
    for flag, (more, _) in REFUSED.items():
        parser.add_argument(flag, *more, action=_Refuse, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("image", metavar="IMAGE", help="image reference, or a directory with --rootfs")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="instead of the image's command")


def _add_process(parser: argparse.ArgumentParser, verb: str) -> None:
    group = parser.add_argument_group("process")
    if verb == "run":
        group.add_argument("-d", "--detach", action="store_true", help="print the name and return once it runs")
    group.add_argument("-i", "--interactive", action="store_true", help="pass stdin on")
    group.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    group.add_argument("-e", "--env", action="append", metavar="NAME[=VALUE]", help="set a variable")
    group.add_argument("--env-file", action="append", metavar="FILE", help="NAME=VALUE lines, read at every start")
    group.add_argument("-w", "--workdir", metavar="DIR", help="working directory")
    group.add_argument("-u", "--user", metavar="USER[:GROUP]", help="who the process runs as")
    group.add_argument("--group-add", action="append", metavar="GROUP", help="supplementary group")
    group.add_argument("--entrypoint", metavar="PROGRAM", help="instead of the image's; several words as a JSON list")
    group.add_argument("--init", action="store_true", help="run an init that reaps and passes signals on")
    group.add_argument("--tz", metavar="ZONE", help="time zone, or 'local'")
    group.add_argument("-h", "--hostname", metavar="NAME", help="host name")
    group.add_argument("--network", "--net", metavar="none|host", help="network (default: none)")


def _add_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument("-v", "--volume", action="append", metavar="[SOURCE:]TARGET[:OPTIONS]", help="mount")
    group.add_argument("--mount", action="append", metavar="type=…,target=…", help="mount, spelled out")
    group.add_argument("--tmpfs", action="append", metavar="PATH[:OPTIONS]", help="empty directory in memory")
    group.add_argument("--device", action="append", metavar="HOST[:CONTAINER][:rwm]", help="device node")
    group.add_argument("--read-only", action="store_true", help="root file system read-only")
    group.add_argument("--read-only-tmpfs", metavar="BOOL", help="with --read-only: writable /tmp, /run (default: yes)")
    group.add_argument("--shm-size", metavar="SIZE", help="size of /dev/shm")
    group.add_argument("--rootfs", action="store_true", help="IMAGE is a directory of the host")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument("-m", "--memory", metavar="SIZE", help="memory, and as much swap again")
    group.add_argument("--memory-swap", metavar="SIZE", help="memory and swap together; -1 is no limit")
    group.add_argument("--memory-reservation", metavar="SIZE", help="memory that is taken away last")
    group.add_argument("--cpus", metavar="NUMBER", help="CPUs' worth of time, like 1.5")
    group.add_argument("-c", "--cpu-shares", metavar="NUMBER", help="weight, 2 to 262144; 1024 is usual")
    group.add_argument("--cpuset-cpus", metavar="LIST", help="CPUs to run on, like 0-3,5")
    group.add_argument("--cpuset-mems", metavar="LIST", help="memory nodes to use")
    group.add_argument("--pids-limit", metavar="NUMBER", help="processes and threads; -1 is no limit")
    group.add_argument("--ulimit", action="append", metavar="NAME=SOFT[:HARD]", help="setrlimit(2) limit")


def _add_security(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("security")
    group.add_argument("--cap-add", action="append", metavar="CAP", help="add a capability, or ALL")
    group.add_argument("--cap-drop", action="append", metavar="CAP", help="drop a capability, or ALL")
    group.add_argument("--privileged", action="store_true", help="all capabilities and devices, nothing masked")
    group.add_argument("--security-opt", action="append", metavar="no-new-privileges", help="none by exec")
    group.add_argument("--sysctl", action="append", metavar="NAME=VALUE", help="namespaced kernel parameter")


def _add_lifecycle(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("lifecycle")
    group.add_argument("--name", metavar="NAME", help="name of the container (default: made from the image's)")
    group.add_argument("--rm", action="store_true", help="remove it once it has stopped")
    group.add_argument("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")
    group.add_argument("--stop-signal", metavar="SIGNAL", help="what asks it to stop")
    group.add_argument("--stop-timeout", metavar="SECONDS", help="until SIGKILL (default: 10)")
    group.add_argument("-l", "--label", action="append", metavar="NAME=VALUE", help="label")
    group.add_argument("--annotation", action="append", metavar="NAME=VALUE", help="OCI annotation")
    group.add_argument("--log-driver", metavar="DRIVER", help="journald, passthrough or none")
    group.add_argument("--runtime", metavar="RUNTIME", help="crun or runc")
    group.add_argument("--pull", metavar="POLICY", help="always, missing, never or newer")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress while pulling")


def default_name(image: str, taken: Iterable[str], token: Callable[[], str]) -> str:
    """A free name for a container of *image*: its last path component and a few random characters from *token*."""
    base = re.sub(r"[^a-zA-Z0-9_.-]+", "-", image.rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0])
    base = base.lstrip("_.-")[: MAX_LENGTH - 20] or "ctr"
    known = frozenset(taken)
    while (name := f"{base}-{token()}") in known:
        pass
    return name


def request(args: argparse.Namespace, name: str, caller: Caller) -> Request:
    """The container that *args* describe. Raises `UserError` that names the option."""
    detached = getattr(args, "detach", True)
    mounted = _mounts(args, mounts.Place(caller.directory, check_name(name)))
    if args.rm and args.restart not in (None, "no"):
        raise UserError(f"--rm: contradicts --restart {args.restart}; use one of them")
    container = Container(
        name=name,
        source=SOURCE,
        image=None if args.rootfs else _read("IMAGE", values.image, args.image),
        rootfs=_read("IMAGE", values.path, posixpath.join(caller.directory, args.image)) if args.rootfs else None,
        pull=_word("--pull", PullPolicy, args.pull, PullPolicy.MISSING),
        entrypoint=_entrypoint(args.entrypoint),
        command=tuple(args.command) or None,
        environment=_environment(args.env or (), caller.environ),
        environment_files=tuple(posixpath.normpath(posixpath.join(caller.directory, f)) for f in args.env_file or ()),
        working_dir=_one("--workdir", values.path, args.workdir),
        user=_one("--user", values.user, args.user),
        supplementary_groups=_all("--group-add", values.group, args.group_add),
        hostname=_one("--hostname", values.hostname, args.hostname),
        timezone=_one("--tz", values.timezone, args.tz),
        labels=_all("--label", values.label, args.label),
        annotations=_all("--annotation", values.label, args.annotation),
        mounts=tuple(m.mount for m in mounted),
        read_only=args.read_only,
        read_only_tmpfs=_default("--read-only-tmpfs", values.boolean, args.read_only_tmpfs, True),
        shm_size=_default("--shm-size", values.size, args.shm_size, _DEFAULTS.shm_size),
        add_capabilities=_all("--cap-add", values.capability, args.cap_add),
        drop_capabilities=_all("--cap-drop", values.capability, args.cap_drop),
        no_new_privileges=_no_new_privileges(args.security_opt or ()),
        privileged=args.privileged,
        ulimits=_all("--ulimit", values.ulimit, args.ulimit),
        sysctls=_all("--sysctl", values.sysctl, args.sysctl),
        devices=_all("--device", values.device, args.device),
        scope_properties=_limits(args),
        network=_network(args.network),
        run_init=args.init,
        terminal=args.tty,
        stdin=args.interactive,
        stop_signal=_one("--stop-signal", values.signal, args.stop_signal),
        stop_timeout=_default("--stop-timeout", values.duration, args.stop_timeout, _DEFAULTS.stop_timeout),
        log_driver=_word("--log-driver", LogDriver, args.log_driver, LogDriver.JOURNALD),
        runtime=_word("--runtime", Runtime, args.runtime, Runtime.CRUN),
        keep_layer=True,
        # In the foreground whoever waits for the end removes it, and has to read its exit status first.
        remove=args.rm and detached,
        unit=_unit(args.restart),
    )
    return Request(container, tuple(w for m in mounted for w in m.warnings))


def _read(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except UserError as error:
        raise UserError(f"{option}: {error}") from error


def _one(option: str, read: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else _read(option, read, text)


def _default(option: str, read: Callable[[str], T], text: str | None, default: T) -> T:
    return default if text is None else _read(option, read, text)


def _all(option: str, read: Callable[[str], T], texts: Iterable[str] | None) -> tuple[T, ...]:
    return tuple(_read(option, read, text) for text in texts or ())


E = TypeVar("E", PullPolicy, LogDriver, Runtime)


def _word(option: str, kind: type[E], text: str | None, default: E) -> E:
    if text is None:
        return default
    for member in kind:
        if member.value == text:
            return member
    raise UserError(f"{option}: {values.short(text)} is unknown; use {', '.join(m.value for m in kind)}")


def _mounts(args: argparse.Namespace, place: mounts.Place) -> tuple[mounts.Mounted, ...]:
    found = (
        *_all("--volume", lambda text: mounts.volume(text, place), args.volume),
        *_all("--mount", lambda text: mounts.mount(text, place), args.mount),
        *_all("--tmpfs", mounts.tmpfs, args.tmpfs),
    )
    seen: dict[str, Mount] = {}
    for item in found:
        if item.mount.target in seen:
            raise UserError(f"{item.mount.target}: two mounts on one directory; keep one")
        seen[item.mount.target] = item.mount
    return found


def _environment(texts: Iterable[str], environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE as it is; NAME alone takes the caller's value, and is left out when the caller has none."""
    pairs = []
    for text in texts:
        if "=" in text:
            pairs.append(_read("--env", values.environment, text))
        elif text in environ:
            pairs.append(_read("--env", values.environment, f"{text}={environ[text]}"))
    return tuple(pairs)


def _entrypoint(text: str | None) -> tuple[str, ...] | None:
    """One word, a JSON list of words, or '' for none at all."""
    if text is None:
        return None
    if not text.startswith("["):
        return (text,) if text else ()
    try:
        words = json.loads(text)
    except ValueError as error:
        raise UserError(f"--entrypoint: not a JSON list: {error}") from error
    if not all(isinstance(word, str) for word in words):
        raise UserError("--entrypoint: a JSON list of strings is needed")
    return tuple(words)


def _no_new_privileges(options: Iterable[str]) -> bool:
    found = False
    for option in options:
        name, _, value = option.replace("=", ":", 1).partition(":")
        if name != "no-new-privileges":
            raise UserError(f"--security-opt: {values.short(option)} is not supported yet; only no-new-privileges is")
        found = _read("--security-opt", values.boolean, value or "yes")
    return found


def _network(text: str | None) -> NetworkMode:
    if text is None:
        return NetworkMode.NONE
    if text in ("none", "host"):
        return NetworkMode(text)
    raise UserError(f"--network: {values.short(text)} is not supported yet; use none or host")


def _limits(args: argparse.Namespace) -> tuple[ScopeProperty, ...]:
    properties: list[ScopeProperty] = []
    if args.memory is not None:
        properties += _read("--memory", resources.memory, args.memory)
    if args.memory_swap is not None:
        swap = _read("--memory-swap", lambda text: _swap(text, args.memory), args.memory_swap)
        properties = [p for p in properties if p.name != swap.name] + [swap]
    named: tuple[tuple[str, str | None, Callable[[str], ScopeProperty]], ...] = (
        ("--memory-reservation", args.memory_reservation, lambda text: resources.scope_property("MemoryLow", text)),
        ("--cpus", args.cpus, _cpus),
        ("--cpu-shares", args.cpu_shares, _shares),
        ("--cpuset-cpus", args.cpuset_cpus, lambda text: resources.scope_property("AllowedCPUs", text)),
        ("--cpuset-mems", args.cpuset_mems, lambda text: resources.scope_property("AllowedMemoryNodes", text)),
        ("--pids-limit", args.pids_limit, resources.pids_limit),
    )
    properties += [_read(option, read, text) for option, text, read in named if text is not None]
    return tuple(properties)


def _swap(text: str, memory: str | None) -> ScopeProperty:
    """docker's value counts memory and swap together, systemd's MemorySwapMax= swap alone."""
    if text == "-1":
        return ScopeProperty("MemorySwapMax", "t", str(resources.INFINITY))
    if memory is None:
        raise UserError("a limit for swap needs one for memory; add --memory")
    swap = values.size(text) - values.size(memory)
    if swap < 0:
        raise UserError(f"{values.short(text)} is less than --memory {memory}, which it includes; write more")
    return ScopeProperty("MemorySwapMax", "t", str(swap))


def _cpus(text: str) -> ScopeProperty:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) or not (quota := int(Fraction(text) * 10**6)):
        raise UserError(f"{values.short(text)} is not a number of CPUs; write one like 1.5")
    return ScopeProperty("CPUQuotaPerSecUSec", "t", str(quota))


def _shares(text: str) -> ScopeProperty:
    """cgroup v1 shares as a v2 weight, by the formula that crun and runc use."""
    shares = values.integer(text, 2, 262144)
    return ScopeProperty("CPUWeight", "t", str(1 + (shares - 2) * 9999 // 262142))


def _unit(policy: str | None) -> UnitSections:
    """``--restart`` in systemd's words (systemd.service(5) Restart=, systemd.unit(5) StartLimitBurst=)."""
    word, _, count = (policy or "no").partition(":")
    if word == "no" and not count:
        return UnitSections()
    pause = Entry("RestartSec", "1")
    if word == "on-failure":
        # The first start counts as well.
        burst = _read("--restart", lambda text: values.integer(text, 0, 10_000) + 1, count) if count else 0
        limit = Entry("StartLimitIntervalSec", "infinity" if burst else "0")
        unit = (limit, Entry("StartLimitBurst", str(burst))) if burst else (limit,)
        return UnitSections(unit, (Entry("Restart", "on-failure"), pause))
    if word in ("always", "unless-stopped") and not count:
        return UnitSections(
            (Entry("StartLimitIntervalSec", "0"),),
            (Entry("Restart", "always"), pause),
            (Entry("WantedBy", "multi-user.target"),),
        )
    raise UserError(
        f"--restart: {values.short(policy or '')} is unknown; use no, on-failure[:N], always or unless-stopped"
    )
