"""What ``ctrctl apply`` does about images before it deploys: fetch and build what policies and changes ask for.

Owns when and in which order. How an image is fetched is `supervisor.images.request`'s business, how it is built
`supervisor.images.building`'s; neither ever happens when a container starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from supervisor.cli.console import Console
from supervisor.cli.image import users
from supervisor.definitions.asking import placed
from supervisor.definitions.load import Loaded
from supervisor.deploy.conflicts import Prune
from supervisor.errors import CtrError, NotFoundError, Problem, UserError
from supervisor.images import building, containerfile, fetched, fingerprint
from supervisor.images.manifest import host_architecture
from supervisor.images.reference import candidates, normalize
from supervisor.images.request import PullOptions, request_pull
from supervisor.images.store import Store
from supervisor.spec.container import Container, PullPolicy
from supervisor.spec.image import Image
from supervisor.spec.sourcing import Build, Fetch, ImageSource
from supervisor.systemd.manager import Manager

#: Policies for which what is here is good enough.
_CONTENT = (PullPolicy.MISSING, PullPolicy.NEVER)
_STRICTNESS = (PullPolicy.NEVER, PullPolicy.MISSING, PullPolicy.NEWER, PullPolicy.ALWAYS)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One image to fetch."""

    reference: str
    """What containers run."""
    policy: PullPolicy
    fetch: Fetch
    source: str = ""
    """What is fetched, if it is called otherwise."""


class Fetching:
    """The images of one ``ctrctl apply``."""

    def __init__(self, loaded: Loaded, manager: Manager, console: Console) -> None:
        self._loaded = loaded
        self._manager = manager
        self._console = console
        self._store = Store(console.layout)
        self._built = frozenset(normalize(tag) for build in loaded.builds for tag in build.tags)

    def plan(self) -> Iterator[str]:
        """What `run` would do, one line each."""
        missing = self._missing()
        for transfer in self._transfers(missing):
            if transfer.reference in missing:
                yield f"image {transfer.reference} would be fetched"
        for build in ordered(self._loaded.builds):
            if why := self._reason(build, self._present(build)):
                yield f"image {build.tags[0]} would be built: {why}"

    def run(self) -> None:
        """Fetch, then build. Raises the first failure after trying all."""
        failures = [*self._fetch(), *self._build()]
        for failure in failures[1:]:
            self._console.error(str(failure))
        if failures:
            raise failures[0]

    def sweep(self, came: Prune) -> None:
        """Remove what was built before, and what builders keep for definitions that *came* from where these did and are
        there no more."""
        here = {build.source for build in self._loaded.builds}
        building.sweep(
            self._console.layout,
            lambda record: record.source not in here and came(record),
            lambda image: users(self._console, image),
        )

    def build(self, build: Build) -> Image:
        """Build, whether anything changed or not. Raises as `building.request_build`."""
        return self._do(build, self._bases(build))

    def _fetch(self) -> Iterator[CtrError]:
        missing = self._missing()
        yield from self._orphans(missing)
        for transfer in self._transfers(missing):
            try:
                self._transfer(transfer)
            except CtrError as error:
                if transfer.policy is PullPolicy.NEWER and transfer.reference not in missing:
                    self._console.warn(f"{error}; using the image that is there")
                else:
                    yield self._asked(transfer, error)

    def _asked(self, transfer: Transfer, error: CtrError) -> CtrError:
        """*error*, which says in the first place where *transfer* is asked for."""
        loaded, name = self._loaded, transfer.reference
        asking = [one.source for one in loaded.images if _runs(one) == name]
        asking += [one.source for one in loaded.containers if one.image == name]
        asking += [one.source for one in loaded.volumes if one.image == name]
        if not asking:
            return error
        problem = Problem(asking[0], 0, "", str(error), ("Image ImageTag", name, transfer.source))
        told = type(error)(str(placed((problem,), loaded)[0]))
        told.__cause__ = error
        return told

    def _build(self) -> Iterator[CtrError]:
        for build in ordered(self._loaded.builds):
            try:
                if build.pull in _CONTENT and not self._reason(build, self._present(build)):
                    continue  # what it started from may be gone, and its registry away
                bases = self._bases(build)
                if why := self._reason(build, bases):
                    self._console.note(f"{build.tags[0]}: {why}; building it")
                    self._do(build, bases)
            except CtrError as error:
                yield error

    def _do(self, build: Build, bases: building.Bases) -> Image:
        layout = self._console.layout
        return building.request_build(
            build, fingerprint.fingerprint(build), bases, self._manager, layout, self._console.note
        )

    def _reason(self, build: Build, bases: building.Bases) -> str:
        return building.reason(build, fingerprint.fingerprint(build), bases, self._console.layout)

    def _transfer(self, transfer: Transfer) -> Image:
        name, source = transfer.reference, transfer.source
        names = (normalize(name), *([] if fetched.is_file(source) else [normalize(source)])) if source else ()
        where = source or name
        prefix = "" if fetched.is_file(where) else "docker://"
        fetch = transfer.fetch
        if prefix and normalize(where).startswith("localhost/"):
            # What is called so was made on this host. Nobody's network is away for a moment here.
            fetch = replace(fetch, retries=0)
        options = PullOptions(fetch, names)
        layout = self._console.layout
        facts = fetched.facts(source)  # as it is before: what is written meanwhile is fetched the next time
        image = request_pull(f"{prefix}{where}", self._manager, layout, options, self._console.note)
        if source and source != name:
            fetched.remember(layout, fetched.Fetched(name, source, image.id, facts))
        return image

    def _missing(self) -> frozenset[str]:
        """What is not here. An image that a definition took from elsewhere before is another one."""
        changed = {source.tag for source in self._loaded.images if source.tag and not self._is_from(source)}
        names = {source.reference for source in self._loaded.images if not source.tag}
        names |= {container.image for container in self._loaded.containers if container.image is not None}
        names |= {volume.image for volume in self._loaded.volumes if volume.image}
        return frozenset(changed.union(name for name in names if self._find(name) is None))

    def _is_from(self, source: ImageSource) -> bool:
        image = self._find(source.tag)
        return image is not None and fetched.is_from(self._console.layout, source.tag, source.reference, image)

    def _transfers(self, missing: frozenset[str]) -> tuple[Transfer, ...]:
        return tuple(t for t in transfers(self._loaded, missing) if self._built.isdisjoint(_candidates(t.reference)))

    def _orphans(self, missing: frozenset[str]) -> Iterator[UserError]:
        """Images that nobody can build: their definition is not among what is applied."""
        here = {os.path.basename(build.source) for build in self._loaded.builds}
        for container in self._loaded.containers:
            file = container.fetched_by
            if container.image in missing and file.endswith(".build") and file not in here:
                text = f"{container.image}: is not here, and {file}, which builds it, is not applied"
                problem = Problem(container.source, 0, "", f"{text}; apply both together", ("Image", file))
                yield UserError(str(placed((problem,), self._loaded)[0]))

    def _find(self, name: str) -> Image | None:
        try:
            return self._store.find(name)
        except NotFoundError:
            return None

    def _present(self, build: Build) -> building.Bases:
        """Those images that *build* starts from and that are here."""
        found = ((name, self._find(name)) for name in bases_of(build))
        return tuple((_called(name, image), image.id) for name, image in found if image)

    def _bases(self, build: Build) -> building.Bases:
        """Fetch what *build* starts from, by its own policy, and what it is now. Raises `CtrError`."""
        for name in bases_of(build):
            present = self._find(name)
            built = not self._built.isdisjoint(_candidates(name))
            if build.pull is PullPolicy.NEVER or (present and (built or build.pull is PullPolicy.MISSING)):
                continue
            if present is None and (built or normalize(name).startswith("localhost/")):
                raise UserError(f"{build.source}: {name}, which it starts from, is not here; build or load it first")
            try:
                self._transfer(Transfer(name, build.pull, build.fetch))
            except CtrError as error:
                if present is None or build.pull is not PullPolicy.NEWER:
                    raise
                self._console.warn(f"{error}; using the image that is there")
        return self._present(build)


def transfers(loaded: Loaded, missing: frozenset[str]) -> tuple[Transfer, ...]:
    """What to fetch, each image once, with the strictest policy that asked for it (podman-run(1) ``--pull``)."""
    wanted: dict[str, Transfer] = {}
    for transfer in _asked(loaded):
        first = wanted.setdefault(transfer.reference, transfer)
        if _STRICTNESS.index(transfer.policy) > _STRICTNESS.index(first.policy):
            wanted[transfer.reference] = replace(first, policy=transfer.policy)
    eager = (PullPolicy.ALWAYS, PullPolicy.NEWER)
    return tuple(
        transfer
        for name, transfer in sorted(wanted.items())
        if transfer.policy in eager or (name in missing and transfer.policy is PullPolicy.MISSING)
    )


def _asked(loaded: Loaded) -> Iterator[Transfer]:
    """Who asks for what; the definitions of images first, for they know how to reach the registry."""
    for source in loaded.images:
        yield Transfer(_runs(source), source.pull, source.fetch, source.reference)
    for container in loaded.containers:
        if container.image is not None and not container.fetched_by.endswith(".build"):
            fetch = Fetch(retries=container.pull_retries, retry_delay=container.pull_retry_delay)
            yield Transfer(container.image, container.pull, fetch)
    for volume in loaded.volumes:
        if volume.image:
            yield Transfer(volume.image, PullPolicy.MISSING, Fetch())


def _runs(source: ImageSource) -> str:
    return source.tag or source.reference


def ordered(builds: Sequence[Build]) -> tuple[Build, ...]:
    """*builds*, each after those whose images it starts from."""
    maker = {normalize(tag): build for build in builds for tag in build.tags}
    done: dict[str, Build] = {}
    begun: set[str] = set()

    def visit(build: Build) -> None:
        if build.source in begun:
            return
        begun.add(build.source)
        for name in _readable_bases(build):
            for full in _candidates(name):
                if full in maker:
                    visit(maker[full])
        done[build.source] = build

    for build in builds:
        visit(build)
    return tuple(done.values())


def _readable_bases(build: Build) -> Iterable[str]:
    """As `bases_of`; what cannot be read is told of when it is built."""
    try:
        return bases_of(build)
    except UserError:
        return ()


def bases_of(build: Build) -> tuple[str, ...]:
    """The images *build* starts from, as far as they are taken from our store; the builder fetches others itself, as
    those for another architecture, under whose name the store has an image for this host. Raises `UserError`."""
    architecture = build.fetch.architecture
    if architecture and architecture != host_architecture(os.uname().machine):
        return ()
    found = containerfile.bases(fingerprint.recipe(build), dict(build.arguments), build.target)
    return tuple(name for name in found if _candidates(name))


def known_references(deployed: Iterable[Container], paths: Sequence[str]) -> Mapping[str, str]:
    """What ``Image=x.image`` means to definitions at *paths* if x.image is none of them: what it meant when it was
    deployed."""
    return {
        container.fetched_by: container.image
        for container in deployed
        if container.image is not None
        and container.fetched_by
        and not any(_lies_in(f"{os.path.dirname(container.source)}/{container.fetched_by}", path) for path in paths)
    }


def _lies_in(file: str, path: str) -> bool:
    return file == path or file.startswith(f"{path}/")


def _candidates(name: str) -> tuple[str, ...]:
    try:
        return candidates(name)
    except UserError:
        return ()


def _called(name: str, image: Image) -> str:
    """Which of *image*'s names *name* means."""
    return next((full for full in candidates(name) if full in image.names), normalize(name))
