"""Pull of a three-layer image from a registry on this machine, until it can run."""

from __future__ import annotations

import random
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import BenchError, Budget, Row, Sampler, run, timed
from peers import Docker, Peer
from session import Session, say

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from imagebuild import archive, layers, recipes

ADDRESS = "127.0.0.1:5055"
REFERENCE = f"{ADDRESS}/ctr-bench:latest"
UNIT = "ctr-bench-registry"
LAYERS = 3
FILES_PER_LAYER = 1300
FILE_SIZE = 100_000
#: Of each file; the rest compresses away, so that the image shrinks to about 0.45 of its size.
RANDOM_SHARE = 0.43


def measure(session: Session) -> list[Row]:
    count = session.few()
    columns = session.only("ctr", "podman", "docker")
    say("making an image of three layers")
    image = session.scratch / "pull.tar"
    _make_image(image)
    with _registry(session.scratch / "registry"):
        run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci-archive:{image}", f"docker://{REFERENCE}"])
        say(f"pull, {count} times")
        takes = {column: _taker(peer) for column, peer in columns.items()}
        samples = Sampler().rounds(count, takes).samples
    size = LAYERS * FILES_PER_LAYER * FILE_SIZE / 1e6
    compressed = image.stat().st_size / 1e6
    note = f"{LAYERS} layers, {size:.0f} MB in {LAYERS * FILES_PER_LAYER} files, {compressed:.0f} MB compressed"
    image.unlink()
    return [Row("pull until it can run", "s", samples, (Budget("podman", 0.6),), (note,))]


def _taker(peer: Peer) -> Callable[[], float]:
    docker = peer.command() if isinstance(peer, Docker) else []
    pull, remove = {
        "ctr": (["ctrctl", "pull", "--tls-verify=false", REFERENCE], ["ctrctl", "image", "rm", REFERENCE]),
        "podman": (["podman", "pull", "--quiet", "--tls-verify=false", REFERENCE], ["podman", "rmi", REFERENCE]),
        "docker": ([*docker, "pull", "--quiet", REFERENCE], [*docker, "rmi", REFERENCE]),
    }[peer.name]

    def take() -> float:
        run(["sync"])  # what the one before wrote is not this one's to wait for
        seconds = timed(pull)
        run(remove)
        return seconds

    return take


def _make_image(path: Path) -> None:
    source = random.Random(0)
    recipe = recipes.Recipe(name="ctr-bench", packages=(), command=("true",))
    stack = [layers.pack(_nodes(number, source)) for number in range(LAYERS)]
    archive.write(path, recipe, stack, "amd64", "bench")


def _nodes(number: int, source: random.Random) -> dict[str, layers.Node]:
    noise = int(FILE_SIZE * RANDOM_SHARE)
    return {
        f"data/{number}/{index // 50}/{index}": layers.Node(
            tarfile.REGTYPE, 0o644, source.randbytes(noise) + b"\0" * (FILE_SIZE - noise)
        )
        for index in range(FILES_PER_LAYER)
    }


@contextmanager
def _registry(directory: Path) -> Iterator[None]:
    program = shutil.which("docker-registry")
    if program is None:
        raise BenchError("docker-registry: not found; apt-get install docker-registry")
    directory.mkdir()
    config = directory / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
        f"http: {{addr: '{ADDRESS}'}}\n"
    )
    run(["systemd-run", "--quiet", f"--unit={UNIT}", program, "serve", str(config)])
    try:
        _wait_for_registry()
        yield
    finally:
        run(["systemctl", "stop", UNIT], check=False)
        run(["systemctl", "reset-failed", UNIT], check=False)


def _wait_for_registry() -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            urllib.request.urlopen(f"http://{ADDRESS}/v2/", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise BenchError(f"docker-registry: does not answer at {ADDRESS}") from None
            time.sleep(0.1)
