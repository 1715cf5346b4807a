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
from dataclasses import dataclass, field, replace
from typing import NoReturn

from supervisor.cli import (
    option,
    restart_policy,
    run_health,
    run_limits,
    run_namespaces,
    run_network,
    run_security,
    run_users,
)
from supervisor.cli.run_refused import REFUSED
from supervisor.definitions import devices, mounts, secrets, values
from supervisor.errors import UserError
from supervisor.names import MAX_LENGTH, check_name, service_unit
from supervisor.spec.container import Container, Entry, LogDriver, Mount, MountType, PullPolicy, Runtime, UnitSections
from supervisor.spec.secret import Secret

SOURCE = "ctrctl run"

_DEFAULTS = Container("", SOURCE)
#: Every container has its own of these.
_MADE = (MountType.TMPFS, MountType.RAMFS, MountType.DEVPTS)


@dataclass(frozen=True, slots=True)
class Caller:
    """What the words of a command line stand in relation to."""

    directory: str
    """Absolute working directory."""
    environ: Mapping[str, str] = field(default_factory=dict)
    selinux: bool = False
    apparmor: bool = False
    """Whether the host uses them."""


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
    run_network.configure(parser)
    run_limits.configure(parser)
    run_security.configure(parser)
    run_users.configure(parser)
    run_namespaces.configure(parser)
    run_health.configure(parser)
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


def _add_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument("-v", "--volume", action="append", metavar="[SOURCE:]TARGET[:OPTIONS]", help="mount")
    group.add_argument("--mount", action="append", metavar="type=…,target=…", help="mount, spelled out")
    group.add_argument("--volumes-from", action="append", metavar="NAME[:ro|rw]", help="what another container mounts")
    group.add_argument("--tmpfs", action="append", metavar="PATH[:OPTIONS]", help="empty directory in memory")
    group.add_argument("--read-only", action="store_true", help="root file system read-only")
    group.add_argument("--read-only-tmpfs", metavar="BOOL", help="with --read-only: writable /tmp, /run (default: yes)")
    group.add_argument("--shm-size", metavar="SIZE", help="size of /dev/shm")
    group.add_argument("--rootfs", action="store_true", help="IMAGE is a directory of the host")
    group.add_argument(
        "--secret", action="append", metavar="NAME[,target=…]", help="credential of the host, at /run/secrets/NAME"
    )


def _add_lifecycle(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("lifecycle")
    group.add_argument("--name", metavar="NAME", help="name of the container (default: made from the image's)")
    group.add_argument("--replace", action="store_true", help="remove the container of that name first")
    group.add_argument("--rm", action="store_true", help="remove it once it has stopped")
    group.add_argument("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")
    group.add_argument("--requires", action="append", metavar="NAME", help="start that container first; stop with it")
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
    place = mounts.Place(caller.directory, check_name(name), caller.selinux, apparmor=caller.apparmor)
    mounted = _mounts(args, place)
    if args.rm and args.restart not in (None, "no"):
        raise UserError(f"--rm: contradicts --restart {args.restart}; use one of them")
    if args.replace and args.name is None:
        raise UserError("--replace: says not which container; add --name")
    health, no_health = run_health.check(args)
    given = run_security.devices_of(args)
    confined = run_security.read(args.security_opt or (), place)
    container = Container(
        name=name,
        source=SOURCE,
        image=None if args.rootfs else option.read("IMAGE", values.image, args.image),
        rootfs=option.read("IMAGE", values.path, posixpath.join(caller.directory, args.image)) if args.rootfs else None,
        pull=option.word("--pull", PullPolicy, args.pull, PullPolicy.MISSING),
        entrypoint=_entrypoint(args.entrypoint),
        command=tuple(args.command) or None,
        environment=_environment(args.env or (), caller.environ),
        environment_files=tuple(posixpath.normpath(posixpath.join(caller.directory, f)) for f in args.env_file or ()),
        working_dir=option.one("--workdir", values.path, args.workdir),
        user=option.one("--user", values.user, args.user),
        supplementary_groups=option.each("--group-add", values.group, args.group_add),
        hostname=option.one("--hostname", values.hostname, args.hostname),
        timezone=option.one("--tz", values.timezone, args.tz),
        labels=option.each("--label", values.label, args.label),
        annotations=option.each("--annotation", values.label, args.annotation),
        mounts=tuple(m.mount for m in mounted),
        read_only=args.read_only,
        read_only_tmpfs=option.default("--read-only-tmpfs", values.boolean, args.read_only_tmpfs, True),
        shm_size=option.default("--shm-size", values.size, args.shm_size, _DEFAULTS.shm_size),
        add_capabilities=option.each("--cap-add", values.capability, args.cap_add),
        drop_capabilities=option.each("--cap-drop", values.capability, args.cap_drop),
        no_new_privileges=confined.no_new_privileges,
        security=confined.security,
        privileged=args.privileged,
        user_namespace=run_users.namespace(args),
        ulimits=option.each("--ulimit", values.ulimit, args.ulimit),
        sysctls=option.each("--sysctl", values.sysctl, args.sysctl),
        devices=tuple(text for text in given if not devices.is_qualified(text)),
        cdi_devices=tuple(text for text in given if devices.is_qualified(text)),
        scope_properties=run_limits.properties(args),
        secrets=_secrets(args.secret or ()),
        health=health,
        no_health=no_health,
        notify=run_health.notify(args.sdnotify, no_health=no_health),
        run_init=args.init,
        terminal=args.tty,
        stdin=args.interactive,
        stop_signal=option.one("--stop-signal", values.signal, args.stop_signal),
        stop_timeout=option.default("--stop-timeout", values.duration, args.stop_timeout, _DEFAULTS.stop_timeout),
        log_driver=option.word("--log-driver", LogDriver, args.log_driver, LogDriver.JOURNALD),
        runtime=option.word("--runtime", Runtime, args.runtime, Runtime.CRUN),
        keep_layer=True,
        # In the foreground whoever waits for the end removes it, and has to read its exit status first.
        remove=args.rm and detached,
        unit=_unit(args),
    )
    container = run_namespaces.applied(run_network.applied(container, args), args)
    return Request(container, (*(w for m in mounted for w in m.warnings), *confined.warnings))


def _mounts(args: argparse.Namespace, place: mounts.Place) -> tuple[mounts.Mounted, ...]:
    found = (
        *option.each("--volume", lambda text: mounts.volume(text, place), args.volume),
        *option.each("--mount", lambda text: mounts.mount(text, place), args.mount),
        *option.each("--tmpfs", mounts.tmpfs, args.tmpfs),
    )
    seen: dict[str, Mount] = {}
    for item in found:
        if item.mount.target in seen:
            raise UserError(f"{item.mount.target}: two mounts on one directory; keep one")
        seen[item.mount.target] = item.mount
    return found


def volumes_from(text: str) -> tuple[str, tuple[str, ...]]:
    """``NAME[:ro|rw]``: a container, and what its mounts are to be instead of what they are there."""
    name, colon, word = text.partition(":")
    check_name(name)
    if colon and word not in ("ro", "rw"):
        raise UserError(f"{values.short(word)} is unknown; write NAME, NAME:ro or NAME:rw")
    return name, (word,) if colon else ()


def with_volumes_of(container: Container, other: Container, access: tuple[str, ...]) -> Container:
    """*container* with the volumes and directories that *other* mounts, where it mounts nothing itself."""
    taken = {mount.target for mount in container.mounts}
    more = (
        replace(mount, options=(*(o for o in mount.options if o not in ("ro", "rw")), *access)) if access else mount
        for mount in other.mounts
        if mount.type not in _MADE and mount.target not in taken
    )
    return replace(container, mounts=(*container.mounts, *more))


def _environment(texts: Iterable[str], environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE as it is; NAME alone takes the caller's value, and is left out when the caller has none."""
    pairs = []
    for text in texts:
        if "=" in text:
            pairs.append(option.read("--env", values.environment, text))
        elif text in environ:
            pairs.append(option.read("--env", values.environment, f"{text}={environ[text]}"))
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


def _secrets(texts: Iterable[str]) -> tuple[Secret, ...]:
    found: dict[str, Secret] = {}
    for secret in option.each("--secret", secrets.secret, texts):
        if secret.target in found:
            raise UserError(f"--secret: {secret.target} is there twice; give one another target=")
        found[secret.target] = secret
    return tuple(found.values())


def _unit(args: argparse.Namespace) -> UnitSections:
    """What belongs to the unit: ``--restart``, ``--requires`` and ``--oom-score-adj``."""
    unit = restart_policy.sections(args.restart)
    needed = [name for text in args.requires or () for name in text.split(",")]
    needs = [service_unit(option.read("--requires", check_name, name)) for name in dict.fromkeys(needed)]
    entries = [Entry(key, other) for other in needs for key in ("Requires", "After")]
    # The launcher has it, and every process of the container inherits it (proc(5), oom_score_adj).
    score = option.one("--oom-score-adj", lambda text: values.integer(text, -1000, 1000), args.oom_score_adj)
    own = () if score is None else (Entry("OOMScoreAdjust", str(score)),)
    return UnitSections((*unit.unit, *entries), (*unit.service, *own), unit.install)
