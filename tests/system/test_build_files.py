"""``.build`` files: what is built from them, when, and what a build that fails leaves as it was."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hostkit
import imagekit
import pytest
from conftest import Define
from hostkit import DEFINITIONS, RUNTIME, STATE, background, run, show, systemctl, wait_until
from imagekit import file, inspect, layer, layout

BUILDS = STATE / "build"
Context = Callable[..., Path]


#: Seconds for a verb that builds.
LONG = 300.0


def ctrctl(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """As hostkit's, with time for a build."""
    return hostkit.ctrctl(*argv, check=check, timeout=LONG)


@pytest.fixture
def context() -> Iterator[Context]:
    """Write the files of a context below /etc/ctr; values are dedented text."""
    made: list[Path] = []

    def write(name: str, **files: str) -> Path:
        directory = DEFINITIONS / name
        directory.mkdir(exist_ok=True)
        made.append(directory)
        for path, text in files.items():
            (directory / path).write_text(textwrap.dedent(text))
        return directory

    yield write
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def clean_up() -> Iterator[None]:
    """Images that a test builds go at its end, and what builders keep with the definitions."""
    before = {image["id"] for image in _images()}
    yield
    for path in DEFINITIONS.glob("*.build"):
        path.unlink()
    for path in DEFINITIONS.glob("*.container"):
        path.unlink()
    ctrctl("apply")
    assert not list(BUILDS.glob("*"))
    assert not [path for path in (RUNTIME / "build").glob("*") if path.is_dir()]
    for image in _images():
        if image["id"] not in before:
            ctrctl("image", "rm", "--force", str(image["id"]))


def _images() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(ctrctl("images", "--format", "json").stdout)
    return found


def _layers(reference: str) -> list[str]:
    return [one["diff_id"] for one in inspect(reference)["layers"]]


def test_a_container_runs_what_is_built(busybox: str, define: Define, context: Context) -> None:
    """Built when it is missing, from an image of our store, whose layers it shares; again when a file of its context
    changed, and then the container is deployed anew; not when nothing changed. The image before it is removed."""
    place = context(
        "greeter",
        Containerfile=f"""\
            ARG BASE=nothing
            FROM ${{BASE}} AS first
            ARG WORD=hello
            RUN echo "$WORD, $(id -u)" > /greeting
            FROM first AS second
            COPY --from=first /greeting /copied
            COPY *.txt /
            HEALTHCHECK --interval=1s CMD test -e /file.txt
            CMD ["sleep", "1000"]
            FROM {busybox}
            RUN false
            """,
    )
    (place / "file.txt").write_text("one")
    define(
        "greeter",
        f"""\
        [Build]
        ImageTag=greeter:1
        ImageTag=localhost/greeter:latest
        SetWorkingDirectory=./greeter
        Target=second
        BuildArg=BASE={busybox} WORD=servus
        Environment=MOOD=good
        Label=kind=test
        """,
        suffix=".build",
        apply=False,
    )
    define("greeter", "[Container]\nImage=greeter.build\nNetwork=none\nStopTimeout=0\n", apply=False)
    assert "image localhost/greeter:1 would be built: it is not here" in ctrctl("apply", "--dry-run").stdout
    said = ctrctl("apply").stderr
    assert "RUN echo" in said  # the builder's own words reach the terminal
    made = inspect("localhost/greeter:1")
    assert made["names"] == ["localhost/greeter:1", "localhost/greeter:latest"]
    assert set(_layers(busybox)) < set(_layers("localhost/greeter"))
    systemctl("start", "ctr@greeter")
    assert ctrctl("exec", "greeter", "cat", "/greeting", "/copied", "/file.txt").stdout == "servus, 0\nservus, 0\none"
    assert "MOOD=good" in ctrctl("exec", "greeter", "env").stdout
    assert "STEP" not in ctrctl("apply").stderr

    (place / "file.txt").write_text("two")
    assert "its definition or files changed" in ctrctl("apply", "--dry-run").stdout
    assert "greeter: changed and restarted" in ctrctl("apply").stdout
    assert ctrctl("exec", "greeter", "cat", "/file.txt").stdout == "two"
    assert made["id"] not in {image["id"] for image in _images()}

    # A step that fails: what runs, and its image, stay.
    now = inspect("localhost/greeter")["id"]
    with (place / "Containerfile").open("a") as recipe:
        recipe.write("FROM second\nRUN echo some words; exit 3\n")
    (DEFINITIONS / "greeter.build").write_text((DEFINITIONS / "greeter.build").read_text().replace("second", "2"))
    (place / "Containerfile").write_text(
        (place / "Containerfile").read_text().replace("RUN false", "RUN echo oh; false")
    )
    failed = ctrctl("apply", check=False)
    assert failed.returncode == 125
    assert f"ctrctl: {DEFINITIONS}/greeter.build: the build failed at step " in failed.stderr
    assert "RUN echo oh; false\n  oh\n" in failed.stderr
    assert inspect("localhost/greeter")["id"] == now
    assert show("ctr@greeter.service", "ActiveState")["ActiveState"] == "active"


def test_from_nothing_with_a_secret_and_a_volume(
    busybox: str, define: Define, context: Context, tmp_path: Path
) -> None:
    """FROM scratch; a secret that is seen by one step only; a directory of the host that a step writes; no network.

    ``ctrctl build`` builds without anybody having changed anything, and prints the image.
    """
    place = context(
        "little",
        Recipe=f"""\
            FROM {busybox} AS maker
            RUN --mount=type=secret,id=word wc -c < /run/secrets/word > /size
            RUN ls /sys/class/net > /host/links && mkdir /root/empty
            FROM scratch
            COPY --from=maker /size /root/empty/ /
            COPY . /
            """,
        kept="kept\n",
        ignored="ignored\n",
        ignore="ignore*\nRecipe\nword\n",
    )
    (place / "word").write_text("secret")
    define(
        "little",
        f"""\
        [Build]
        ImageTag=localhost/little
        File=Recipe
        SetWorkingDirectory={place}
        IgnoreFile=ignore
        Secret=id=word,src={place}/word
        Volume={tmp_path}:/host
        Network=none
        Annotation=org.example.kind=test
        """,
        suffix=".build",
        apply=False,
    )
    image = ctrctl("build", "--quiet", "little").stdout.strip()
    assert inspect("localhost/little")["id"] == image
    assert (tmp_path / "links").read_text() == "lo\n"
    found = imagekit.tree("localhost/little", tmp_path / "tree")
    assert set(found) - {"."} == {"size", "kept"}
    assert "STEP" not in ctrctl("apply").stderr
    assert ctrctl("build", "-q", f"{DEFINITIONS}/little.build").stdout.strip() == image  # all from the builder's cache


def test_what_it_starts_from_is_fetched_and_watched(define: Define, context: Context, tmp_path: Path) -> None:
    """An image that is not here comes from its registry, by way of our store and with the definition's options; when
    there is a newer one, or another build made one anew, what starts from it is built again."""
    with imagekit.registry(tmp_path) as registry:
        registry.push(layout(tmp_path / "1", layer(file("version", b"1"))), "base")
        context("upper", Containerfile="FROM localhost/lower\nCOPY Containerfile /recipe\n")
        context("lower", Containerfile=f"FROM {registry.address}/base\nLABEL a=b\n")
        text = "[Build]\nImageTag=localhost/upper\nFile=/etc/ctr/upper/Containerfile\n"
        define("a-upper", text, suffix=".build", apply=False)
        text = "[Build]\nImageTag=localhost/lower\nFile=/etc/ctr/lower/Containerfile\nPull=newer\nTLSVerify=no\n"
        define("lower", text, suffix=".build", apply=False)
        ctrctl("apply")
        first = inspect("localhost/upper")["id"]
        registry.push(layout(tmp_path / "2", layer(file("version", b"2"))), "base")
        assert f"{registry.address}/base:latest changed; building it" in ctrctl("apply").stderr
        assert inspect("localhost/upper")["id"] != first
        found = imagekit.tree("localhost/upper", tmp_path / "tree")
        assert set(found) - {"."} == {"version", "recipe"}


def _applying() -> AbstractContextManager[subprocess.Popen[str]]:
    return background("ctrctl", "apply", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _sleeps() -> bool:
    return bool(run("pgrep", "-f", "^sleep 1234$", check=False).stdout)


def test_a_step_that_takes_too_long_is_ended(busybox: str, define: Define, context: Context) -> None:
    """With every process of it; so is one whose ctrctl is interrupted."""
    context("slow", Containerfile=f"FROM {busybox}\nRUN sleep 1234\n")
    text = "[Build]\nImageTag=slow\nFile=/etc/ctr/slow/Containerfile\n[Service]\nTimeoutStartSec=3s\n"
    define("slow", text, suffix=".build", apply=False)
    failed = ctrctl("apply", check=False)
    assert "took more than 3 s" in failed.stderr
    wait_until(lambda: not _sleeps(), what="the step is gone")
    define("slow", text.replace("3s", "1h"), suffix=".build", apply=False)
    with _applying() as apply:
        wait_until(_sleeps, LONG, "the step")
        apply.send_signal(signal.SIGINT)
        apply.communicate(timeout=LONG)
    assert apply.returncode
    wait_until(lambda: not _sleeps(), what="the step is gone")
    assert not systemctl("list-units", "--plain", "--no-legend", "--state=failed", "ctr*").stdout


def test_a_build_that_nobody_waits_for_is_not_taken(busybox: str, define: Define, context: Context) -> None:
    """One whose ctrctl was killed goes on; what is in the files by then is built, with the time they say."""
    place = context("left", Containerfile=f"FROM {busybox}\nRUN sleep 1234\n")
    text = "[Build]\nImageTag=left\nFile=/etc/ctr/left/Containerfile\n"
    define("left", f"{text}[Service]\nTimeoutStartSec=1h\n", suffix=".build", apply=False)
    with _applying() as apply:
        wait_until(_sleeps, LONG, "the step")
        apply.kill()
    assert _sleeps()
    define("left", text, suffix=".build", apply=False)
    (place / "Containerfile").write_text(f"FROM {busybox}\nLABEL is=new\n")
    ctrctl("apply")
    wait_until(lambda: not _sleeps(), what="the step is gone")
    assert "is=new" in json.dumps(inspect("localhost/left")).replace('": "', "=")
    assert not list(Path("/run/systemd/system").glob("ctr-build@*"))


def test_two_at_once(busybox: str, define: Define, context: Context, tmp_path: Path) -> None:
    """The second waits for the first, and then finds nothing to do."""
    context("twice", Containerfile=f"FROM {busybox}\nRUN while ! test -e /host/go; do sleep 0.1; done\n")
    text = f"[Build]\nImageTag=twice\nFile=/etc/ctr/twice/Containerfile\nVolume={tmp_path}:/host:ro\n"
    define("twice", text, suffix=".build", apply=False)
    with _applying() as first:
        wait_until((RUNTIME / "build/twice/request.json").exists, LONG, "the first build")
        with _applying() as second:
            assert second.stderr
            said = [second.stderr.readline(), second.stderr.readline()]
            assert "is being built just now; waiting for that" in said[1]
            (tmp_path / "go").touch()
            assert "STEP" not in second.communicate(timeout=LONG)[1]
        first.communicate(timeout=LONG)
    assert (first.returncode, second.returncode) == (0, 0)


def test_what_was_not_stored_is_not_taken_for_built(busybox: str, define: Define, context: Context) -> None:
    """When the image cannot be taken in, the next apply does so, though all steps come from the cache then, those of
    other stages too."""
    text = f"FROM {busybox} AS a\nRUN echo one > /x\nFROM scratch\nCOPY --from=a /x /\n"
    place = context("stored", Containerfile=text)
    define("stored", "[Build]\nImageTag=stored\nSetWorkingDirectory=./stored\n", suffix=".build", apply=False)
    ctrctl("apply")
    old = inspect("localhost/stored")["id"]
    (place / "file").touch()
    with (place / "Containerfile").open("a") as recipe:
        recipe.write("COPY file /\n")
    drop_in = Path("/run/systemd/system/ctr-store@.service.d/50-test.conf")
    drop_in.parent.mkdir()
    try:
        drop_in.write_text("[Service]\nExecStart=\nExecStart=false\n")
        systemctl("daemon-reload")
        failed = ctrctl("apply", check=False)
    finally:
        shutil.rmtree(drop_in.parent)
        systemctl("daemon-reload")
    assert failed.returncode and "RUN echo one > /x\n--> Using cache" in failed.stderr
    assert inspect("localhost/stored")["id"] == old
    again = ctrctl("apply").stderr
    assert again.count("Using cache") == 3
    assert inspect("localhost/stored")["id"] != old
