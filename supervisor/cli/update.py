"""``ctrctl update``: change the limits of containers while they run, and their restart policy.

Owns the order of the steps: understand the words, check that the change can be deployed, change the running scope,
store the change. What ``ctrctl run`` made is changed for good; a definition is its author's to change, so there the
change lasts until the container's next start, and the answer says what to write. The options are `run_limits`'.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

from supervisor.cli import restart_policy, run_limits
from supervisor.cli.console import Console
from supervisor.cli.containers import check_deployed
from supervisor.definitions import resources
from supervisor.deploy import state
from supervisor.deploy.deploy import Deployment
from supervisor.errors import DefinitionError, HostError, NotFoundError, UserError
from supervisor.images.store import Store
from supervisor.names import scope_unit
from supervisor.spec.container import Container, Entry, ScopeProperty, UnitSections
from supervisor.spec.image import Image, Layer
from supervisor.systemd.manager import Manager
from supervisor.systemd.scope import typed

EXAMPLES = {
    "update": (
        "ctrctl update -m 512m --cpus 1.5 web          at once, and from now on",
        "ctrctl update --pids-limit -1 web             no limit any more",
        "ctrctl update --device-write-bps /dev/vda:20m db",
        "ctrctl update --restart on-failure:3 job",
    )
}

#: Keys of `restart_policy`.
_RESTART = ("Restart", "RestartSec", "StartLimitIntervalSec", "StartLimitBurst")
_BOOT = Entry("WantedBy", "multi-user.target")

#: Name of a property to the key of [Service] that sets it.
_KEYS = {key.property: name for name, key in resources.KEYS.items()}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``update``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a container's name")
    run_limits.configure_live(parser)
    parser.add_argument("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Change each container and print its name."""
    console.need_root(verb)
    names = tuple(dict.fromkeys(args.names))
    check_deployed(names, console.layout)
    with Manager.open() as manager:
        running = _running(manager, names)
        # Everything that may be wrong with the words is found before the first container is changed.
        changes = [_Change(name, args, manager, console, runs=name in running) for name in names]
        for change in changes:
            change.make()
            console.line(change.name)
    return 0


def _running(manager: Manager, names: Iterable[str]) -> frozenset[str]:
    units = {scope_unit(name): name for name in names}
    return frozenset(units[unit.name] for unit in manager.units(*units) if unit.active == "active")


class _Change:
    """What *args* make of the container *name*; *runs*: whether its scope is there."""

    def __init__(self, name: str, args: argparse.Namespace, manager: Manager, console: Console, *, runs: bool) -> None:
        deployed = state.read(console.layout, name)
        self.name = name
        self._container = deployed.container
        self._manager = manager
        self._console = console
        self._runs = runs
        self._deployment = Deployment(console.layout, _AsDeployed(Store(console.layout), deployed.image), manager)
        self._limits = run_limits.properties(args, self._in_force() if runs else self._container.scope_properties)
        if not self._limits and args.restart is None:
            raise UserError("nothing to change; name a limit or --restart, see 'ctrctl update --help'")
        if self._is_defined:
            self._check_defined(args)
        self._new = changed(self._container, self._limits, args.restart)
        self._deploy(dry_run=True)

    @property
    def _is_defined(self) -> bool:
        return self._container.source.startswith("/")

    def _in_force(self) -> tuple[ScopeProperty, ...]:
        """The memory limits that systemd applies now; others are replaced without looking."""
        names = ("MemoryMax", "MemorySwapMax")
        found = self._manager.properties(scope_unit(self.name), "Scope", *names)
        return tuple(ScopeProperty(name, "t", str(found[name])) for name in names)

    def _check_defined(self, args: argparse.Namespace) -> None:
        source = self._container.source
        if args.restart is not None:
            raise UserError(f"{self.name}: --restart: comes from {source}; write Restart= there, then 'ctrctl apply'")
        if not self._runs:
            raise UserError(f"{self.name}: does not run; write {_keys(self._limits)} in [Service] of {source} instead")

    def make(self) -> None:
        """Change the scope, then what is stored. Raises `HostError`: with systemd's words, and nothing is changed; or
        when storing failed."""
        if self._runs and self._limits:
            lines = tuple(line for limit in self._limits for line in limit.lines())
            self._manager.set_properties(scope_unit(self.name), typed(lines))
        if self._is_defined:
            self._console.warn(
                f"{self.name}: changed until its next restart; "
                f"write {_keys(self._limits)} in [Service] of {self._container.source} to keep it"
            )
            return
        try:
            self._deploy(dry_run=False)
        except HostError as error:
            raise HostError(f"{error}; the limits are changed until the next restart of {self.name}") from error

    def _deploy(self, *, dry_run: bool) -> None:
        try:
            self._deployment.apply((self._new,), prune=lambda _: False, restart=False, dry_run=dry_run)
        except DefinitionError as error:
            # A definition's problems have a file and a line; here the command line is all there is.
            raise UserError("\n".join(problem.message for problem in error.problems)) from error


class _AsDeployed:
    """The image store, in which the container's reference still means the image it was deployed from: a tag may have
    moved since, and a new limit is no reason for a new image."""

    def __init__(self, store: Store, image: str) -> None:
        self._store = store
        self._image = image

    def find(self, reference: str, /) -> Image:
        try:
            return self._store.find(self._image)
        except NotFoundError:
            return self._store.find(reference)

    def layers(self, image: Image, /) -> tuple[Layer, ...]:
        return self._store.layers(image)


def changed(container: Container, limits: tuple[ScopeProperty, ...], restart: str | None) -> Container:
    """*container* with *limits* put over its own, and the restart policy *restart*, None for its own. Pure."""
    properties = {limit.name: limit for limit in container.scope_properties}
    for limit in limits:
        # systemd has a share of the host's memory, say, and an amount of it as two properties.
        properties.pop(f"{limit.name}Scale", None)
        properties[limit.name] = resources.added(properties.get(limit.name), limit)
    container = replace(container, scope_properties=tuple(properties.values()))
    if restart is None:
        return container
    policy = restart_policy.sections(restart)
    if container.remove and policy.service:
        raise UserError(f"{container.name}: --restart {restart}: it is removed once it has stopped (--rm)")
    old = container.unit
    return replace(
        container,
        unit=UnitSections(
            (*(entry for entry in old.unit if entry.key not in _RESTART), *policy.unit),
            (*(entry for entry in old.service if entry.key not in _RESTART), *policy.service),
            (*(entry for entry in old.install if entry != _BOOT), *policy.install),
        ),
    )


def _keys(limits: tuple[ScopeProperty, ...]) -> str:
    """'MemoryMax= and CPUQuota=': what in a definition would set *limits*."""
    return " and ".join(dict.fromkeys(f"{_KEYS[limit.name]}=" for limit in limits))
