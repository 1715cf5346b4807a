"""ctrctl's side of a build: when there is one to do, have ctr-build@NAME.service do it, and take the result in.

    /run/ctr/build/NAME/request.json    what to build; result.json how it ended; progress what the builder says
    /var/lib/ctr/build/NAME/            storage/ the builder's layers, exported.json which images it was given,
                                        output/ the image until it is in our store, record.json what it was built from

The builder (`builder`) never writes our store: its image comes in as ``ctrctl image load`` brings one in. A build that
fails changes nothing but the builder's own storage.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from supervisor.errors import ConflictError, HostError, NotFoundError
from supervisor.images import oneshot, work
from supervisor.images.request import OnLine, PullOptions, request_load
from supervisor.images.store import Store
from supervisor.images.work import Result
from supervisor.paths import Layout
from supervisor.spec.image import Image
from supervisor.spec.sourcing import Build, Fetch
from supervisor.systemd.manager import Manager

#: Where ctr-build@ has directories of its own.
_HIDDEN = ("/run/", "/var/tmp/", "/var/cache/containers/")

#: Name that a recipe may use, and id in our store.
Bases = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What ctr-build@ is asked for."""

    build: Build
    bases: Bases
    image: str = ""
    """What was built last, if it is still in our store."""
    built: str = ""
    """What the builder called that."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an image was built from."""

    name: str
    source: str
    """The definition's path."""
    fingerprint: str = ""
    image: str = ""
    """Its id."""
    bases: Bases = ()
    superseded: tuple[str, ...] = ()
    """Ids of images it was built into before, which may be in use still."""
    built: str = ""
    """What the builder calls *image*. Written with it, so never of an image that did not get into our store."""


def unit(name: str) -> str:
    return f"ctr-build@{name}.service"


def runtime(layout: Layout, name: str) -> str:
    """The directory of one request."""
    return f"{layout.runtime}/build/{name}"


def state(layout: Layout, name: str) -> str:
    """What stays of the builds called *name*."""
    return f"{layout.builds}/{name}"


def record(layout: Layout, name: str) -> Record | None:
    """What the image of the build *name* was built from last."""
    return work.read(Record, f"{state(layout, name)}/record.json")


def reason(build: Build, fingerprint: str, bases: Bases, layout: Layout) -> str:
    """Why *build* has to be done, or '' when its image is what its sources say. *bases*: the images it starts from, as
    they are now."""
    before = record(layout, build.name)
    try:
        present = Store(layout).find(build.tags[0]).id
    except NotFoundError:
        return "it is not here"
    if before is None or present != before.image:
        return "what is here was not built from it"
    if before.fingerprint != fingerprint:
        return "its definition or files changed"
    old = dict(before.bases)
    return next((f"{name} changed" for name, image in bases if old.get(name) != image), "")


def request_build(
    build: Build, fingerprint: str, bases: Bases, manager: Manager, layout: Layout, on_line: OnLine
) -> Image:
    """Build, and store the image under all its tags. *on_line* gets what the builder says. While another ctrctl builds
    the same it is waited for; if that leaves nothing to do, its image is the answer.

    Raises `UserError` for a recipe that does not work, with the step and its last lines, and `HostError`.
    """
    store = Store(layout)

    def wait() -> None:
        on_line(f"{build.source}: is being built just now; waiting for that")

    with _reserved(build.name, layout, wait) as waited:
        if waited and not reason(build, fingerprint, bases, layout):
            return store.find(build.tags[0])
        os.makedirs(state(layout, build.name), mode=0o700, exist_ok=True)
        # Whose it is has to be known also when the build fails.
        before = record(layout, build.name) or Record(build.name, build.source)
        _write_record(layout, replace(before, source=build.source))
        present = any(image.id == before.image for image in store.list())
        last = (before.image, before.built) if present else ("", "")
        result = _carried_out(BuildRequest(build, bases, *last), manager, layout, on_line)
        image = _renamed(store, result.images[0], build) if result.images else _taken_in(build, manager, layout)
        old = dict.fromkeys(one for one in (*before.superseded, before.image) if one not in ("", image.id))
        made = Record(build.name, build.source, fingerprint, image.id, bases, tuple(old), result.built)
        _write_record(layout, made)
        return image


def _carried_out(request: BuildRequest, manager: Manager, layout: Layout, on_line: OnLine) -> Result:
    """What ctr-build@ says of *request*. Raises its errors."""
    build = request.build
    name = unit(build.name)
    with _request_directory(build.name, manager, layout) as directory:
        work.write(f"{directory}/request.json", request)
        with oneshot.limited(name, build.fetch.timeout, layout, *_places(build)):
            why = oneshot.run(name, manager, f"{directory}/progress", on_line)
        result = work.read(Result, f"{directory}/result.json")
    if result is None:
        raise HostError(f"{build.source}: {oneshot.explain(name, why, build.fetch.timeout)}")
    result.raise_error()
    return result


def _renamed(store: Store, image: str, build: Build) -> Image:
    """Nothing new was built: give what is here the names it has to have."""
    for tag in build.tags:
        store.tag(image, tag)
    return store.find(image)


def _taken_in(build: Build, manager: Manager, layout: Layout) -> Image:
    output = f"{state(layout, build.name)}/output"
    try:
        options = PullOptions(Fetch(architecture=build.fetch.architecture, retries=0), names=build.tags)
        return request_load(output, manager, layout, options, _quiet)[0]
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _write_record(layout: Layout, made: Record) -> None:
    work.write(f"{state(layout, made.name)}/record.json", made)


def sweep(layout: Layout, gone: Callable[[Record], bool], in_use: Callable[[str], tuple[str, ...]]) -> None:
    """Remove what nobody needs any more: images that were built anew, unless they have got a name or are *in_use* (as
    for `Store.remove`), and what builders keep for definitions that are *gone*. The images of those stay."""
    store = Store(layout)
    for name in os.listdir(layout.builds) if os.path.isdir(layout.builds) else ():
        before = record(layout, name)
        if before is None:
            continue
        left = tuple(image for image in before.superseded if not _removed(store, image, in_use))
        if gone(before):
            shutil.rmtree(state(layout, name), ignore_errors=True)
        elif left != before.superseded:
            _write_record(layout, replace(before, superseded=left))


def _removed(store: Store, image: str, in_use: Callable[[str], tuple[str, ...]]) -> bool:
    """Whether *image* is no more to be looked after."""
    try:
        if not store.find(image).names:
            store.remove(image, in_use)
    except NotFoundError:
        pass
    except ConflictError:
        return False
    return True


def _quiet(line: str) -> None:
    """Of taking the image in there is nothing to say."""


def _places(build: Build) -> Iterator[str]:
    """Lines of [Service]: the builder may write nothing of the host's but the volumes of this build, and sees what it
    needs also where it has directories of its own."""
    for volume in build.volumes:
        host, _, rest = volume.partition(":")
        read_only = "ro" in rest.partition(":")[2].split(",")
        yield _bind("BindReadOnlyPaths" if read_only else "BindPaths", host)
    secrets = (secret.partition(",src=")[2] for secret in build.secrets)
    for path in (build.context, build.file, build.ignore_file, build.fetch.auth_file, *secrets):
        if path.startswith(_HIDDEN):
            yield _bind("BindReadOnlyPaths", path)


def _bind(key: str, path: str) -> str:
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'{key}="{text}"'


@contextlib.contextmanager
def _reserved(name: str, layout: Layout, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Be the only one who builds *name*. Yields whether that had to be waited for."""
    directory = os.path.dirname(runtime(layout, name))
    os.makedirs(directory, exist_ok=True)
    # Not the request's own directory: whoever waits for that would have one that is removed. No name begins with a dot.
    lock = os.open(f"{directory}/.{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = False
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
            waited = True
        yield waited
    finally:
        os.close(lock)


@contextlib.contextmanager
def _request_directory(name: str, manager: Manager, layout: Layout) -> Iterator[str]:
    """An empty directory for a request, gone at the end. A ctrctl that was killed leaves its own, and its build
    running, of other sources and with another drop-in: that is ended."""
    directory = runtime(layout, name)
    manager.stop(unit(name))
    manager.reset_failed(unit(name))
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory, mode=0o700)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
