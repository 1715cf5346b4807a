"""``ctrctl apply``: definitions in, deployed containers or a list of mistakes out.

Owns which definitions are meant, when an image is fetched for them, and what is said about the outcome. Compiling is
`supervisor.definitions`' work, writing `supervisor.deploy`'s.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
from collections.abc import Sequence

from supervisor.cli import host_specifiers
from supervisor.cli.console import Console
from supervisor.cli.fetching import Fetching, known_references
from supervisor.cli.version import program_version
from supervisor.definitions import templates
from supervisor.definitions.asking import telling_lines
from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.deploy import records, security, state
from supervisor.deploy.conflicts import Defined, Prune
from supervisor.deploy.deploy import Deployment
from supervisor.deploy.mounting import references
from supervisor.deploy.report import Report
from supervisor.deploy.settings import read as read_settings
from supervisor.errors import CtrError, DefinitionError, Problem
from supervisor.images.store import Store
from supervisor.names import service_unit
from supervisor.spec.container import Container
from supervisor.spec.network import Network
from supervisor.spec.pod import Pod
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager

_FAILED = 125

EXAMPLES = {
    "apply": (
        "ctrctl apply                        everything in /etc/ctr",
        "ctrctl apply /etc/ctr/web.container one definition; the others stay as they are",
        "ctrctl apply --dry-run              only say what would change",
    ),
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths", nargs="*", metavar="FILE", help="definitions, or directories of them (default: /etc/ctr)"
    )
    parser.add_argument("--no-pull", action="store_true", help="fetch and build no image, use what is there")
    parser.add_argument("--dry-run", action="store_true", help="fetch and change nothing, say what would be done")
    parser.add_argument(
        "--keep-going", action="store_true", help="deploy what is valid; what is not stays as it is deployed"
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Returns 0, or 125 when a changed container did not come up. Raises `DefinitionError` with every mistake."""
    paths = absolute(args.paths, console)
    if args.keep_going:
        from supervisor.cli.reconcile import apply_valid

        console.need_root("apply")
        with Manager.open() as manager:
            return apply_valid(_application(manager, console), paths, args)
    loaded, problems = load_definitions(paths, console)
    if problems:
        raise DefinitionError(problems)
    console.need_root("apply")
    with Manager.open() as manager, telling_lines(loaded):
        return _application(manager, console).apply(loaded, paths, args, unused(loaded))


def _application(manager: Manager, console: Console) -> Application:
    return Application(Deployment(console.layout, Store(console.layout), manager), manager, console)


class Application:
    """One ``ctrctl apply``: fetch, deploy, tell."""

    def __init__(self, deployment: Deployment, manager: Manager, console: Console) -> None:
        self._deployment = deployment
        self._manager = manager
        self._console = console

    @property
    def console(self) -> Console:
        """Where it tells."""
        return self._console

    def apply(
        self, loaded: Loaded, paths: Sequence[str], args: argparse.Namespace, kept: frozenset[str] = frozenset()
    ) -> int:
        """Do it; the exit code. What was deployed from *kept*, or from below that, stays."""
        if args.dry_run:
            return self.rehearse(loaded, paths, kept)
        fetching = Fetching(loaded, self._manager, self._console)
        code = 0 if args.no_pull else self._fetch(fetching, keep_going=args.keep_going)
        report = self._deployment.apply(
            loaded.containers,
            networks=loaded.networks,
            volumes=loaded.volumes,
            pods=loaded.pods,
            prune=_came_from(paths, kept),
        )
        fetching.sweep(_came_from(paths, kept))
        self._tell(report)
        for text in report.leftovers:
            self._console.warn(text)
        if report.created:
            units = " ".join(service_unit(name).removesuffix(".service") for name in report.created)
            self._console.line(f"\nnext: systemctl start {units}")
        return self._explain(report.failed) or code

    def _fetch(self, fetching: Fetching, *, keep_going: bool) -> int:
        """Fetch and build. With *keep_going* a failure is told and becomes the exit code: those whose image is missing
        cannot be deployed, and for the others there is an older one."""
        try:
            fetching.run()
        except CtrError as error:
            if not keep_going:
                raise
            self._console.error(str(error))
            return _FAILED
        return 0

    def watch(self) -> tuple[str, ...]:
        """Have ctr-apply.path, if it is on, watch the directories there are now; those that it cannot watch."""
        from supervisor.deploy import watched

        return watched.update(self._console.layout, self._manager)

    def rehearse(self, loaded: Loaded, paths: Sequence[str], kept: frozenset[str] = frozenset()) -> int:
        """Say what `apply` would do."""
        containers = loaded.containers
        missing = frozenset(self._deployment.missing_images(containers))
        for line in Fetching(loaded, self._manager, self._console).plan():
            self._console.line(line)
        # Without its image a container cannot be rendered, so all that can be said of it is its name.
        waiting = {c.name for c in containers if not missing.isdisjoint(references((c,)))}
        for name in sorted(waiting):
            self._console.line(f"container {name} would be deployed from it")
        came = _came_from(paths, kept)
        report = self._deployment.apply(
            [c for c in containers if c.name not in waiting],
            networks=loaded.networks,
            volumes=loaded.volumes,
            pods=loaded.pods,
            prune=lambda c: c.name not in waiting and came(c),
            dry_run=True,
        )
        self._tell(report, "would be ")
        return 0

    def _tell(self, report: Report, mood: str = "") -> None:
        for what, done in report.resources:
            self._console.line(f"{what}: {mood}{done}")
        doing = dict.fromkeys(report.created, f"{mood}created")
        doing |= dict.fromkeys(report.changed, f"{mood}changed")
        doing |= dict.fromkeys(report.removed, f"{mood}removed")
        # A container whose pod changed is restarted as it was.
        changed = frozenset(report.changed)
        doing |= {n: f"{mood}changed and restarted" if n in changed else f"{mood}restarted" for n in report.restarted}
        for name in sorted(doing):
            self._console.line(f"{name}: {doing[name]}")
        if report.unchanged:
            self._console.line(f"{_count(len(report.unchanged), 'container')} unchanged")
        if not doing and not report.unchanged and not report.resources:
            self._console.line("nothing to do: no definitions")

    def _explain(self, failed: tuple[tuple[str, str], ...]) -> int:
        from supervisor.cli.failure import explain

        for name, result in failed:
            failure = explain(self._manager, name, "restart", result)
            self._console.error(f"{name}: deployed, but its restart failed: {failure.reason}")
            for line in failure.lines:
                self._console.note(f"  {line}")
        return _FAILED if failed else 0


def absolute(paths: Sequence[str], console: Console) -> tuple[str, ...]:
    """The definitions that are meant: *paths*, or all that this host has."""
    return tuple(os.path.abspath(path) for path in paths) or (console.layout.definitions,)


def load_definitions(paths: Sequence[str], console: Console) -> tuple[Loaded, tuple[Problem, ...]]:
    """What is valid at *paths*, with warnings printed, and what is not; ctr.conf is looked at as well."""
    loaded = load(paths, read_path, _context(console, paths))
    for warning in loaded.warnings:
        console.warn(str(warning))
    problems: tuple[Problem, ...] = loaded.problems
    try:
        read_settings(console.layout)
    except DefinitionError as error:
        problems += error.problems
    return loaded, problems


def _context(console: Console, paths: Sequence[str]) -> Context:
    """What definitions at *paths* may refer to beside each other: what is deployed already from elsewhere, as far as
    the caller may see it. What came from *paths* and is there no more is about to be removed."""
    known: list[Container | Network | Volume | Pod] = []
    pods: dict[str, Pod] = {}
    going = _came_from(paths)
    try:
        known += [deployed.container for deployed in state.read_all(console.layout)]
        known += [record.definition for record in records.networks(console.layout).read_all().values()]
        known += [record.volume for record in records.volumes(console.layout).read_all().values()]
        deployed_pods = [deployed.pod for deployed in state.read_pods(console.layout)]
        pods = {os.path.basename(pod.source): pod for pod in deployed_pods if not going(pod)}
        known += deployed_pods
    except (OSError, CtrError):
        pass
    names = {
        os.path.basename(one.source): one.name
        for one in known
        if not going(one) and not templates.is_template(one.source)
    }
    version = program_version(("systemctl", "--version")) or "0"
    return Context(
        names=names,
        pods=pods,
        references=known_references([one for one in known if isinstance(one, Container)], paths),
        selinux=security.has_selinux(console.layout),
        apparmor=security.has_apparmor(console.layout),
        systemd=int(version.partition(".")[0]),
        host=host_specifiers.read(),
    )


def read_path(path: str) -> bytes | tuple[str, ...]:
    """What is at *path*, for `supervisor.definitions.load`: a file's bytes, a directory's names. Raises OSError."""
    # Not to wait for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            return tuple(os.listdir(descriptor))
        # A link to /dev/null masks a file.
        if not stat.S_ISREG(status.st_mode) and status.st_rdev != os.makedev(1, 3):
            raise OSError(errno.EINVAL, "neither a file nor a directory", path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _came_from(paths: Sequence[str], kept: frozenset[str] = frozenset()) -> Prune:
    """Whether a deployed container's (network's) definition would be among *paths* if it still existed, and neither is
    one of *kept* nor lies below one: nobody knows what is in a directory that cannot be read."""

    def came(deployed: Defined) -> bool:
        source = deployed.source
        return any(_lies_in(source, path) for path in paths) and not any(_lies_in(source, path) for path in kept)

    return came


def _lies_in(file: str, path: str) -> bool:
    return file == path or file.startswith(f"{path.rstrip('/')}/")


def unused(loaded: Loaded) -> frozenset[str]:
    """What was read, or could not be, and is the source of nothing that is valid."""
    kinds = (loaded.containers, loaded.networks, loaded.volumes, loaded.pods, loaded.images, loaded.builds)
    return frozenset(loaded.sources) - {thing.source for things in kinds for thing in things}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
