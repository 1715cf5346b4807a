"""Bad names, hostile images and missing files: a clear error each, and nothing left behind."""

from __future__ import annotations

import gzip
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import DEFINITIONS, STATE, ctrctl, is_active, main_pid, messages, names, run, systemctl, wait_until
from imagekit import device, file, layer, layout, symlink

Define = Callable[..., str]

BAD_NAMES = ["../x", "a/b", "-rf", "a" * 300, "a b", "ä", ".hidden"]


def busybox_layer() -> bytes:
    """The one layer of the busybox image, as a plain tar."""
    with tarfile.open("/usr/share/ctr-demo-images/busybox.tar") as archive:
        member = max(archive.getmembers(), key=lambda m: m.size)
        blob = archive.extractfile(member)
        assert blob
        return gzip.decompress(blob.read())


def load(path: Path, *layers: bytes, **options: object) -> str:
    """Store an image made of *layers*; its reference."""
    layout(path / "oci", *layers, name="localhost/hostile:latest", **options)  # type: ignore[arg-type]
    ctrctl("image", "load", path / "oci")
    return "localhost/hostile:latest"


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """``hostile(layer, …)``: an image that is gone after the test."""
    references: list[str] = []

    def make(*layers: bytes, **options: object) -> str:
        references.append(load(tmp_path, *layers, **options))
        return references[-1]

    yield make
    for reference in references:
        ctrctl("image", "rm", "--force", reference, check=False)


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda n: n[:10])
def test_a_bad_name_is_refused_everywhere(name: str, busybox: str) -> None:
    """No verb takes it, the message says what a name is, and no file of that name appears."""
    before = names(STATE, ["containers/*"]) | names(Path("/etc/systemd/system"))
    for arguments in (["run", "-d", f"--name={name}", busybox, "true"], ["start", "--", name], ["rm", "--", name]):
        done = ctrctl(*arguments, check=False)
        assert done.returncode == 125, arguments
        assert "name" in done.stderr or "no container" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert names(STATE, ["containers/*"]) | names(Path("/etc/systemd/system")) == before


@pytest.mark.parametrize("name", ["-rf", "a b", "ä"])
def test_a_definition_with_a_bad_file_name_is_refused(name: str, define: Define, busybox: str) -> None:
    """The file is named, and nothing is deployed."""
    path = DEFINITIONS / f"{name}.container"
    path.write_text(f"[Container]\nImage={busybox}\nNetwork=none\nContainerName={name}\n")
    try:
        done = ctrctl("apply", check=False)
        assert done.returncode == 1
        assert f"{path}:" in done.stderr
    finally:
        path.unlink()


def test_the_launcher_itself_refuses_a_bad_name() -> None:
    """A unit instance that is no container name goes nowhere near a path."""
    for name in ("..", "a\\x2fb", "-rf"):
        unit = f"ctr@{name}.service"
        systemctl("start", "--", unit, check=False)
        systemctl("reset-failed", "--", unit, check=False)
    assert any("is not valid" in line for line in messages(unit="ctr@...service"))


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_mount_target_that_is_a_link_is_refused(name: str, define: Define, hostile: Callable[..., str]) -> None:
    """An image whose /dev (or /proc, /sys) leads elsewhere does not start; the host's /etc is as it was."""
    before = sorted(p.name for p in Path("/etc").iterdir())
    image = hostile(layer(symlink(name, "/etc")))
    unit = define("web", f"[Container]\nImage={image}\nNetwork=none\nExec=/bin/true\n")
    assert systemctl("start", unit, check=False).returncode != 0
    assert f"/{name} is a symbolic link to /etc; refused" in "\n".join(messages(unit=unit))
    assert sorted(p.name for p in Path("/etc").iterdir()) == before


def test_image_labels_never_reach_systemd_or_the_runtime(define: Define, hostile: Callable[..., str]) -> None:
    """Labels that crun would take for orders (org.systemd.property.*, run.oci.*) are only labels."""
    marker = Path("/var/tmp/hostile-label")
    labels = {
        "org.systemd.property.ExecStart": f"['/usr/bin/touch {marker}']",
        "org.systemd.property.TasksMax": "uint64 1",
        "run.oci.hooks.stderr": str(marker),
        "run.oci.mount_context_type": "rootcontext",
    }
    image = hostile(layer(file("x")), config={"Labels": labels, "Cmd": ["/nothing"]})
    unit = define("web", f"[Container]\nImage={image}\nNetwork=none\n")
    systemctl("start", unit, check=False)
    assert "org.systemd.property" not in (STATE / "containers/web/config.json").read_text()
    assert not marker.exists()


@pytest.mark.parametrize("key", ["org.systemd.property.ExecStart", "run.oci.hooks.stderr"])
def test_annotations_that_are_orders_are_refused(key: str, define: Define, busybox: str) -> None:
    """A definition cannot smuggle them in either; the error has file and line."""
    define("web", f"[Container]\nImage={busybox}\nNetwork=none\nAnnotation={key}=x\n", apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode == 1
    assert "web.container" in done.stderr and key.rpartition(".")[0].split(".")[0] in done.stderr
    assert not (STATE / "containers/web").exists()


def test_a_missing_environment_file_fails_the_start(define: Define, busybox: str) -> None:
    """The unit's log names the file, nothing stays, and with the file there the same start works."""
    path = Path("/var/tmp/app.env")
    path.unlink(missing_ok=True)
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nEnvironmentFile={path}\nExec=sleep 1000\n"
    unit = define("web", text, apply=False)
    ctrctl("apply", check=False)
    assert systemctl("start", unit, check=False).returncode != 0
    assert f"{path}: No such file or directory" in "\n".join(messages(unit=unit))
    path.write_text("MODE=real\n")
    try:
        systemctl("start", unit)
        pid = main_pid("web")
        assert b"MODE=real" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    finally:
        path.unlink()


def test_a_full_disk_fails_the_start_and_leaves_nothing(define: Define, busybox: str) -> None:
    """With no space left under the container's state, the start fails with the reason; with space, it works again."""
    unit = define("web", f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n")
    state = STATE / "containers"
    kept = Path("/var/tmp/kept")
    run("cp", "--archive", state, kept)
    run("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", state)
    try:
        run("cp", "--archive", f"{kept}/.", state)
        subprocess.run(["dd", "if=/dev/zero", f"of={state}/fill", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
        done = systemctl("start", unit, check=False)
        if done.returncode:
            assert "No space left" in "\n".join(messages(unit=unit))
        (state / "fill").unlink()
        systemctl("start", unit)
        assert is_active(unit)
        systemctl("stop", unit, check=False)
    finally:
        run("umount", state)
        run("rm", "-rf", kept)


def test_device_nodes_of_an_image_do_not_work(define: Define, hostile: Callable[..., str]) -> None:
    """A device node that comes with a layer cannot be opened: a nodev root, and the scope's device policy."""
    command = {"Cmd": ["/bin/sh", "-c", "head -c1 /memory"]}
    image = hostile(busybox_layer(), layer(device("memory", 1, 1)), config=command)
    unit = define("web", f"[Container]\nImage={image}\nNetwork=none\n[Service]\nType=oneshot\n")
    began = time.time()
    assert systemctl("start", unit, check=False).returncode != 0
    said = wait_until(lambda: "\n".join(messages("CONTAINER_NAME=web", since=began)), what="the relay passes it on")
    assert "Permission denied" in said or "not permitted" in said
