"""Pull, load and import: from a source to images in the store.

Image workers (`workers`) fetch and expand. All goes through one path whatever the source: resolve the manifest, check
the configuration, receive the layers that are not here in parallel, look at the account files of the whole, and hand
everything to the store, which makes it visible at once. Until then all of it lies in one workspace. Runs in the program
that writes the store: the process must have called `mounts.isolate`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from supervisor.errors import RetryError, UnreachableError, UserError
from supervisor.images import confined, credentials, mounts, workers
from supervisor.images.archives import detect, open_archive
from supervisor.images.channel import Login, Order, What
from supervisor.images.importing import config_of
from supervisor.images.layers import Budget, Kind, Ready, choose_kind, receive
from supervisor.images.manifest import (
    ConfigFile,
    Descriptor,
    Manifest,
    check_platform,
    choose,
    digest_of,
    host_architecture,
    image_record,
    parse_config,
    parse_manifest,
)
from supervisor.images.origin import Offer, Origin
from supervisor.images.reference import Source, Transport, normalize, parse, parse_source
from supervisor.images.store import NewLayer, Store, distinct, layer_at
from supervisor.images.workers import Registry, Workers
from supervisor.paths import Layout
from supervisor.spec.image import Image, Layer
from supervisor.spec.sourcing import Fetch

_MAX_NESTING = 4


@dataclass(frozen=True, slots=True)
class Options:
    """How to fetch."""

    fetch: Fetch = field(default_factory=Fetch)
    names: tuple[str, ...] = ()
    """Names to give instead of the source's own."""


Report = Callable[[str], None]


def pull(
    reference: str, *, layout: Layout, options: Options, environ: Mapping[str, str], report: Report
) -> tuple[Image, ...]:
    """Fetch the image (of a layout or archive: the images) that *reference* names, see `parse_source`; paths are
    absolute.

    *report* gets a line of progress now and then, from any thread. Raises `UserError`, `NotFoundError`, `HostError`.
    """
    return _again(lambda: _pull(parse_source(reference, "/"), layout, options, environ, report), options.fetch, report)


def load(
    path: str, *, layout: Layout, options: Options, environ: Mapping[str, str], report: Report
) -> tuple[Image, ...]:
    """Every image of the archive or OCI layout *path*, which may be compressed. Raises as `pull`."""
    with _session(layout, options, environ, report) as session:
        source = detect(path, session.work, session.budget, session.workers)
        return session.store_archive(source, path)


def import_root(
    path: str,
    changes: Sequence[str],
    created: str,
    *,
    layout: Layout,
    options: Options,
    environ: Mapping[str, str],
    report: Report,
) -> Image:
    """A tar of a root file system, compressed or not, as an image of one layer.

    *changes* are as in docker-import(1) (``CMD ["nginx"]``), *created* is RFC 3339. Raises as `pull`.
    """
    with _session(layout, options, environ, report) as session:
        with _opened(path) as source, session.workers.ask(Order(What.EXPAND), source.fileno()) as content:
            ready = session.receive(content, "", f"{session.work}/layer")
        data = config_of(changes, ready.diff_id, session.architecture, created)
        config = parse_config(data, path)
        return session.finish(Offer(path, (), config=data), config, digest_of(data), {ready.diff_id: ready})


def _opened(path: str) -> io.FileIO:
    try:
        return io.FileIO(confined.open_named(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _again(attempt: Callable[[], tuple[Image, ...]], fetch: Fetch, report: Report) -> tuple[Image, ...]:
    """Try as often as *fetch* says while the registry is not there.

    And once more when a layer that was counted on has been removed by somebody else meanwhile: now it is fetched.
    """
    tried = 0
    while True:
        try:
            return attempt()
        except UnreachableError as error:
            if tried == fetch.retries:
                raise
            pause = fetch.retry_delay or float(2 ** min(tried, 6))
            report(f"{error}; trying again in {pause:g} s")
            time.sleep(pause)
        except RetryError:
            if tried:
                raise
        tried += 1


def _pull(
    source: Source, layout: Layout, options: Options, environ: Mapping[str, str], report: Report
) -> tuple[Image, ...]:
    with _session(layout, options, environ, report) as session:
        if source.transport is not Transport.DOCKER:
            return session.store_archive(source, str(source))
        target = parse(source.reference)
        registry = Registry(session.workers, target, _login(target.registry, options.fetch, environ))
        offer = Offer(source.reference, (source.reference,), registry.manifest())
        return (session.store_offer(registry, offer),)


def _login(registry: str, fetch: Fetch, environ: Mapping[str, str]) -> Login:
    """What the image worker is told, who can read none of it by himself. Raises `UserError`."""
    auth = (
        credentials.of_login(registry, fetch.credentials)
        if fetch.credentials
        else credentials.find(registry, fetch.auth_file, environ)
    )
    return Login(fetch.tls_verify, auth, credentials.certificates(fetch.certificates))


@contextmanager
def _session(layout: Layout, options: Options, environ: Mapping[str, str], report: Report) -> Iterator[_Session]:
    store = Store(layout)
    with closing(Workers(workers.connector(layout))) as hired, ExitStack() as stack:
        hired.call()
        store.sweep()
        work = stack.enter_context(store.workspace())
        os.mkdir(f"{work}/probe")
        kind = choose_kind(environ, f"{layout.runtime}/images/layer-kind", f"{work}/probe")
        architecture = options.fetch.architecture or host_architecture(os.uname().machine)
        names = tuple(normalize(name) for name in options.names)
        yield _Session(store, work, kind, Budget.of(work), hired, architecture, options.fetch.variant, names, report)


@dataclass(frozen=True, slots=True)
class _Session:
    store: Store
    work: str
    kind: Kind
    budget: Budget
    workers: Workers
    architecture: str
    variant: str
    names: tuple[str, ...]
    report: Report

    def store_archive(self, source: Source, what: str) -> tuple[Image, ...]:
        origin, offers = open_archive(source, self.work, self.budget, self.workers)
        if self.names and len(offers) > 1:
            raise UserError(f"{what}: holds {len(offers)} images, which cannot all get the name {self.names[0]}")
        return tuple(self.store_offer(origin, replace(offer, what=what)) for offer in offers)

    def store_offer(self, origin: Origin, offer: Offer) -> Image:
        """From an offer to an image in the store."""
        offer, manifest = self._resolve(origin, offer)
        data = offer.config
        if manifest:
            data = origin.document(manifest.config)
            _check_digest(f"{offer.what}: config", manifest.config.digest, data)
        config = parse_config(data, offer.what)
        check_platform(config, self.architecture, offer.what)
        blobs = manifest.layers if manifest else tuple(Descriptor("", -1) for _ in config.diff_ids)
        if len(blobs) != len(config.diff_ids):
            raise UserError(f"{offer.what}: its manifest has {len(blobs)} layers, its config {len(config.diff_ids)}")
        wanted = dict(zip(config.diff_ids, blobs, strict=True))
        ready = self._receive(origin, wanted)
        return self.finish(replace(offer, config=data), config, digest_of(data), ready)

    def receive(self, content: Iterable[bytes], diff_id: str, target: str) -> Ready:
        """Make the layer whose plain tar is *content* ready in *target*."""
        return receive(content, diff_id, target, self.kind, self.budget)

    def finish(self, offer: Offer, config: ConfigFile, image_id: str, ready: Mapping[str, Ready]) -> Image:
        """Everything is in the workspace: complete the record and make it visible."""
        layers = [self._layer(d, ready) for d in distinct(config.diff_ids)]
        scratch = f"{self.work}/root-{image_id[-12:]}"
        os.mkdir(scratch)
        with mounts.mounted(layers, scratch) as root:
            passwd, group = mounts.read_text(root, "etc/passwd"), mounts.read_text(root, "etc/group")
        manifest_digest = digest_of(offer.manifest) if offer.manifest else ""
        image = image_record(image_id, manifest_digest, config, self._size(config, ready))
        blobs = [(image_id, offer.config), *([(manifest_digest, offer.manifest)] if offer.manifest else [])]
        moved = [NewLayer(r.diff_id, r.path) for r in ready.values()]
        stored = self.store.add(replace(image, passwd=passwd, group=group), self.names or offer.names, moved, blobs)
        self.report(f"{offer.what}: stored as {image_id[7:19]}")
        return stored

    def _resolve(self, origin: Origin, offer: Offer) -> tuple[Offer, Manifest | None]:
        """Through indexes to the manifest for this platform."""
        for _ in range(_MAX_NESTING):
            if not offer.manifest:
                return offer, None
            manifest = parse_manifest(offer.manifest, offer.what)
            if isinstance(manifest, Manifest):
                return offer, manifest
            chosen = choose(manifest, self.architecture, offer.what, self.variant)
            data = origin.document(replace(chosen, media_type=chosen.media_type or "manifest"))
            _check_digest(f"{offer.what}: manifest", chosen.digest, data)
            offer = replace(offer, manifest=data)
        raise UserError(f"{offer.what}: has more than {_MAX_NESTING} indexes inside each other; the image is refused")

    def _receive(self, origin: Origin, wanted: Mapping[str, Descriptor]) -> dict[str, Ready]:
        """The layers that are not in the store yet, largest first so that no core waits long at the end."""
        missing = {d: blob for d, blob in wanted.items() if not self.store.has_layer(d)}
        for diff_id in wanted.keys() - missing.keys():
            self.report(f"layer {diff_id[7:19]}: is here already")
        order = sorted(missing.items(), key=lambda item: -item[1].size)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            futures = [pool.submit(self._receive_one, origin, diff_id, blob) for diff_id, blob in order]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if failed := next((f for f in done if f.exception()), None):
                self._abandon(futures)
                failed.result()
        return {ready.diff_id: ready for ready in (f.result() for f in futures)}

    def _receive_one(self, origin: Origin, diff_id: str, blob: Descriptor) -> Ready:
        target = f"{self.work}/{diff_id.removeprefix('sha256:')}"
        with origin.layer(blob if blob.digest else Descriptor(diff_id)) as content:
            ready = self.receive(content, diff_id, target)
        self.report(f"layer {diff_id[7:19]}: {ready.size / 1e6:.1f} MB")
        return ready

    def _abandon(self, futures: Sequence[Future[Ready]]) -> None:
        """One layer failed: the others must not go on for minutes first."""
        for future in futures:
            future.cancel()
        self.budget.cancel()
        self.workers.close()

    def _size(self, config: ConfigFile, ready: Mapping[str, Ready]) -> int:
        return sum(ready[d].size if d in ready else self.store.layer_size(d) for d in config.diff_ids)

    def _layer(self, diff_id: str, ready: Mapping[str, Ready]) -> Layer:
        layer = layer_at(ready[diff_id].path) if diff_id in ready else None
        return layer or self.store.layer(diff_id)


def _check_digest(what: str, expected: str, data: bytes) -> None:
    if digest_of(data) != expected:
        raise UserError(f"{what} has digest {digest_of(data)}, not {expected}; it is damaged or was tampered with")
