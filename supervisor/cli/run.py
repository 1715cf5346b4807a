"""``ctrctl run`` and ``ctrctl create``: a container from a command line.

Owns the order of the steps: understand the words, fetch the image, deploy, start, wait, remove. What the words mean is
`run_options`, what happens in the foreground is `foreground`; writing files is `supervisor.deploy`'s work alone.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from supervisor.cli import option, run_options
from supervisor.cli.console import Console
from supervisor.cli.containers import check_deployed, deployed, is_deployed, read_exit
from supervisor.cli.failure import OUT_OF_MEMORY, explain
from supervisor.cli.foreground import Session, exit_code
from supervisor.deploy import security
from supervisor.deploy.deploy import Deployment
from supervisor.errors import ConflictError, DefinitionError, NotFoundError, UserError
from supervisor.images.store import Store
from supervisor.names import service_unit
from supervisor.spec.container import Container, PullPolicy
from supervisor.systemd.manager import Manager

_FAILED = 125
#: The launcher's own codes: the program was not there or could not be executed.
_NEVER_RAN = (126, 127)

EXAMPLES = {
    "run": (
        "ctrctl run --rm -it debian bash                     a shell, gone when it ends",
        "ctrctl run -d --name web -p 8080:80 nginx           in the background, as ctr@web.service",
        "echo hi | ctrctl run -i --rm busybox cat",
        "ctrctl run --rm -v ./src:/src:ro -w /src gcc make   a directory of the host",
        "ctrctl run -d --restart always -m 512m redis        comes back after a crash and a reboot",
        "ctrctl run -d --network back --health-cmd 'redis-cli ping' redis",
    ),
    "create": ("ctrctl create --name web nginx && systemctl start ctr@web",),
}

configure = run_options.configure


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Make the container; unless *verb* is 'create', start it and, without ``-d``, stay until it ends."""
    console.need_root(verb)
    foreground = verb == "run" and not args.detach
    if foreground and args.tty and args.interactive and not os.isatty(0):
        raise UserError("--tty: stdin is not a terminal; leave out -t, or -i")
    name = args.name or run_options.default_name(args.image, deployed(console.layout), lambda: secrets.token_hex(2))
    modules = {"selinux": security.has_selinux(console.layout), "apparmor": security.has_apparmor(console.layout)}
    caller = run_options.Caller(os.getcwd(), console.environ, **modules)
    request = run_options.request(args, name, caller)
    if is_deployed(name, console.layout) and not args.replace:
        advice = f"remove it with 'ctrctl rm {name}', use --replace, or choose another --name"
        raise ConflictError(f"container '{name}' exists; {advice}")
    _check_files(request.container)
    with option.named("--requires"):
        check_deployed((other for text in args.requires or () for other in text.split(",")), console.layout)
    for warning in request.warnings:
        console.warn(warning)
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)
        container = _with_volumes(request.container, args.volumes_from or (), deployment)
        container = _with_image(container, args.quiet, manager, deployment, console)
        if args.replace and is_deployed(name, console.layout):
            # A mistake is found before the old one is gone.
            _deploy(container, deployment, replace=True, dry_run=True)
            deployment.remove(name, force=True)
        _deploy(container, deployment)
        if verb == "create":
            console.line(name)
            return 0
        started = _Run(name, manager, deployment, console, remove=args.rm)
        return started.in_foreground(args.interactive) if foreground else started.in_background()


def _check_files(container: Container) -> None:
    """What the launcher would fail on later, and the caller can still correct now."""
    for path in container.environment_files:
        if not os.path.isfile(path):
            raise NotFoundError(
                f"--env-file: {path}: no such file; name one that stays there, it is read at every start"
            )
    if container.rootfs and not os.path.isdir(container.rootfs):
        raise NotFoundError(f"--rootfs: {container.rootfs}: no such directory")


def _with_volumes(container: Container, texts: Iterable[str], deployment: Deployment) -> Container:
    """*container* with the mounts of those that ``--volumes-from`` names."""
    for text in texts:
        with option.named("--volumes-from"):
            name, access = run_options.volumes_from(text)
            container = run_options.with_volumes_of(container, deployment.mounted(name), access)
    return container


def _with_image(
    container: Container, quiet: bool, manager: Manager, deployment: Deployment, console: Console
) -> Container:
    """*container*, its image in the store as its pull policy wants it, and what it mounts."""
    wanted = list(deployment.missing_images((container,)))
    if container.image and container.image not in wanted and container.pull in (PullPolicy.ALWAYS, PullPolicy.NEWER):
        wanted.insert(0, container.image)
    if not wanted:
        return container
    if container.pull is PullPolicy.NEVER:
        raise NotFoundError(f"image '{wanted[0]}': not in the store, and --pull never; see 'ctrctl images'")
    from supervisor.images.request import PullOptions, request_pull
    from supervisor.spec.sourcing import Fetch

    show = (lambda _: None) if quiet else console.note
    authfile = console.environ.get("REGISTRY_AUTH_FILE", "")
    options = PullOptions(Fetch(auth_file=os.path.abspath(authfile) if authfile else "", retries=0))
    for reference in wanted:
        request_pull(f"docker://{reference}", manager, console.layout, options, show)
    # Fetched a moment ago: deploying must not ask for it again.
    return replace(container, pull=PullPolicy.MISSING)


def _deploy(container: Container, deployment: Deployment, *, replace: bool = False, dry_run: bool = False) -> None:
    try:
        deployment.apply((container,), prune=lambda _: False, replace=replace, dry_run=dry_run)
    except DefinitionError as error:
        # A definition's problems have a file and a line; here the command line is all there is.
        raise UserError("\n".join(problem.message for problem in error.problems)) from error


class _Run:
    """The container *name*, deployed and about to be started; *remove*: with ``--rm``."""

    def __init__(self, name: str, manager: Manager, deployment: Deployment, console: Console, *, remove: bool) -> None:
        self._name = name
        self._manager = manager
        self._deployment = deployment
        self._console = console
        self._remove = remove

    def in_background(self) -> int:
        """Start it and print its name."""
        job = self._manager.start(service_unit(self._name))
        if job == "done":
            self._console.line(self._name)
            return 0
        return self._failed(job, exit_code(self._name, self._console.layout))

    def in_foreground(self, interactive: bool) -> int:
        """Start it, lend it our streams or our terminal, and return its exit code."""
        try:
            end = Session(self._name, self._console.layout, interactive=interactive).run()
        except BaseException:
            self._clean_up()
            raise
        if end.abandoned:
            self._console.note(f"{self._name} goes on; stop it with 'ctrctl stop {self._name}'")
            return end.code
        if end.job == "done":
            last = read_exit(self._name, self._console.layout)
            if last and last.oom:
                self._console.error(f"{self._name}: {OUT_OF_MEMORY}")
            self._clean_up()
            return end.code
        return self._failed(end.job, end.code)

    def _failed(self, job: str, code: int) -> int:
        """Say why the start *job* failed; the exit code to report, *code* being the launcher's."""
        failure = explain(self._manager, self._name, "start", job)
        self._console.error(f"{self._name}: start failed: {failure.reason}")
        for line in failure.lines:
            self._console.note(f"  {line}")
        # Restart= is for a container that ran; one that cannot start would be tried for ever.
        self._manager.stop(service_unit(self._name))
        self._clean_up()
        return code if code in _NEVER_RAN else _FAILED

    def _clean_up(self) -> None:
        """With ``--rm``, leave nothing. Without, leave a container that can be looked into and started again."""
        if not self._remove:
            return
        with suppress(NotFoundError):
            # Of a detached container its own clean-up may have been faster.
            self._deployment.remove(self._name, force=True, volumes=True)
