"""Images: what pull, load, import and rm leave in the store, whatever is sent to them and whenever they are killed."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import imagekit
import pytest
from eventkit import events
from hostkit import RUNTIME, background, ctrctl, run, systemctl, wait_until
from imagekit import (
    STORE,
    Member,
    Registry,
    device,
    digest,
    directory,
    file,
    hardlink,
    inspect,
    layer,
    layout,
    leftovers,
    stored_layers,
    symlink,
    tree,
)

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/:/bin/false\n"
EROFS = "--tar" in run("mkfs.erofs", "--help", check=False).stdout + run("mkfs.erofs", "--help", check=False).stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with imagekit.registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(params=["erofs", "directory"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of layer, where the host can have both."""
    if request.param == "erofs" and not EROFS:
        pytest.skip("mkfs.erofs here has no --tar (erofs-utils 1.7)")
    return str(request.param)


@pytest.fixture(autouse=True)
def clean_store() -> Iterator[None]:
    """Images that a test makes go at its end, and what was there stays."""
    before = {image["id"] for image in images()}
    yield
    for image in images():
        if image["id"] not in before:
            ctrctl("image", "rm", "--force", str(image["id"]))
    assert leftovers() == ()


def images() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(ctrctl("images", "--format", "json").stdout)
    return found


def fetch(*argv: str | Path, kind: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("ctrctl", *argv, check=check, env={"CTR_LAYER_KIND": kind})


def pull(reference: str, *options: str | Path, kind: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    return fetch("pull", "--tls-verify=false", *options, reference, kind=kind, check=check)


def test_pull_stores_the_image_under_its_name_and_digest(registry: Registry, tmp_path: Path, kind: str) -> None:
    """A pulled image has its reference as name, its config's digest as id, the registry's manifest digest, its layers
    in the kind that was asked for, and shows up in ``ctrctl images``; one event tells of it. podman's directory of
    credentials, closed to others, is in nobody's way."""
    began = time.time()
    Path("/run/containers").mkdir(0o700, exist_ok=True)
    content = layer(directory("etc"), file("etc/passwd", PASSWD), file("hello", b"hi\n"))
    source = layout(tmp_path / "oci", content, config={"Cmd": ["/hello"], "Env": ["A=b=c"]})
    reference = registry.push(source, "hello:1")
    pulled = pull(reference, kind=kind).stdout.strip()
    found = inspect(reference)
    assert found["id"] == pulled
    assert found["names"] == [reference]
    assert found["digest"] == json.loads((source / "index.json").read_text())["manifests"][0]["digest"]
    assert found["config"]["command"] == ["/hello"]
    assert found["config"]["environment"] == {"A": "b=c"}
    assert [item["kind"] for item in found["layers"]] == [kind]
    assert found["size"] == len(content)
    assert tree(reference, tmp_path / "root")["hello"][3] == 3
    assert reference.rpartition(":")[0] in ctrctl("images").stdout
    wait_until(lambda: told_pulled(began), what="the event")
    assert told_pulled(began) == [f"docker://{reference} {pulled}"]


def told_pulled(since: float) -> list[str]:
    """Which images were pulled, by the supervisor's word."""
    return [event["detail"] for event in events("--filter", "event=pulled", since=since)]


def test_pull_by_digest_and_pull_again(registry: Registry, tmp_path: Path) -> None:
    """A reference with a digest is pulled and found again by it; pulling what is here receives no layer."""
    reference = registry.push(layout(tmp_path / "oci", layer(file("a", os.urandom(100)))), "pinned:1")
    manifest = json.loads((tmp_path / "oci/index.json").read_text())["manifests"][0]["digest"]
    by_digest = f"{reference.removesuffix(':1')}@{manifest}"
    pull(by_digest)
    assert inspect(by_digest)["digest"] == manifest
    again = pull(reference)
    assert "is here already" in again.stderr
    assert sorted(inspect(reference)["names"]) == sorted([reference, by_digest])


def test_a_shared_layer_is_stored_once_and_outlives_one_of_its_images(registry: Registry, tmp_path: Path) -> None:
    """Two images with a common layer have it once in the store; ``image rm`` of one keeps it, of both removes it."""
    common, one, two = (layer(file(name, os.urandom(64))) for name in ("common", "one", "two"))
    first = registry.push(layout(tmp_path / "1", common, one), "first:1")
    second = registry.push(layout(tmp_path / "2", common, two), "second:1")
    before = stored_layers()
    pull(first)
    assert "is here already" in pull(second).stderr
    names = [digest(data).removeprefix("sha256:") for data in (common, one, two)]
    assert stored_layers() - before == set(names)
    ctrctl("image", "rm", first)
    assert stored_layers() - before == {names[0], names[2]}
    assert tree(second, tmp_path / "root").keys() >= {"common", "two"}
    ctrctl("image", "rm", second)
    assert stored_layers() == before


def test_whiteouts_hide_what_is_below(tmp_path: Path, kind: str) -> None:
    """A whiteout hides a file or a directory of the layers below, an opaque one all that its directory had; what the
    same layer has there stays."""
    below = layer(
        directory("etc"), file("etc/a"), file("etc/b"), directory("d"), file("d/x"), directory("e"), file("e/y")
    )
    above = layer(
        file("etc/.wh.a"), file(".wh.d"), directory("e"), file("e/.wh..wh..opq"), file("e/z"), file(".wh..wh.plnk")
    )
    fetch("pull", f"oci:{layout(tmp_path / 'oci', below, above, name='localhost/whiteouts:1')}", kind=kind)
    assert set(tree("localhost/whiteouts:1", tmp_path / "root")) == {".", "etc", "etc/b", "e", "e/z"}


RICH = (
    directory("etc", mtime=1_500_000_000),
    file("etc/passwd", PASSWD),
    directory("bin", 0o1777, uid=1, gid=2),
    file("bin/su", b"#!", mode=0o4755, mtime=1_400_000_001),
    file("bin/wall", b"#!", mode=0o2755, gid=5),
    hardlink("bin/sudo", "bin/su"),
    symlink("bin/sh", "/bin/su"),
    symlink("bin/dangling", "../../../../nowhere"),
    device("bin/null", 1, 3),
    Member("bin/fifo", type=tarfile.FIFOTYPE, mode=0o600),
    file("deep/er/than/named", b"parents are made"),
    file("long/" + "n" * 200 + "/" + "m" * 200, b"long names"),
    file("twice", b"first"),
    file("twice", b"second"),
    file("/absolute", b"is taken relative"),
    file("./dotted", b"and so is this"),
    file("capable", b"x", mode=0o755, pax={"SCHILY.xattr.user.note": "text"}),
    file("large-uid", uid=3_000_000, gid=3_000_001),
)


def test_a_layer_is_made_as_it_is_written(tmp_path: Path, kind: str) -> None:
    """Modes with setuid, owners, times, links, devices, attributes, long and repeated names: a container sees them
    all.
    """
    fetch("pull", f"oci:{layout(tmp_path / 'oci', layer(*RICH), name='localhost/rich:1')}", kind=kind)
    found = tree("localhost/rich:1", tmp_path / "root")
    assert found["bin"][:3] == ["0o41777", 1, 2]
    assert found["bin/su"][:6] == ["0o104755", 0, 0, 2, 1_400_000_001, 2]
    assert found["bin/wall"][0] == "0o102755"
    assert found["bin/sudo"] == found["bin/su"]
    assert (found["bin/sh"][6], found["bin/dangling"][6]) == ("/bin/su", "../../../../nowhere")
    assert (found["bin/null"][0], found["bin/null"][6]) == ("0o20600", str(os.makedev(1, 3)))
    assert found["bin/fifo"][0] == "0o10600"
    assert found["etc"][4] == 1_500_000_000
    assert found["twice"][3] == len(b"second")
    assert found["capable"][7] == {"user.note": b"text".hex()}
    assert found["large-uid"][1:3] == [3_000_000, 3_000_001]
    assert found.keys() >= {"deep/er/than/named", "long/" + "n" * 200 + "/" + "m" * 200, "absolute", "dotted"}


@pytest.mark.skipif(not EROFS, reason="mkfs.erofs here has no --tar (erofs-utils 1.7)")
def test_both_kinds_show_the_same(tmp_path: Path) -> None:
    """An image looks the same to a container whether its layers are EROFS or directories."""
    changed = layer(
        file("bin/.wh.su"), directory("etc"), file("etc/.wh..wh..opq"), file("etc/new"), file("twice", b"3")
    )
    source = layout(tmp_path / "oci", layer(*RICH), changed, name="localhost/same:1")
    seen = []
    for kind in ("erofs", "directory"):
        fetch("pull", f"oci:{source}", kind=kind)
        found = tree("localhost/same:1", tmp_path / "root")
        # Times of directories no member names are the moment of unpacking; parents of whiteouts differ in theirs.
        seen.append({path: value[:4] + value[5:] for path, value in found.items()})
        ctrctl("image", "rm", "localhost/same:1")
    assert seen[0] == seen[1]


HOSTILE = {
    "up": (file("../../../../../../../../../../etc/escaped", b"x"),),
    "up inside": (file("a/../../../../../../../../../../../etc/escaped", b"x"),),
    "absolute": (file("/etc/escaped", b"x"), file("//etc//escaped2", b"x")),
    "link to /etc, then a file through it": (symlink("a", "/etc"), file("a/escaped", b"x")),
    "link up, then a file through it": (symlink("a", "../../../../../../../../../../etc"), file("a/escaped", b"x")),
    "chain of links": (symlink("a", "/"), symlink("b", "a/etc"), file("b/escaped", b"x")),
    "directory swapped for a link": (directory("d"), file("d/f"), symlink("d", "/etc"), file("d/escaped", b"x")),
    "link swapped for a directory": (symlink("d", "/etc"), directory("d", 0o777), file("d/escaped", b"x")),
    "file over a link": (symlink("s", "/etc/shadow"), file("s", b"overwritten", mode=0o666)),
    "hard link out": (hardlink("shadow", "/etc/shadow"), file("shadow", b"overwritten", mode=0o666)),
    "hard link up": (hardlink("shadow", "../../../../../../../../../../etc/shadow"),),
    "hard link through a link": (symlink("a", "/etc"), hardlink("shadow", "a/shadow")),
    "hard link to a link": (symlink("a", "/etc/shadow"), hardlink("b", "a"), file("b", b"overwritten")),
    "mode and owner through a link": (symlink("a", "/etc"), directory("a", 0o777, uid=1000)),
    "whiteout of the directory above": (file(".wh..."), directory("x"), file("x/.wh...")),
    "whiteout of itself": (file(".wh.."),),
    "whiteout up": (file("../../../../../../../../../etc/.wh.shadow"),),
    "whiteout through a link": (symlink("a", "/etc"), file("a/.wh.shadow")),
    "opaque through a link": (symlink("a", "/etc"), file("a/.wh..wh..opq")),
    "devices": (device("mem", 1, 1), device("disk", 8, 0), file("mem", b"x")),
    "overlay redirect": (directory("a", pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc"}),),
    "fifo, then a file over it": (Member("p", type=tarfile.FIFOTYPE), file("p", b"x")),
    "removal of a link's target": (symlink("a", "/etc"), file("a/shadow"), directory("a/passwd"), file("a/passwd/x")),
    "root as a file": (file(".", b"x"),),
    "root as a link": (symlink("./", "/etc"), file("escaped", b"x")),
}
REFUSED = {"up", "up inside", "hard link up", "whiteout of the directory above", "whiteout of itself", "whiteout up"}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_layer_changes_nothing_outside_the_store(tmp_path: Path, kind: str, attack: str) -> None:
    """Whatever a layer's members are called and wherever its links point: taken in or refused, /etc and a place beside
    the store stay as they were; what is refused leaves nothing, and the message names layer and member."""
    outside = outside_state()
    layers_before = stored_layers()
    content = layer(file("honest"), *HOSTILE[attack])
    source = layout(tmp_path / "oci", content, name="localhost/hostile:1")
    done = fetch("pull", f"oci:{source}", kind=kind, check=False)
    assert outside_state() == outside
    assert leftovers() == ()
    if attack in REFUSED or done.returncode:
        assert done.returncode == 125, done.stderr
        assert digest(content) in done.stderr
        assert "member" in done.stderr or "index" in done.stderr or "tar" in done.stderr
        assert stored_layers() == layers_before


def outside_state() -> list[tuple[object, ...]]:
    """/etc, /var/lib and the root: every name with type and owner; below /etc, and of files, with links and size too;
    below /etc with times. (The size of a directory, and the links to /proc, are others' affairs.)"""
    found: list[tuple[object, ...]] = []
    for top in ("/etc", "/var/lib/ctr", "/var/lib", "/"):
        for parent, directories, names in os.walk(top):
            if top != "/etc" or parent == str(STORE):
                directories.clear()
            for name in sorted([*directories, *names, "."]):
                status = os.lstat(os.path.join(parent, name))
                if top == "/etc" or name != ".":
                    found.append(
                        (parent, name, status.st_mode, status.st_uid)
                        + ((status.st_nlink, status.st_size) if top == "/etc" or stat.S_ISREG(status.st_mode) else ())
                        + ((status.st_mtime_ns, status.st_ctime_ns) if top == "/etc" else ())
                    )
    return [item for item in found if item[0] == "/etc" or not str(item[0]).startswith("/var/lib/ctr/images")]


def test_damaged_content_is_refused(tmp_path: Path, kind: str) -> None:
    """A blob that is not what its digest says, and a layer that is not its diff ID, are refused and named."""
    content = layer(file("a", os.urandom(1000)))
    tampered = layout(tmp_path / "tampered", content, name="localhost/tampered:1")
    blob = max((tampered / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    claimed = layout(tmp_path / "claimed", content, name="localhost/claimed:1", diff_ids=[digest(b"something else")])
    before = stored_layers()
    for source in (tampered, claimed):
        done = fetch("pull", f"oci:{source}", kind=kind, check=False)
        assert done.returncode == 125
        assert "layer sha256:" in done.stderr
        assert "damaged" in done.stderr
        assert stored_layers() == before
        assert leftovers() == ()


def test_a_tampered_manifest_or_config_is_refused(tmp_path: Path) -> None:
    """The configuration is checked against the manifest, as layers are."""
    source = layout(tmp_path / "oci", layer(file("a")), name="localhost/tampered:1")
    manifest = json.loads(
        (
            source / "blobs/sha256" / json.loads((source / "index.json").read_text())["manifests"][0]["digest"][7:]
        ).read_text()
    )
    config = source / "blobs/sha256" / manifest["config"]["digest"][7:]
    config.write_bytes(config.read_bytes() + b" ")
    done = fetch("pull", f"oci:{source}", check=False)
    assert done.returncode == 125
    assert "config has digest" in done.stderr


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """An image for another machine says so instead of failing when it runs."""
    source = layout(tmp_path / "oci", layer(file("a")), name="localhost/foreign:1", architecture="s390x")
    done = fetch("pull", f"oci:{source}", check=False)
    assert done.returncode == 125
    assert "is for linux/s390x, this host is linux/" in done.stderr


def test_errors_of_the_registry_say_what_to_do(registry: Registry, tmp_path: Path) -> None:
    """No such image, TLS against plain HTTP, and nobody listening are told apart."""
    reference = registry.push(layout(tmp_path / "oci", layer(file("a"))), "known:1")
    assert "no such image" in pull(f"{registry.address}/unknown:1", check=False).stderr
    assert "--tls-verify=false" in fetch("pull", reference, check=False).stderr
    assert "connection refused" in pull("127.0.0.1:1/web", check=False).stderr
    assert "is not a repository name" in fetch("pull", "UPPER/case", check=False).stderr


def test_a_pull_killed_anywhere_leaves_a_store_that_works(registry: Registry, tmp_path: Path) -> None:
    """SIGKILL to every process of the worker at 20 points of a pull: each time the image is whole or not there; then
    a pull
    works, and nothing is left of the others."""
    content = [layer(file(f"data{n}", random.Random(n).randbytes(6_000_000))) for n in range(4)]
    reference = registry.push(layout(tmp_path / "oci", *content), "killed:1")
    before = stored_layers()
    started = time.monotonic()
    pull(reference)
    duration = time.monotonic() - started
    ctrctl("image", "rm", reference)
    killed = 0
    for point in range(20):
        began = time.monotonic()
        command = ("ctrctl", "pull", "--tls-verify=false", reference)
        with background(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                process.wait(timeout=duration * point / 20)
            except subprocess.TimeoutExpired:
                systemctl("kill", "--kill-who=all", "--signal=KILL", "ctr-store@killed*.service", check=False)
            said = process.communicate()[1]
        if not process.returncode:
            duration = min(duration, time.monotonic() - began)  # this host may have been busier before
        if process.returncode:
            killed += 1
            assert process.returncode == 125
            assert "ended with signal" in said
        present = [image for image in images() if reference in image["names"]]  # type: ignore[operator]
        if present:
            assert len(tree(reference, tmp_path / "root")) == 5
            ctrctl("image", "rm", reference)
    assert killed > 5
    pull(reference)
    assert leftovers() == ()
    assert stored_layers() - before == {digest(data).removeprefix("sha256:") for data in content}


def test_an_interrupted_pull_stops_the_worker(registry: Registry, tmp_path: Path) -> None:
    """Ctrl-C in ``ctrctl pull`` ends the unit that stores, and with it its workers."""
    content = layer(file("data", random.Random(0).randbytes(40_000_000)))
    reference = registry.push(layout(tmp_path / "oci", content), "interrupted:1")

    def is_pulling() -> bool:
        return "ctr-store@interrupted" in systemctl("list-units", "--all", "ctr-store@*").stdout

    for _ in range(5):  # it may be over before we are asked again
        command = ("ctrctl", "pull", "--tls-verify=false", reference)
        with background(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            wait_until(lambda: is_pulling() or process.poll() is not None, what="the pull")
            process.send_signal(signal.SIGINT)
            process.communicate()
        if process.returncode:
            break
        ctrctl("image", "rm", reference)
    assert process.returncode == 130
    running = systemctl("list-units", "--state=activating,active", "--plain", "--no-legend", "ctr-store@*").stdout
    assert "interrupted" not in running
    wait_until(lambda: not systemctl("list-units", "--all", "--plain", "--no-legend", "ctr-image@*").stdout)
    ctrctl("image", "rm", reference, check=False)
    pull(reference)  # sweeps what the stopped worker left


@pytest.fixture
def small_disk() -> Iterator[None]:
    """The image store on a file system of 16 MiB."""
    run("mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", STORE)
    yield
    run("umount", STORE)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    """An image that does not fit, and one that only claims to be small, are refused; the store stays usable."""
    random_data = layer(file("data", random.Random(1).randbytes(20_000_000)))
    bomb = layer(file("zeros", bytes(60_000_000)))
    for name, content in (("large", random_data), ("bomb", bomb)):
        source = layout(tmp_path / name, content, name=f"localhost/{name}:1")
        done = fetch("pull", f"oci:{source}", kind=kind, check=False)
        assert done.returncode == 125
        assert "free some space" in done.stderr
        assert digest(content) in done.stderr
        assert leftovers() == ()
        assert stored_layers() == frozenset()
    many = layer(*(file(f"{n:05}", b"x") for n in range(12_000)))
    # Not forced any more: no kernel mounts EROFS from a tmpfs, which is found out by trying.
    done = fetch("pull", f"oci:{layout(tmp_path / 'many', many, name='localhost/many:1')}", check=False)
    if done.returncode:
        assert "space" in done.stderr
    assert leftovers() == ()
    fetch("pull", f"oci:{layout(tmp_path / 'small', layer(file('a')), name='localhost/small:1')}")
    assert [image["names"] for image in images() if image["names"] == ["localhost/small:1"]]


def test_load_takes_every_image_of_an_archive(tmp_path: Path) -> None:
    """docker's and OCI archives, plain or compressed, from a file or standard input; all images in them, with their
    names.
    """
    sources = [layout(tmp_path / f"{n}", layer(file(f"{n}", os.urandom(50)))) for n in range(2)]
    archive = tmp_path / "docker.tar"
    for number, source in enumerate(sources):
        target = f"docker-archive:{archive if number == 0 else tmp_path / 'second.tar'}:localhost/loaded:{number}"
        run("skopeo", "--insecure-policy", "copy", f"oci:{source}", target)
    assert ctrctl("image", "load", "-i", archive).stdout == "localhost/loaded:0\n"
    with (tmp_path / "second.tar").open("rb") as stdin:
        done = subprocess.run(("ctrctl", "image", "load"), stdin=stdin, capture_output=True, text=True, check=True)
    assert done.stdout == "localhost/loaded:1\n"
    named = layout(tmp_path / "named", layer(file("n", os.urandom(50))), name="localhost/oci:1")
    run("tar", "-C", named, "-czf", tmp_path / "oci.tar.gz", ".")
    assert ctrctl("image", "load", tmp_path / "oci.tar.gz").stdout == "localhost/oci:1\n"
    assert ctrctl("image", "load", "--name", "renamed", named).stdout == (
        "docker.io/library/renamed:latest\nlocalhost/oci:1\n"
    )


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_import_makes_an_image_of_a_root(tmp_path: Path, kind: str, compress: Callable[[bytes], bytes]) -> None:
    """A tar of a root file system, however compressed, becomes an image of one layer with the configuration asked
    for.
    """
    (tmp_path / "packed").write_bytes(compress(layer(directory("etc"), file("etc/passwd", PASSWD))))
    changes = ("-c", 'CMD ["/bin/web", "-v"]', "-c", "ENV A=1 B='2 3'", "-c", "USER web", "-c", "WORKDIR /srv")
    fetch("image", "import", *changes, tmp_path / "packed", "localhost/imported", kind=kind)
    found = inspect("imported")
    assert found["names"] == ["localhost/imported:latest"]
    config = found["config"]
    assert config["command"] == ["/bin/web", "-v"]
    assert config["environment"] == {"A": "1", "B": "2 3"}
    assert (config["user"], config["working_dir"]) == ("web", "/srv")


def test_account_files_come_from_the_topmost_layer(tmp_path: Path, kind: str) -> None:
    """/etc/passwd is what a container would read: of the topmost layer, through links inside the image, never the
    host's.
    """
    below = layer(directory("etc"), file("etc/passwd", b"below\n"), file("etc/group", b"group\n"))
    above = layer(directory("etc"), symlink("etc/passwd", "/usr/passwd"), file("usr/passwd", b"above\n"))
    outside = layer(directory("etc"), symlink("etc/passwd", "../../../../../../etc/hostname"), file("etc/.wh.group"))
    for name, layers, passwd, group in (
        ("one", (below, above), "above\n", "group\n"),
        ("two", (below, outside), "", ""),
    ):
        fetch("pull", f"oci:{layout(tmp_path / name, *layers, name=f'localhost/{name}:1')}", kind=kind)
        record = next(
            i for i in json.loads((STORE / "index.json").read_text())["images"] if i["names"] == [f"localhost/{name}:1"]
        )
        assert (record.get("passwd", ""), record.get("group", "")) == (passwd, group)


def test_rm_refuses_an_image_in_use(tmp_path: Path) -> None:
    """An image a deployed container runs from stays; one with several names loses only the name that was given."""
    source = layout(tmp_path / "oci", layer(file("a", os.urandom(50))), name="localhost/used:1")
    image = fetch("pull", f"oci:{source}").stdout.strip()
    deployed = STORE.parent / "containers/uses-it/deployed.json"
    deployed.parent.mkdir(parents=True)
    deployed.write_text(json.dumps({"image": image}))
    try:
        refused = ctrctl("image", "rm", "localhost/used:1", check=False)
        assert refused.returncode == 125
        assert "uses-it" in refused.stderr
        ctrctl("image", "tag", "localhost/used:1", "other:2")
        assert ctrctl("image", "rm", "localhost/used:1").stdout == "Untagged: localhost/used:1\n"
        assert inspect(image)["names"] == ["docker.io/library/other:2"]
    finally:
        deployed.unlink()
        deployed.parent.rmdir()


def test_credentials_reach_the_registry_they_are_for(tmp_path: Path) -> None:
    """A file that only root may read logs the worker in; without it, or with another registry's, access is refused."""
    with imagekit.registry(tmp_path, password="secret") as private:
        reference = private.push(layout(tmp_path / "oci", layer(file("a"))), "private:1")
        stored = {"auth": base64.b64encode(f"{imagekit.USER}:secret".encode()).decode()}
        authfile = tmp_path / "auth.json"
        for registry, accepted in ((private.address, True), ("127.0.0.1:1", False)):
            authfile.write_text(json.dumps({"auths": {registry: stored}}))
            authfile.chmod(0o600)
            ctrctl("image", "rm", reference, check=False)
            done = pull(reference, "--authfile", authfile, check=False)
            assert done.returncode == (0 if accepted else 125), done.stderr
        assert "refuses access" in done.stderr
        assert "refuses access" in pull(reference, check=False).stderr


def test_the_workers_are_confined() -> None:
    """systemd's own rating: of the unit that takes untrusted input, and of the one that writes the store."""
    assert rating("ctr-image@x.service") <= 1.5
    assert rating("ctr-store@x.service") <= 2.8


def rating(unit: str) -> float:
    rated = run("systemd-analyze", "security", "--no-pager", unit, check=False).stdout
    return float(rated.rpartition(f"{unit}: ")[2].split()[0])


@contextmanager
def taken_over(program: str) -> Iterator[None]:
    """While the context lasts, image workers run *program* (Python) in their sandbox instead of their own."""
    path = Path("/run/systemd/system/ctr-image@.service.d/taken-over.conf")
    path.parent.mkdir()
    script = Path("/usr/local/lib/taken-over.py")
    script.write_text(program)
    path.write_text(f"[Service]\nExecStart=\nExecStart=/usr/bin/python3 {script}\n")
    systemctl("daemon-reload")
    try:
        yield
    finally:
        shutil.rmtree(path.parent)
        script.unlink()
        systemctl("daemon-reload")


EXPLORE = """
import ctypes, json, os, socket
def attempt(what):
    try:
        return str(what())
    except OSError as error:
        return error.strerror
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
libc = ctypes.CDLL(None, use_errno=True)
found = {
    "uid": os.getuid(),
    "capabilities": [status["CapEff"].strip(), status["CapBnd"].strip()],
    "store": attempt(lambda: os.listdir("/var/lib/ctr/images")),
    "root": attempt(lambda: os.listdir("/root")),
    "write": [attempt(lambda: open(f"{place}/taken-over", "w"))
              for place in ("/var/lib/ctr", "/etc", "/run", "/run/lock", "/dev/shm")],
    "doors": [attempt(lambda: socket.socket(socket.AF_UNIX).connect(f"/run/{path}"))
              for path in ("ctr/image.sock", "dbus/system_bus_socket", "systemd/private")],
    "others": [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()],
    "namespace": libc.unshare(0x10000000),
}
line = socket.socket(fileno=os.dup(0))
line.sendall(json.dumps(found).encode() + b"\\n")
line.recv(1)
"""


def test_a_worker_that_is_taken_over_is_alone() -> None:
    """It has no capability and no store, home, file outside its /tmp, door to other workers or sight of them; each
    is a user of its own."""
    seen = []
    STORE.mkdir(0o700, parents=True, exist_ok=True)
    with taken_over(EXPLORE), ExitStack() as stack:
        for _ in range(2):
            line = stack.enter_context(socket.socket(socket.AF_UNIX))
            line.connect(str(RUNTIME / "image.sock"))
            seen.append(json.loads(stack.enter_context(line.makefile("r")).readline()))
    assert seen[0].pop("uid") != seen[1].pop("uid")
    for found in seen:
        found["write"] = [w for w in found["write"] if w not in ("Read-only file system", "Permission denied")]
        assert found == {
            "capabilities": ["0" * 16, "0" * 16],
            "store": "Permission denied",
            "root": "Permission denied",
            "write": [],
            "doors": ["Permission denied"] * 3,
            "others": [],
            "namespace": -1,
        }


LIE = """
import sys
sys.path.insert(0, "/usr/lib/ctr")
from supervisor.images import channel
line = channel.standard_input()
while line.next_order():
    line.answer([b"{}" * 512])
"""


def test_what_a_worker_makes_up_is_not_stored(registry: Registry, tmp_path: Path, kind: str) -> None:
    """Layers of an image, and an image that was asked for by digest, are refused unless they are what they have to
    be."""
    source = layout(tmp_path / "oci", layer(file("a", os.urandom(50))), name="localhost/honest:1")
    manifest = json.loads((source / "index.json").read_text())["manifests"][0]["digest"]
    reference = f"{registry.push(source, 'honest:1').removesuffix(':1')}@{manifest}"
    before = stored_layers()
    with taken_over(LIE):
        assert "content (diff ID) has digest" in fetch("pull", f"oci:{source}", kind=kind, check=False).stderr
        assert "sent a manifest with digest" in pull(reference, kind=kind, check=False).stderr
    assert stored_layers() == before
    pull(reference, kind=kind)


STAY = """
import os, time
if os.fork():
    os.wait()
time.sleep(3600)
"""


def test_a_worker_that_stays_is_ended_with_its_pull_alone(tmp_path: Path) -> None:
    """One that was taken over, and does not care that the connection is gone: when the writer is killed, and when the
    pull is interrupted. Workers of others go on."""
    source = layout(tmp_path / "oci", layer(file("a", os.urandom(50))), name="localhost/stays:1")
    endings = (
        lambda pull: systemctl("kill", "--kill-who=main", "--signal=KILL", "ctr-store@*.service"),
        lambda pull: pull.send_signal(signal.SIGINT),
    )
    with taken_over(STAY), socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(str(RUNTIME / "image.sock"))
            wait_until(lambda: len(running_workers()) == 1, what="the worker of somebody else")
            innocent = running_workers()
            for end in endings:
                with background("ctrctl", "pull", f"oci:{source}", stderr=subprocess.DEVNULL) as process:
                    wait_until(lambda: running_workers() > innocent, what="the worker of the pull")
                    end(process)
                    process.wait(60)
                wait_until(lambda: running_workers() == innocent, what="the end of the pull's worker")
        finally:
            systemctl("stop", "ctr-image@*.service")
    fetch("pull", f"oci:{source}")  # sweeps what the others left


def running_workers() -> set[str]:
    listed = systemctl("list-units", "--state=active", "--plain", "--no-legend", "ctr-image@*").stdout
    return {line.split()[0] for line in listed.splitlines()}


SPY = """#!/bin/sh
echo "$(id -u) $(grep -c 'CapEff.*0000000000000000' /proc/self/status) $(ls /var/lib/ctr/images 2>&1)" >&2
exit 1
"""


@pytest.mark.skipif(not EROFS, reason="mkfs.erofs here has no --tar (erofs-utils 1.7)")
def test_the_program_that_makes_indexes_is_a_user_of_its_own(tmp_path: Path) -> None:
    """It reads what a stranger has sent: not as root, without capabilities, and with no way into the store."""
    program = shutil.which("mkfs.erofs")
    assert program
    (tmp_path / "spy").write_text(SPY)
    (tmp_path / "spy").chmod(0o755)
    run("mount", "--bind", tmp_path / "spy", program)
    try:
        source = layout(tmp_path / "oci", layer(file("a")), name="localhost/spied:1")
        said = fetch("pull", f"oci:{source}", kind="erofs", check=False).stderr
    finally:
        run("umount", program)
    user, without, reached = said.rpartition("made of it: ")[2].split(" ", 2)
    assert int(user) > 0x7000_0000
    assert without == "1"
    assert "Permission denied" in reached
