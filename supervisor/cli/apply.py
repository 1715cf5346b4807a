"""``ctrctl apply`` and ``ctrctl check``: definitions in, deployed containers or a list of mistakes out.

Owns which definitions are meant, when an image is fetched for them, and what is said about the outcome. Compiling is
`supervisor.definitions`' work, writing `supervisor.deploy`'s.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from supervisor.cli.console import Console
from supervisor.cli.version import program_version
from supervisor.definitions.context import Context
from supervisor.definitions.load import Loaded, load
from supervisor.deploy import records, state
from supervisor.deploy.conflicts import Prune
from supervisor.deploy.deploy import Deployment, Report
from supervisor.deploy.settings import read as read_settings
from supervisor.errors import CtrError, DefinitionError, Problem
from supervisor.images.store import Store
from supervisor.names import service_unit
from supervisor.spec.container import Container, PullPolicy
from supervisor.spec.network import Network
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager

_FAILED = 125

EXAMPLES = {
    "apply": (
        "ctrctl apply                        everything in /etc/ctr",
        "ctrctl apply /etc/ctr/web.container one definition; the others stay as they are",
        "ctrctl apply --dry-run              only say what would change",
    ),
    "check": ("ctrctl check", "ctrctl check ./web.container"),
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "paths", nargs="*", metavar="FILE", help="definitions, or directories of them (default: /etc/ctr)"
    )
    if verb == "apply":
        parser.add_argument("--no-pull", action="store_true", help="fetch no image, use what is there")
        parser.add_argument("--dry-run", action="store_true", help="fetch and change nothing, say what would be done")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Returns 0, or 125 when a changed container did not come up. Raises `DefinitionError` with every mistake."""
    paths = tuple(os.path.abspath(path) for path in args.paths) or (console.layout.definitions,)
    loaded = _load(paths, console)
    if verb == "check":
        found = (*loaded.containers, *loaded.networks, *loaded.volumes)
        console.line(f"{_count(len(found), 'definition')} valid")
        return 0
    console.need_root("apply")
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)
        return Application(deployment, manager, console).apply(loaded, paths, args)


class Application:
    """One ``ctrctl apply``: fetch, deploy, tell."""

    def __init__(self, deployment: Deployment, manager: Manager, console: Console) -> None:
        self._deployment = deployment
        self._manager = manager
        self._console = console

    def apply(self, loaded: Loaded, paths: Sequence[str], args: argparse.Namespace) -> int:
        """Do it; the exit code."""
        if args.dry_run:
            return self._dry_run(loaded, paths)
        if not args.no_pull:
            self._fetch(loaded.containers)
        report = self._deployment.apply(
            loaded.containers, networks=loaded.networks, volumes=loaded.volumes, prune=_came_from(paths)
        )
        self._tell(report)
        for text in report.leftovers:
            self._console.warn(text)
        if report.created:
            units = " ".join(service_unit(name).removesuffix(".service") for name in report.created)
            self._console.line(f"\nnext: systemctl start {units}")
        return self._explain(report.failed)

    def _dry_run(self, loaded: Loaded, paths: Sequence[str]) -> int:
        containers = loaded.containers
        missing = frozenset(self._deployment.missing_images(containers))
        for reference in sorted(missing):
            self._console.line(f"image {reference} would be fetched")
        # Without its image a container cannot be rendered, so all that can be said of it is its name.
        waiting = {c.name for c in containers if c.image in missing}
        for name in sorted(waiting):
            self._console.line(f"container {name} would be deployed from it")
        came = _came_from(paths)
        report = self._deployment.apply(
            [c for c in containers if c.name not in waiting],
            networks=loaded.networks,
            volumes=loaded.volumes,
            prune=lambda c: c.name not in waiting and came(c),
            dry_run=True,
        )
        self._tell(report, "would be ")
        return 0

    def _fetch(self, containers: tuple[Container, ...]) -> None:
        """Fetch what the containers' pull policies want, each image once. Raises the first failure after trying all."""
        missing = frozenset(self._deployment.missing_images(containers))
        failures: list[CtrError] = []
        for reference, policy in wanted_images(containers, missing):
            from supervisor.images.request import PullOptions, request_pull

            try:
                request_pull(reference, self._manager, self._console.layout, PullOptions(), self._console.note)
            except CtrError as error:
                if policy is PullPolicy.NEWER and reference not in missing:
                    self._console.warn(f"{error}; using the image that is there")
                else:
                    failures.append(error)
        for failure in failures[1:]:
            self._console.error(str(failure))
        if failures:
            raise failures[0]

    def _tell(self, report: Report, mood: str = "") -> None:
        for what, done in report.resources:
            self._console.line(f"{what}: {mood}{done}")
        doing = dict.fromkeys(report.created, f"{mood}created")
        doing |= dict.fromkeys(report.changed, f"{mood}changed")
        doing |= dict.fromkeys(report.removed, f"{mood}removed")
        doing |= dict.fromkeys(report.restarted, f"{mood}changed and restarted")
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


def wanted_images(containers: tuple[Container, ...], missing: frozenset[str]) -> tuple[tuple[str, PullPolicy], ...]:
    """Which images to fetch, each once, with the strictest policy that asked for it (podman-run(1) ``--pull``)."""
    wanted: dict[str, PullPolicy] = {}
    for container in containers:
        reference, policy = container.image, container.pull
        if reference is None or policy is PullPolicy.NEVER or wanted.get(reference) is PullPolicy.ALWAYS:
            continue
        if reference in missing or policy in (PullPolicy.ALWAYS, PullPolicy.NEWER):
            wanted[reference] = policy
    return tuple(sorted(wanted.items()))


def _load(paths: Sequence[str], console: Console) -> Loaded:
    """The definitions at *paths*, warnings printed. Raises `DefinitionError` with every problem."""
    loaded = load(paths, read_path, _context(console, paths))
    for warning in loaded.warnings:
        console.warn(str(warning))
    problems: tuple[Problem, ...] = loaded.problems
    try:
        read_settings(console.layout)
    except DefinitionError as error:
        problems += error.problems
    if problems:
        raise DefinitionError(problems)
    return loaded


def _context(console: Console, paths: Sequence[str]) -> Context:
    """What definitions at *paths* may refer to beside each other: what is deployed already from elsewhere, as far as
    the caller may see it. What came from *paths* and is there no more is about to be removed."""
    known: list[Container | Network | Volume] = []
    try:
        known += [deployed.container for deployed in state.read_all(console.layout)]
        known += [record.definition for record in records.networks(console.layout).read_all().values()]
        known += [record.volume for record in records.volumes(console.layout).read_all().values()]
    except (OSError, CtrError):
        pass
    going = _came_from(paths)
    names = {os.path.basename(one.source): one.name for one in known if not going(one)}
    version = program_version(("systemctl", "--version")) or "0"
    return Context(
        names=names, selinux=os.path.exists("/sys/fs/selinux/enforce"), systemd=int(version.partition(".")[0])
    )


def read_path(path: str) -> bytes | tuple[str, ...]:
    """What is at *path*, for `supervisor.definitions.load`: a file's bytes, a directory's names. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except IsADirectoryError:
        return tuple(os.listdir(path))


def _came_from(paths: Sequence[str]) -> Prune:
    """Whether a deployed container's (network's) definition would be among *paths* if it still existed."""
    return lambda deployed: any(deployed.source == p or deployed.source.startswith(f"{p}/") for p in paths)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
