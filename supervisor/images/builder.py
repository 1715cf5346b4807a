"""Program ctr-build: carries out one build, inside ctr-build@NAME.service, with buildah.

It gives buildah the images that the recipe starts from, has it build in a storage of its own, and leaves the image in a
directory for `building` to take in. Nothing of podman's is read or written. All steps run in the unit's control group:
a stop, a time limit or a memory limit of the unit ends or bounds all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from supervisor.errors import CtrError, HostError, UserError
from supervisor.images import exporting, work
from supervisor.images.building import BuildRequest, runtime, state
from supervisor.images.fingerprint import recipe_path
from supervisor.images.store import Store
from supervisor.images.work import Result
from supervisor.names import is_name
from supervisor.paths import Layout
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import Build

_NAME = "localhost/ctr-build:latest"
#: Lines of a failed step that an error repeats.
_TAIL = 5
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP (.*)")
#: The image of a step, new or from the cache: the beginning of its id, or all of it.
_MADE = re.compile(r"(?:\[\d+/\d+\] )?--> (?:Using cache )?([0-9a-f]{11,64})$")
#: What buildah wants for open files and processes, whether it may or not (its RLimitDefaultValue).
_WANTED = 1 << 20
#: For the images that were not given to it. Words that buildah 1.28 knows, too.
_PULL = {
    PullPolicy.MISSING: "false",
    PullPolicy.NEWER: "true",
    PullPolicy.ALWAYS: "always",
    PullPolicy.NEVER: "never",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """exported.json, what the storage was given of our store: images (name, and id there) and their layers."""

    images: tuple[tuple[str, str], ...] = ()
    layers: exporting.Layers = ()


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """*argv*: the unit's instance, the name of the build."""
    layout = Layout()
    if len(argv) != 1 or not is_name(argv[0]):
        return 2
    directory = runtime(layout, argv[0])
    request = work.read(BuildRequest, f"{directory}/request.json")
    if request is None:
        return 2
    with open(f"{directory}/progress", "a", encoding="utf-8", errors="replace", buffering=1) as progress:

        def say(line: str) -> None:
            print(line, flush=True)  # to the journal
            print(line, file=progress)

        result = carry_out(request, layout, environ, say)
        if result.kind:
            print(result.message, flush=True)
    work.write(f"{directory}/result.json", result)
    return 1 if result.kind else 0


def carry_out(request: BuildRequest, layout: Layout, environ: Mapping[str, str], say: Say) -> Result:
    """Do what *request* says; every failure is in the result."""
    try:
        builder = _Builder(request, layout, environ, say)
        builder.prepare()
        built = builder.build()
        same = bool(request.image) and built == request.built
        if not same:
            builder.put_out()
        builder.tidy()
        return Result((request.image,) if same else (), built=built)
    except CtrError as error:
        return Result.of_error(error)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else layout.builds
        return Result.of_error(HostError(f"{request.build.source}: {where}: {error.strerror or error}"))


class _Builder:
    def __init__(self, request: BuildRequest, layout: Layout, environ: Mapping[str, str], say: Say) -> None:
        self._build = request.build
        self._bases = request.bases
        self._layout = layout
        self._say = say
        self._state = state(layout, request.build.name)
        self._temporary = f"{self._state}/tmp"
        configuration = f"{runtime(layout, request.build.name)}/storage.conf"
        self._environ = {
            **environ,
            "CONTAINERS_STORAGE_CONF": configuration,
            "TMPDIR": self._temporary,
            "HOME": environ.get("HOME", "/root"),
        }
        self._configuration = configuration
        self._exported_path = f"{self._state}/exported.json"
        self._exported = Exported()
        self._steps: set[str] = set()

    def prepare(self) -> None:
        """An empty place to work in, and the images to start from."""
        if not shutil.which("buildah"):
            raise HostError(f"{self._build.source}: buildah is not installed; apt-get install buildah")
        self._clear()
        shutil.rmtree(f"{self._state}/output", ignore_errors=True)
        storage = f'graphroot="{self._state}/storage"\nrunroot="{runtime(self._layout, self._build.name)}/storage"\n'
        with open(self._configuration, "w", encoding="utf-8") as file:
            file.write(f'[storage]\ndriver="overlay"\n{storage}')
        if os.path.isdir(f"{self._state}/storage"):
            self._exported = work.read(Exported, self._exported_path) or Exported()
            self._call(("buildah", "rm", "--all"), "the storage")  # of a build that was killed
        for name, image in self._bases:
            given = dict(self._exported.images)
            if given.get(name) != image:
                layers = dict(self._exported.layers) | dict(self._give(name, image))
                self._remember(images=tuple((given | {name: image}).items()), layers=tuple(layers.items()))

    def _remember(self, **changes: Any) -> None:
        self._exported = replace(self._exported, **changes)
        work.write(self._exported_path, self._exported)

    def _give(self, name: str, image: str) -> exporting.Layers:
        store = Store(self._layout)
        directory = f"{self._temporary}/export"
        layers = exporting.export(store, store.find(image), directory)
        # Our own image, which no policy of registries knows.
        argv = ("skopeo", "--insecure-policy", "copy", "--quiet", f"dir:{directory}", f"containers-storage:{name}")
        self._call(argv, f"{name}: cannot be given to buildah")
        shutil.rmtree(directory)
        return layers

    def build(self) -> str:
        """What buildah calls the image. Raises `UserError` with the step that failed and the last lines it wrote."""
        # Not --iidfile, with which buildah 1.39 does not say what its steps have made.
        result = ("--tag", _NAME, self._build.context)
        words = options(self._build, given=bool(self._bases))
        self._run(("buildah", "build", *words, *self._host_options(), *result))
        return self._call(("buildah", "images", "--quiet", "--no-trunc", _NAME), "the image").strip()

    def _run(self, argv: Sequence[str]) -> None:
        step = ""
        tail: deque[str] = deque(maxlen=_TAIL)
        with subprocess.Popen(
            argv,
            env=self._environ,
            cwd=self._build.context,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                text = line.rstrip("\r\n")
                self._say(text)
                if made := _MADE.match(text):
                    self._steps.add(made[1])
                if match := _STEP.match(text):
                    step = match[1]
                    tail.clear()
                elif text.strip():
                    tail.append(text)
        if child.returncode:
            at = f"at step {step}" if step else "before the first step"
            raise UserError("\n  ".join([f"{self._build.source}: the build failed {at}", *tail]))

    def _host_options(self) -> Iterator[str]:
        """What depends on this host."""
        for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
            hard = resource.getrlimit(number)[1]
            # buildah would raise what is lower, and fail where that is not allowed.
            if hard != resource.RLIM_INFINITY and hard < _WANTED:
                yield from ("--ulimit", f"{name}={hard}:{hard}")
        if shutil.which("crun"):
            # The unit's own control group is all that is needed, and the runtime would want to make one elsewhere.
            yield from ("--runtime", "crun", "--runtime-flag", "cgroup-manager=disabled")
        if self._build.group_add:
            if "--group-add" not in self._call(("buildah", "build", "--help"), "buildah"):
                raise HostError(f"{self._build.source}: GroupAdd=: needs buildah 1.33; remove it, or update buildah")
            for group in self._build.group_add:
                yield from ("--group-add", group)

    def put_out(self) -> None:
        """The image as a directory."""
        output = f"dir:{self._state}/output"
        self._call(("buildah", "push", "--quiet", "--disable-compression", _NAME, output), "the image")
        exporting.adopt(Store(self._layout), f"{self._state}/output", self._exported.layers)
        self._clear()

    def tidy(self) -> None:
        """Remove from the storage what this build had no use for: images to start from, and the steps of earlier
        builds. What its own steps made stays, of each stage: it is what the next one takes from the cache."""
        wanted = {name for name, _ in self._bases}
        given = self._exported.images
        if gone := [name for name, _ in given if name not in wanted]:
            self._remember(images=tuple(pair for pair in given if pair[0] in wanted))
            self._remove(gone)
        listed = json.loads(self._call(("buildah", "images", "--all", "--no-trunc", "--json"), "the storage"))
        self._remove(unused(listed, self._steps))

    def _remove(self, images: Sequence[str]) -> None:
        """One at a time; with one that others are made of, or that went with another, buildah refuses."""
        for image in images:
            with contextlib.suppress(HostError):
                self._call(("buildah", "rmi", image), image)

    def _clear(self) -> None:
        """Empty the directory for temporary files, which the unit has for its /var/tmp, too."""
        for name in os.listdir(self._temporary):
            path = f"{self._temporary}/{name}"
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    def _call(self, argv: Sequence[str], what: str) -> str:
        """What it wrote on standard output. Raises `HostError` in its own words."""
        done = subprocess.run(
            argv, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise HostError(f"{self._build.source}: {what}: {argv[0]}: {said}")
        return done.stdout


def unused(listed: Iterable[Mapping[str, Any]], steps: Iterable[str]) -> tuple[str, ...]:
    """Of what buildah-images(1) says in JSON the ids of those that have no name and that none of *steps*, beginnings of
    ids, has made. Newest first: an image goes before those that it is made of."""
    kept = tuple(steps)
    ordered = sorted(listed, key=lambda one: one.get("created", 0), reverse=True)
    unnamed = (str(one["id"]).removeprefix("sha256:") for one in ordered if not one.get("names"))
    return tuple(image for image in unnamed if not image.startswith(kept))


def options(build: Build, *, given: bool) -> Iterator[str]:
    """Options of buildah-build(1) for *build*, except what depends on the host. Reads no more than which recipe there
    is. *given*: the images it starts from are there, and as new as they have to be."""
    pull = PullPolicy.MISSING if given and build.pull is not PullPolicy.NEVER else build.pull
    # OCI's form has no place for a health check, docker's none for annotations.
    yield from ("--format", "oci" if build.annotations else "docker")
    yield from ("--isolation", "oci", "--layers", "--file", recipe_path(build), f"--pull={_PULL[pull]}")
    # podman's is a network of its own, which would need rules in the host's firewall for every step.
    yield from ("--network", build.network or "host")
    yield f"--force-rm={'true' if build.force_remove else 'false'}"
    yield f"--tls-verify={'true' if build.fetch.tls_verify else 'false'}"
    for option, text in (
        ("--target", build.target),
        ("--ignorefile", build.ignore_file),
        ("--authfile", build.fetch.auth_file),
        ("--arch", build.fetch.architecture),
        ("--variant", build.fetch.variant),
    ):
        if text:
            yield from (option, text)
    for option, pairs in (
        ("--build-arg", build.arguments),
        ("--env", build.environment),
        ("--label", build.labels),
        ("--annotation", build.annotations),
    ):
        for name, value in pairs:
            yield from (option, f"{name}={value}")
    for option, texts in (
        ("--volume", build.volumes),
        ("--secret", build.secrets),
        ("--dns", build.dns),
        ("--dns-option", build.dns_options),
        ("--dns-search", build.dns_search),
    ):
        for text in texts:
            yield from (option, text)
