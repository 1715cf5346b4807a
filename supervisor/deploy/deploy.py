"""The only writer: brings /var/lib/ctr/containers and systemd's unit directory to what was rendered.

Everything is rendered before anything is written, so an invalid definition changes nothing. The order of effects is
chosen so that a SIGKILL between any two leaves each container with its old or its new version, and the next `apply`
completes it:

1. all new versions are written beside the old ones (``NAME/v.DIGEST``, or the whole ``.NAME.new``) and flushed to disk:
   a full disk is noticed here, when nothing was changed yet;
2. containers that go are stopped, while their units still have their own stop settings;
3. per container: links that go are removed, then the version is switched by one rename, then the drop-in, then new
   links. A container that goes loses its links, its drop-in and, last, its directory (renamed to ``.NAME.gone``). So a
   link or a drop-in never exists without the record that knows it;
4. one daemon-reload, if systemd has a unit in memory whose files changed;
5. what nobody needs any more is erased, and running containers that changed are restarted.

Until 4 is done every failure is undone, in reverse; every error on the way is reported. A container that fails to come
up with its new definition stays deployed: that is for its unit to say and its author to correct.

Between the switch and the drop-in a unit may start with a new plan and an old drop-in: it would stop with the old
signal and timeout, and one that became (or ceased to be) a oneshot would fail to start. Until 4, that is systemd's own
view in any case.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from supervisor.deploy import host, state
from supervisor.deploy.settings import read as read_settings
from supervisor.deploy.shelf import Shelf
from supervisor.deploy.write import Changes, Disk
from supervisor.errors import ConflictError, CtrError, DefinitionError, HostError, NotFoundError, Problem, UserError
from supervisor.names import check_name, service_unit
from supervisor.paths import Layout
from supervisor.render.tree import Link, Tree, tree
from supervisor.spec.container import Container
from supervisor.spec.image import Image, Layer
from supervisor.spec.volumes import anonymous_volumes
from supervisor.systemd.manager import Job, UnitStatus

_RUNNING = ("active", "activating", "reloading", "refreshing", "deactivating")


class Systemd(Protocol):
    """What deploy asks of `supervisor.systemd.manager.Manager`."""

    def units(self, *patterns: str) -> tuple[UnitStatus, ...]: ...
    def enqueue(self, verb: str, unit: str, mode: str = "replace") -> Job: ...
    def wait(self, jobs: Iterable[Job], timeout: float | None = None) -> dict[str, str]: ...
    def daemon_reload(self) -> None: ...
    def reset_failed(self, unit: str) -> None: ...


class Images(Protocol):
    """What deploy asks of `supervisor.images.store.Store`."""

    def find(self, reference: str, /) -> Image: ...
    def layers(self, image: Image, /) -> tuple[Layer, ...]: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply did, container names sorted."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Containers whose restart did not succeed, with the job's result ('failed', 'timeout' …)."""
    leftovers: tuple[str, ...] = ()
    """What could not be erased afterwards, in words; the next apply tries again."""


class Deployment:
    """Deployed containers of one host."""

    def __init__(self, layout: Layout, store: Images, manager: Systemd, disk: Disk | None = None) -> None:
        self._layout = layout
        self._store = store
        self._manager = manager
        self._disk = disk or Disk()
        self._shelf = Shelf(layout, self._disk)

    # reading

    def deployed(self) -> tuple[Container, ...]:
        """Every deployed container, sorted by name. Raises `UserError` for a damaged record."""
        return tuple(d.container for d in state.read_all(self._layout))

    def get(self, name: str) -> Container:
        """One deployed container. Raises `NotFoundError`."""
        return state.read(self._layout, name).container

    def users_of(self, image_id: str) -> tuple[str, ...]:
        """Names of the containers deployed from the image with this id."""
        return tuple(d.container.name for d in state.read_all(self._layout) if d.image == image_id)

    def missing_images(self, containers: Iterable[Container]) -> tuple[str, ...]:
        """References among *containers* that the store does not have, each once."""
        missing = []
        for reference in dict.fromkeys(c.image for c in containers if c.image is not None):
            try:
                self._store.find(reference)
            except NotFoundError:
                missing.append(reference)
        return tuple(missing)

    # writing

    def apply(
        self,
        containers: Iterable[Container],
        *,
        prune: Callable[[Container], bool],
        replace: bool = True,
        dry_run: bool = False,
    ) -> Report:
        """Deploy *containers*; remove those deployed earlier for which *prune* is true. Starts none.

        Without *replace* a name that is taken is an error (``ctrctl run``). *dry_run* only reports what would be done.
        Raises `DefinitionError` with every problem (nothing was changed) and `HostError` (everything was undone, or
        the message says what was not).
        """
        wanted = tuple(sorted(containers, key=lambda c: c.name))
        with self._locked(), _host_errors():
            present = {d.container.name: d for d in state.read_all(self._layout)}
            names = {c.name for c in wanted}
            gone = tuple(d for d in present.values() if d.container.name not in names and prune(d.container))
            problems = [*_twice(wanted), *_taken(wanted, present, prune, replace)]
            trees = self._render(wanted, problems)
            if problems:
                raise DefinitionError(tuple(problems))
            differences = [state.difference(self._layout, t) for t in trees]
            affected = [d.tree.name for d in differences if d.effective and not d.is_new]
            leftovers: tuple[str, ...] = ()
            jobs: list[Job] = []
            if not dry_run:
                leftovers = self._write([d for d in differences if d.anything], gone)
            # Only now: one that was started while we wrote may run the old version.
            running = self._running(affected)
            restart = [name for name in affected if name in running]
            if not dry_run:
                jobs = [self._manager.enqueue("try-restart", service_unit(n)) for n in restart]
        # Waiting takes as long as the slowest container; others may deploy meanwhile.
        results = self._manager.wait(jobs) if jobs else {}
        failed = tuple((n, r) for n in restart if (r := results.get(service_unit(n), "done")) != "done")
        return Report(
            created=tuple(d.tree.name for d in differences if d.is_new),
            changed=tuple(d.tree.name for d in differences if d.anything and not d.is_new),
            unchanged=tuple(d.tree.name for d in differences if not d.anything),
            removed=tuple(d.container.name for d in gone),
            restarted=tuple(n for n in restart if n not in dict(failed)),
            failed=failed,
            leftovers=leftovers,
        )

    def remove_ended(self, name: str) -> None:
        """Remove container *name* with its volumes if it was to be removed at its end, and has ended; else do nothing.

        It may run again by now, be removed already, or be another one of the same name.
        """
        try:
            if self.get(name).remove:
                self.remove(name, volumes=True)
        except (NotFoundError, ConflictError):
            return

    def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove container *name* with its writable layer; with *volumes* also those that nobody named or shares.

        Raises `NotFoundError`, `ConflictError` when it runs and *force* is not given, `HostError` when it does not
        stop or the file system refuses.
        """
        directory = self._layout.container(check_name(name))
        with self._locked(), _host_errors():
            if not os.path.lexists(directory):
                raise NotFoundError(f"container {name}: not deployed; 'ctrctl ps -a' lists those that are")
            if not force and self._running((name,)):
                raise ConflictError(f"container {name}: is running; stop it first or use --force")
            try:
                record = state.read(self._layout, name)
                links = record.links
            except UserError:
                links = ()  # a damaged record: remove what can be found without it
            try:
                spare = self._only_used_by(self.get(name)) if volumes else ()
            except UserError:
                spare = ()  # some record is damaged: keep what may be in use
            units = _link_units(links)
            changes = Changes(self._disk)
            with _undone_on_failure(changes):
                self._stop((name,), changes)
                changes.also_undo(lambda: self._reload(units))
                self._shelf.retire(name, links, changes)
                self._reload(units)
            self._erase(name)
            for volume in spare:
                self._disk.erase(f"{self._layout.volumes}/{volume}")

    # steps

    def _render(self, containers: tuple[Container, ...], problems: list[Problem]) -> list[Tree]:
        """The trees of *containers*; what cannot be rendered is added to *problems*."""
        if not containers:
            return []
        facts = host.gather(self._layout, containers, read_settings(self._layout))
        trees = []
        for container in containers:
            try:
                if container.rootfs is not None:
                    accounts = host.rootfs_accounts(container.rootfs)
                    trees.append(tree(container, None, (), facts, self._layout, accounts))
                else:
                    image = self._store.find(container.image or "")
                    trees.append(tree(container, image, self._store.layers(image), facts, self._layout))
            except UserError as error:
                prefix = f"{container.name}: "
                problems.append(Problem(container.source, 0, "", prefix + str(error).removeprefix(prefix)))
        return trees

    def _write(self, differences: list[state.Difference], gone: tuple[state.Deployed, ...]) -> tuple[str, ...]:
        """Everything but the restarts; what could not be erased at the end, in words."""
        self._shelf.sweep()
        if not differences and not gone:
            return ()
        units = {service_unit(d.tree.name) for d in differences if d.dropin}
        units |= _link_units(link for d in differences for link in (*d.obsolete_links, *d.new_links))
        units |= _link_units(link for d in gone for link in d.links)
        changes = Changes(self._disk)
        with _undone_on_failure(changes):
            # A setuid program in a container's layer must be out of reach of the host's users.
            changes.make_directories(self._layout.containers, 0o700)
            for difference in differences:
                self._shelf.prepare(difference, changes)
            self._shelf.flush()
            self._stop(tuple(d.container.name for d in gone), changes)
            # Comes after the files in `undo`, and before what was stopped is started again.
            changes.also_undo(lambda: self._reload(units))
            for difference in differences:
                self._shelf.publish(difference, changes)
            for deployed in gone:
                self._shelf.retire(deployed.container.name, deployed.links, changes)
            self._shelf.flush()
            self._reload(units)
        return self._clear(differences, gone)

    def _clear(self, differences: list[state.Difference], gone: tuple[state.Deployed, ...]) -> tuple[str, ...]:
        leftovers = []
        steps = [(self._erase, d.container.name) for d in gone]
        steps += [(self._shelf.drop_old_versions, d.tree.name) for d in differences]
        for step, name in steps:
            try:
                step(name)
            except (OSError, CtrError) as error:
                leftovers.append(f"container {name}: deployed, but not everything old is erased: {_words(error)}")
        return tuple(leftovers)

    def _erase(self, name: str) -> None:
        self._shelf.erase(name)
        self._manager.reset_failed(service_unit(name))

    def _stop(self, names: tuple[str, ...], changes: Changes) -> None:
        """Stop those of *names* that run. Raises `HostError` for one that does not stop."""
        running = self._running(names)
        units = [service_unit(n) for n in names if n in running]
        if not units:
            return
        changes.also_undo(lambda: self._start_again(units))
        results = self._manager.wait([self._manager.enqueue("stop", unit) for unit in units])
        stuck = [
            f"{unit}: its stop job ended as '{results.get(unit)}'" for unit in units if results.get(unit) != "done"
        ]
        if stuck:
            raise HostError("; ".join(stuck) + "; see 'systemctl status'")

    def _start_again(self, units: list[str]) -> None:
        for unit in units:
            self._manager.enqueue("start", unit)

    def _reload(self, units: set[str]) -> None:
        """Have systemd read its files again if it holds one of *units* in memory; others it reads when first needed."""
        if units and self._manager.units(*sorted(units)):
            self._manager.daemon_reload()

    def _only_used_by(self, container: Container) -> tuple[str, ...]:
        others = (c for c in self.deployed() if c.name != container.name)
        return tuple(sorted(anonymous_volumes(container) - {m.source for c in others for m in c.mounts}))

    def _running(self, names: Iterable[str]) -> frozenset[str]:
        units = {service_unit(name): name for name in names}
        statuses = self._manager.units(*units) if units else ()
        return frozenset(units[s.name] for s in statuses if s.name in units and s.active in _RUNNING)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time; a second one waits."""
        os.makedirs(self._layout.runtime, 0o755, exist_ok=True)
        # Not readable by others: whoever can open it can hold the lock.
        lock = os.open(f"{self._layout.runtime}/deploy.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@contextmanager
def _undone_on_failure(changes: Changes) -> Iterator[None]:
    """Whatever goes wrong inside, an interrupt included, takes *changes* back; errors of that are reported too."""
    try:
        yield
    except BaseException as error:
        if problems := changes.undo():
            raise HostError("\n".join((_words(error), *problems))) from error
        raise


@contextmanager
def _host_errors() -> Iterator[None]:
    """The file system's refusals as `HostError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; nothing was changed; free some space and try again" if full else ""
        raise HostError(_words(error) + advice) from error


def _words(error: BaseException) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return f"{error.filename or 'file system'}: {(error.strerror or str(error)).lower()}"


def _link_units(links: Iterable[Link]) -> set[str]:
    """Units that systemd sees differently through *links*: who wants the container, or with Alias= the container."""
    units = set()
    for link in links:
        directory, name = os.path.split(link.path)
        unit, dot, kind = os.path.basename(directory).rpartition(".")
        is_alias = not dot or kind not in ("wants", "requires", "upholds")
        units.add(f"ctr@{name.partition('@')[2]}" if is_alias else unit)
    return units


def _twice(containers: tuple[Container, ...]) -> Iterator[Problem]:
    for first, second in pairwise(containers):
        if first.name == second.name:
            text = f"container '{first.name}' is also defined in {first.source}; rename one of them"
            yield Problem(second.source, 0, "", text)


def _taken(
    containers: tuple[Container, ...],
    present: dict[str, state.Deployed],
    prune: Callable[[Container], bool],
    replace: bool,
) -> Iterator[Problem]:
    """Names that belong to another source. One that `apply` would prune may be taken over: its definition moved."""
    for container in containers:
        old = present.get(container.name)
        if old is None or (replace and (old.container.source == container.source or prune(old.container))):
            continue
        text = f"container '{container.name}' is deployed from {old.container.source} already"
        advice = f"remove it with 'ctrctl rm {container.name}', or choose another name"
        yield Problem(container.source, 0, "", f"{text}; {advice}")
