"""Volumes and bind mounts: content, owners, mount units, and what a hostile volume must not be able to do."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import STATE, ctrctl, is_active, main_pid, messages, run, service, show, systemctl, wait_until
from imagekit import directory, file, hardlink, layer, layout, symlink
from test_hostile import busybox_layer

Define = Callable[..., str]
Trace = Callable[[str, str], None]

VOLUMES, RECORDS = STATE / "volumes", STATE / "volume-records"
FILES = 60

IN_DATA = [
    directory("data", 0o750, uid=33, gid=44),
    directory("data/sub", 0o711, uid=5),
    directory("data/empty", 0o1777),
    *(file(f"data/sub/{n}", b"%d" % n, uid=33, mode=0o640) for n in range(FILES)),
    file("data/suid", b"x", mode=0o4755, pax={"SCHILY.xattr.user.demo": "kept"}),
    hardlink("data/again", "data/suid"),
    symlink("data/relative", "sub/1"),
    symlink("data/absolute", "/etc/passwd"),
]
#: One directory with files in it and nothing else.
IN_TREE = [directory("tree"), directory("tree/dir"), *(file(f"tree/dir/{n}", b"x") for n in range(9))]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with busybox and something of everything in /data."""
    path = layout(
        tmp_path_factory.mktemp("image") / "oci",
        busybox_layer(),
        layer(*IN_DATA, *IN_TREE),
        name="localhost/filled:latest",
        config={"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"},
    )
    ctrctl("image", "load", path)
    yield "localhost/filled:latest"
    ctrctl("image", "rm", "--force", "localhost/filled:latest")


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that calls /state, which everybody may write, a volume."""
    passwd = file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    path = layout(
        tmp_path_factory.mktemp("image") / "oci",
        busybox_layer(),
        layer(directory("etc"), passwd, directory("state", 0o777), file("state/first", b"image's")),
        name="localhost/asking:latest",
        config={"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL", "Volumes": {"/state": {}}},
    )
    ctrctl("image", "load", path)
    yield "localhost/asking:latest"
    ctrctl("image", "rm", "--force", "localhost/asking:latest")


@pytest.fixture(autouse=True)
def no_volume_stays() -> Iterator[None]:
    """Volumes that the test made are removed after its containers; each leaves no file, unit or mount."""

    def present() -> set[str]:
        return {path.name.removesuffix(".json") for place in (VOLUMES, RECORDS) for path in place.glob("*")}

    before = present()
    yield
    if made := present() - before:
        names = {name.removesuffix(".copying") for name in made}
        ctrctl("volume", "rm", "--force", *sorted(names), check=False)
    assert present() == before
    assert not list(Path("/etc/systemd/system").glob("var-lib-ctr-volumes-*"))


@pytest.fixture
def trace(define: Define) -> Iterator[Trace]:
    """``trace("web", "SYSCALL:signal=…:when=N")``: the next start of ctr@web runs under strace, which injects that."""
    written: list[Path] = []

    def arrange(name: str, inject: str) -> None:
        path = Path(f"/run/systemd/system/{service(name)}.d/90-strace.conf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "[Service]\nExecStart=\nExecStart=/usr/bin/strace --daemonize --follow-forks --quiet=all "
            f"--output=/dev/null --trace={inject.partition(':')[0]} --inject={inject} /usr/lib/ctr/ctr-launch %i\n"
        )
        written.append(path)
        systemctl("daemon-reload")

    yield arrange
    for path in written:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            path.parent.rmdir()
    systemctl("daemon-reload")


def untrace(name: str) -> None:
    Path(f"/run/systemd/system/{service(name)}.d/90-strace.conf").unlink()
    systemctl("daemon-reload")
    systemctl("reset-failed", service(name), check=False)


def text(image: str, *lines: str) -> str:
    return "\n".join(["[Container]", f"Image={image}", "Network=none", *lines, ""])


def in_container(image: str, *options: str, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run *command* in a container that is gone afterwards."""
    words = ["run", "--rm", "--network=none", "--name=probe", *options, image, "sh", "-c", command]
    return ctrctl(*words, check=check)


def complete(volume: str) -> None:
    """The volume holds exactly what the image has in /data."""
    root = VOLUMES / volume
    assert {p.name for p in root.iterdir()} == {"sub", "empty", "suid", "again", "relative", "absolute"}
    assert {p.name: p.read_text() for p in (root / "sub").iterdir()} == {str(n): str(n) for n in range(FILES)}
    for path, mode, owner in (
        (root, 0o750, (33, 44)),
        (root / "sub", 0o711, (5, 0)),
        (root / "sub/7", 0o640, (33, 0)),
        (root / "empty", 0o1777, (0, 0)),
        (root / "suid", 0o4755, (0, 0)),
    ):
        found = path.lstat()
        assert (stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)) == (mode, owner), path
    assert (root / "suid").samefile(root / "again")
    assert (root / "suid").stat().st_mtime == 1_600_000_000
    assert os.getxattr(root / "suid", "user.demo") == b"kept"
    assert ((root / "relative").readlink(), (root / "absolute").readlink()) == (Path("sub/1"), Path("/etc/passwd"))
    assert not list(RECORDS.glob("*.copying"))


# what a new volume starts with


def test_a_new_volume_gets_the_images_content(filled: str, define: Define) -> None:
    """Owners, modes, times, attributes, hard and symbolic links; what is changed then stays over restarts, also what
    is removed; one that was emptied is filled again."""
    unit = define("web", text(filled, "Volume=full:/data"))
    systemctl("start", unit)
    complete("full")
    ctrctl("exec", "web", "sh", "-c", "rm -r /data/sub; echo mine > /data/new")
    systemctl("restart", unit)
    assert not (VOLUMES / "full/sub").exists()
    assert (VOLUMES / "full/new").read_text() == "mine\n"
    ctrctl("exec", "web", "sh", "-c", "rm -r /data/*")
    systemctl("restart", unit)
    complete("full")


def test_nothing_to_copy(filled: str) -> None:
    """Nothing is copied against the author's will, or from where the image has nothing; of an empty directory the
    volume takes the mode."""
    options = ["-v=unwanted:/data:nocopy", "-v=other:/not/there", "-v=sticky:/data/empty"]
    listed = in_container(filled, *options, command="ls -ld /data /not/there /data/empty").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["drwxr-xr-x", "drwxrwxrwt", "drwxr-xr-x"]
    # The place of the nested mount.
    assert [path.name for path in (VOLUMES / "unwanted").iterdir()] == ["empty"]
    assert not list((VOLUMES / "other").iterdir()) + list((VOLUMES / "sticky").iterdir())


def test_a_volumes_definition_decides_owner_and_copy(filled: str, define: Define) -> None:
    """UID= and GID= win over the image's directory, Copy=no leaves the volume empty."""
    define("own", "[Volume]\nVolumeName=own\nUID=7\nGID=8\n", suffix=".volume", apply=False)
    define("bare", "[Volume]\nVolumeName=bare\nCopy=no\nUID=9\n", suffix=".volume", apply=False)
    unit = define("web", text(filled, "Volume=own.volume:/data", "Volume=bare.volume:/data/sub"))
    systemctl("start", unit)
    for name, owner, entries in (("own", (7, 8), 6), ("bare", (9, 0), 0)):
        found = (VOLUMES / name).stat()
        assert (found.st_uid, found.st_gid) == owner
        assert len(list((VOLUMES / name).iterdir())) == entries
    assert ctrctl("volume", "rm", "own", check=False).returncode == 125


def test_containers_that_start_at_once_share_one_copy(filled: str, define: Define) -> None:
    """Each finds the new volume complete, whoever of them filled it."""
    names = ["one", "two", "three"]
    count = f"test $(ls /data/sub | wc -l) = {FILES} && test -u /data/again"
    for name in names:
        body = text(filled, "Volume=shared:/data", f"Exec=sh -c '{count}'") + "[Service]\nType=oneshot\n"
        define(name, body, apply=False)
    ctrctl("apply")
    systemctl("start", *map(service, names))
    complete("shared")
    systemctl("stop", *map(service, names))


def test_a_volume_of_the_image_is_writable_and_goes_with_its_container(asking: str, define: Define) -> None:
    """In a read-only root too, filled, kept over restarts, erased with the definition's container. Its user, a number
    that the image does not know, has a name and a home."""
    unit = define("web", text(asking, "ReadOnly=true", "User=1234", "WorkingDir=/tmp"))
    systemctl("start", unit)
    seen = ctrctl("exec", "web", "sh", "-c", "cp /state/first /state/mine && whoami && cd ~ && pwd")
    assert seen.stdout.split() == ["1234", "/tmp"]
    systemctl("restart", unit)
    (listed,) = json.loads(ctrctl("volume", "ls", "--format", "json").stdout)
    assert listed["containers"] == ["web"]
    assert (VOLUMES / listed["name"] / "mine").read_text() == "image's"
    assert (VOLUMES / listed["name"] / "mine").stat().st_uid == 1234
    ctrctl("rm", "--force", "web")
    assert list(VOLUMES.iterdir()) == []


def test_what_was_run_keeps_the_volume_of_its_image(asking: str, tidy: Callable[[str], str]) -> None:
    """Until it is removed with its volumes, as --rm does; users of its own write there as themselves."""
    options = ("--network=none", "--userns=auto", "--name", tidy("web"), asking)
    ctrctl("run", "-d", *options)
    ctrctl("exec", "web", "touch", "/state/mine")
    ctrctl("rm", "--force", "web")
    (volume,) = VOLUMES.iterdir()
    assert (volume / "mine").stat().st_uid == 0
    ctrctl("run", "--rm", *options, "test", "-e", "/state/mine")
    assert not volume.exists()


@pytest.mark.parametrize("inject", ["utimensat:signal=KILL:when=9", "umount2:signal=KILL:when=1"])
def test_a_copy_that_was_killed_is_made_again(inject: str, filled: str, define: Define, trace: Trace) -> None:
    """cp in the middle of it, or the launcher's child right after: that start fails, the next finds all complete; what
    somebody else put there in the meantime stays."""
    unit = define("web", text(filled, "Volume=killed:/data"))
    trace("web", inject)
    assert systemctl("start", unit, check=False).returncode != 0
    assert (RECORDS / "killed.copying").stat().st_size
    untrace("web")
    theirs = VOLUMES / "killed/theirs"
    theirs.write_text("kept")
    systemctl("start", unit)
    assert theirs.read_text() == "kept"
    theirs.unlink()
    complete("killed")


def copied(volume: str) -> list[Path]:
    """What is in a volume so far."""
    return list((VOLUMES / volume).rglob("*"))


def test_a_launcher_killed_while_it_copies_leaves_nothing_running(filled: str, define: Define, trace: Trace) -> None:
    """SIGKILL to the launcher ends cp too, and a second start begins only when it is gone."""
    unit = define("web", text(filled, "Volume=killed:/data"))
    trace("web", "utimensat:signal=STOP:when=9")
    systemctl("start", "--no-block", unit)
    wait_until(lambda: len(copied("killed")) > 5, what="cp has begun; it is stopped at its ninth file")
    os.kill(main_pid("web"), signal.SIGKILL)
    wait_until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", what="the start has failed")
    # It is dead, though nobody may have taken note of it (a zombie); the wait is for that.
    wait_until(lambda: not run("pgrep", "-x", "cp", check=False).stdout, what="cp has ended")
    untrace("web")
    systemctl("start", unit)
    complete("killed")


def test_a_link_put_in_the_way_of_a_copy_leads_nowhere(
    filled: str, define: Define, trace: Trace, tmp_path: Path
) -> None:
    """Somebody with the volume mounted swaps the directory that cp has just made for a link to the host's files: the
    start fails, and the host's directory is as it was."""
    unit = define("web", text(filled, "Volume=swapped:/tree"))
    victim = tmp_path / "victim"
    victim.mkdir()
    trace("web", "mkdirat:signal=STOP:when=1")
    systemctl("start", "--no-block", unit)
    # strace(1): the signal is delivered before cp returns from the call that makes the directory.
    (made,) = wait_until(lambda: copied("swapped"), what="cp has made a directory")
    made.rmdir()
    made.symlink_to(victim)

    def failed() -> bool:
        run("pkill", "-CONT", "-x", "cp", check=False)  # again, should it not have been stopped yet
        return show(unit, "ActiveState")["ActiveState"] == "failed"

    wait_until(failed, what="the start has failed")
    assert not list(victim.iterdir())
    assert victim.stat().st_uid == 0
    run("journalctl", "--sync")
    assert any("Too many levels of symbolic links" in line for line in messages(unit=unit))


# whose it is, and which part


def test_u_gives_the_volume_to_the_containers_user(busybox: str, tmp_path: Path) -> None:
    """All of it, a link itself and not what it leads to; the same for a bind mount."""
    outside = tmp_path / "outside"
    outside.write_text("root's")
    for source in (VOLUMES / "given", tmp_path / "bound"):
        (source / "deep").mkdir(parents=True)
        (source / "deep/link").symlink_to(outside)
        (source / "deep/dir").symlink_to(tmp_path)
    options = ["-u=1000:100", "-v=given:/a:U", f"-v={tmp_path}/bound:/b:U"]
    in_container(busybox, *options, command="touch /a/deep/x /b/deep/y")
    for path in (VOLUMES / "given/deep/link", tmp_path / "bound/deep/dir", tmp_path / "bound/deep/y"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (1000, 100)
    assert (outside.stat().st_uid, tmp_path.stat().st_uid) == (0, 0)


def test_u_has_the_time_it_takes(busybox: str, define: Define, trace: Trace, tmp_path: Path) -> None:
    """A start whose files are given away for longer than TimeoutStartSec= goes on."""
    lines = (f"Volume={tmp_path}:/x:U", "User=7", "Exec=sleep 1000", "StopSignal=SIGKILL")
    unit = define("web", text(busybox, *lines) + "[Service]\nTimeoutStartSec=8\n")
    trace("web", "fchownat:delay_enter=10000000:when=1")
    systemctl("start", unit)
    assert tmp_path.stat().st_uid == 7


def test_u_through_a_link_to_a_directory_of_the_system_is_refused(busybox: str, tmp_path: Path) -> None:
    """/media, which is empty, stays root's."""
    (tmp_path / "link").symlink_to("/media")
    failed = in_container(busybox, f"-v={tmp_path}/link:/y:ro,U", "-u=7", command="true", check=False)
    assert failed.returncode == 125
    assert f"option U would give away {tmp_path}/link" in failed.stderr
    assert Path("/media").stat().st_uid == 0


def test_a_subpath_never_leaves_its_volume(busybox: str) -> None:
    """A directory or a file of the volume is mounted alone; links are followed inside the volume only."""
    root = VOLUMES / "parts"
    (root / "logs/web").mkdir(parents=True)
    (root / "logs/web/f").write_text("mine")
    for name, target in (("in", "logs/web"), ("absolute", "/logs/web"), ("up", "../../../../logs/web")):
        (root / name).symlink_to(target)
    for name, target in (("out", "/etc"), ("up-out", "../../../../../../etc"), ("host", "/proc/1/root/etc")):
        (root / name).symlink_to(target)

    def seen(subpath: str) -> subprocess.CompletedProcess[str]:
        mount = f"--mount=type=volume,source=parts,target=/d,subpath={subpath}"
        return in_container(busybox, mount, command="ls /d; cat /d/f", check=False)

    for subpath in ("logs/web", "in", "absolute", "up"):
        assert seen(subpath).stdout == "f\nmine"
    mount = "--mount=type=volume,source=parts,target=/d,subpath=logs/web/f"
    assert in_container(busybox, mount, command="cat /d").stdout == "mine"
    for subpath in ("out", "up-out", "host", "missing"):
        failed = seen(subpath)
        assert failed.returncode == 125
        assert f"volume parts: subpath '{subpath}' does not exist in it" in failed.stderr


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("target", ["../../../../../../../../../etc", "/proc"])
def test_a_link_in_a_volume_moves_no_other_mount(target: str, runtime: str, busybox: str, tmp_path: Path) -> None:
    """crun would put the nested mount on whatever the link names in the container, /proc or another mount: refused."""
    root = VOLUMES / "hostile"
    root.mkdir(parents=True)
    (root / "link").symlink_to(target)
    options = ["-v=hostile:/data", f"-v={tmp_path}:/other"]
    if runtime == "runc":
        options += ["--runtime=runc"]
    for nested in (f"-v={tmp_path}:/data/link/deep", "--tmpfs=/data/link"):
        failed = in_container(busybox, *options, nested, command="true", check=False)
        assert failed.returncode == 125, failed
        assert "has a symbolic link on the way; refused" in failed.stderr
    found = in_container(busybox, *options, f"-v={tmp_path}:/data/plain", command="grep -c ' /data' /proc/mounts")
    assert found.stdout == "2\n"


# bind mounts


def test_a_bind_mount_that_cannot_be_is_refused_before_anything_runs(busybox: str, tmp_path: Path) -> None:
    """The source does not exist, or one end is a file and the other a directory: both are named."""
    (tmp_path / "file").touch()
    (VOLUMES / "afile").parent.mkdir(mode=0o700, exist_ok=True)
    for option, words in (
        (f"{tmp_path}/gone:/x", f"mount /x: {tmp_path}/gone does not exist on the host"),
        (f"{tmp_path}/file:/etc", f"{tmp_path}/file is a file, /etc in the container a directory"),
        (f"{tmp_path}:/etc/passwd", f"{tmp_path} is a directory, /etc/passwd in the container a file"),
        ("avolume:/etc/passwd", "mount /etc/passwd: the image has a file there; a volume needs a directory"),
        (f"{tmp_path}:/x:rshared", "rshared: "),
    ):
        failed = in_container(busybox, f"-v={option}", command="true", check=False)
        assert failed.returncode == 125
        assert words in failed.stderr
    assert not (tmp_path / "gone").exists()


def test_a_volume_that_is_a_file_is_refused(busybox: str) -> None:
    """It is named, and left alone."""
    VOLUMES.mkdir(mode=0o700, exist_ok=True)
    (VOLUMES / "afile").write_text("x")
    failed = in_container(busybox, "-v=afile:/x", command="true", check=False)
    assert failed.returncode == 125
    assert f"volume afile: {VOLUMES}/afile is not a directory" in failed.stderr
    assert (VOLUMES / "afile").read_text() == "x"


def test_mount_options_hold_inside(busybox: str, define: Define, tmp_path: Path) -> None:
    """ro, noexec, and propagation: a mount made on the host afterwards is seen through rslave only."""
    for name in ("ro", "noexec", "slave", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "on").mkdir()
    binds = {"ro": "ro", "noexec": "noexec", "slave": "rslave", "private": "private"}
    lines = [f"Volume={tmp_path}/{name}:/{name}:{option}" for name, option in binds.items()]
    unit = define("web", text(busybox, *lines, "StopSignal=SIGKILL", "Exec=sleep 1000"))
    systemctl("start", unit)

    def inside(command: str) -> subprocess.CompletedProcess[str]:
        return ctrctl("exec", "web", "sh", "-c", command, check=False)

    assert "Read-only file system" in inside("touch /ro/x").stderr
    assert "Permission denied" in inside("cp /bin/busybox /noexec/; /noexec/busybox true").stderr
    for name in ("slave", "private"):
        run("mount", "-t", "tmpfs", "later", tmp_path / name / "on")
    try:
        assert inside("grep later /proc/mounts").stdout.split()[1:2] == ["/slave/on"]
        assert len(inside("grep later /proc/mounts").stdout.splitlines()) == 1
    finally:
        for name in ("slave", "private"):
            run("umount", tmp_path / name / "on")


# volumes that are file systems


def test_volumes_that_systemd_mounts(busybox: str, tmp_path: Path) -> None:
    """A tmpfs keeps its content from one container to the next; a bind volume is the host's directory; removing them
    unmounts, and leaves the directory alone."""
    (tmp_path / "f").write_text("theirs")
    ctrctl("volume", "create", "memory", "-o", "type=tmpfs", "-o", "o=size=1m", "--uid=7")
    ctrctl("volume", "create", "bound", "-o", f"device={tmp_path}", "-o", "o=bind,noatime")
    options = ["-v=memory:/m", "-v=bound:/b"]
    in_container(busybox, *options, command="echo kept > /m/f; cat /b/f; echo mine > /b/g")
    assert (tmp_path / "g").read_text() == "mine\n"
    assert is_active("var-lib-ctr-volumes-memory.mount")
    look = "cat /m/f; df -k /m | tail -1; ls -lnd /m; grep ' /b ' /proc/mounts"
    shown = in_container(busybox, *options, command=look)
    kept, size, listed, mounted = shown.stdout.splitlines()
    assert (kept, size.split()[1], listed.split()[2]) == ("kept", "1024", "7")
    assert "noatime" in mounted
    ctrctl("volume", "rm", "memory", "bound")
    assert (tmp_path / "f").read_text() == "theirs"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_volume_that_is_mounted_read_only_is_not_written_to(runtime: str, filled: str, tmp_path: Path) -> None:
    """Neither by what fills a volume or gives it away, nor by the container, nor by an import; noexec holds too."""
    (tmp_path / "source").mkdir()
    (tmp_path / "f").touch()
    run("tar", "-cf", tmp_path / "f.tar", "-C", tmp_path, "f")
    options = ("-o", "type=none", "-o", f"device={tmp_path}/source", "-o", "o=bind,ro,noexec", "--uid=7")
    ctrctl("volume", "create", "fixed", *options)
    look = "grep ' /data ' /proc/mounts; touch /data/x"
    done = in_container(filled, f"--runtime={runtime}", "-v=fixed:/data:U", command=look, check=False)
    assert {"ro", "noexec"} <= set(done.stdout.split()[3].split(","))
    assert "Read-only file system" in done.stderr
    assert ctrctl("volume", "import", "fixed", tmp_path / "f.tar", check=False).returncode == 125
    assert not list((tmp_path / "source").iterdir())
    assert (tmp_path / "source").stat().st_uid == 0


def test_a_mount_that_was_made_read_only_is_respected(filled: str, tmp_path: Path) -> None:
    """By somebody else than ctr: an empty volume stays as it is, and U is refused."""
    # Of two sources: a second mount of one would be propagated onto the first, writable.
    mounted = {tmp_path / "source": VOLUMES / "sealed", tmp_path / "other": tmp_path / "bound"}
    for source, place in mounted.items():
        source.mkdir()
        place.mkdir(parents=True)
        run("mount", "--bind", "-o", "ro", source, place)
    try:
        in_container(filled, "-v=sealed:/data:ro", command="true")
        failed = in_container(filled, f"-v={tmp_path}/bound:/x:ro,U", "-u=7", command="true", check=False)
        assert failed.returncode == 125
        assert "Read-only file system" in failed.stderr
    finally:
        for place in mounted.values():
            run("umount", place)
    for source in mounted:
        assert not list(source.iterdir())
        assert source.stat().st_uid == 0


def test_a_file_is_mounted_through_a_loop_device(busybox: str, tmp_path: Path) -> None:
    """Which is gone with the volume."""
    (tmp_path / "content").mkdir()
    (tmp_path / "content/f").write_text("in the image")
    run("mkfs.erofs", tmp_path / "disk.img", tmp_path / "content")
    probe = run("losetup", "--find", "--show", tmp_path / "disk.img", check=False)
    if probe.returncode:
        pytest.skip("this host has no loop devices; contrib/testbed vm has them")
    run("losetup", "--detach", probe.stdout.strip())
    ctrctl("volume", "create", "disk", "-o", "type=erofs", "-o", f"device={tmp_path}/disk.img", "-o", "o=ro,loop")
    assert in_container(busybox, "-v=disk:/d:ro", command="cat /d/f").stdout == "in the image"
    ctrctl("volume", "rm", "disk")
    wait_until(lambda: str(tmp_path) not in run("losetup", "--all").stdout, what="the kernel has detached it")


def test_what_cannot_be_mounted_keeps_its_container_down(busybox: str, define: Define) -> None:
    """The message names the mount, the directory below stays empty; the volume can still be removed."""
    define("gone", "[Volume]\nVolumeName=gone\nType=ext4\nDevice=/srv/no-such-device\n", suffix=".volume", apply=False)
    unit = define("web", text(busybox, "Volume=gone.volume:/d", "Exec=touch /d/x"))
    assert systemctl("start", unit, check=False).returncode != 0
    failed = ctrctl("start", "web", check=False)
    assert failed.returncode == 125
    assert "var-lib-ctr-volumes-gone.mount" in failed.stderr
    assert not list((VOLUMES / "gone").glob("*"))
    ctrctl("rm", "--force", "web")
    ctrctl("volume", "rm", "gone")
    assert not systemctl("list-units", "--failed", "--no-legend", "var-lib-ctr-volumes-*").stdout


# ctrctl volume


def test_export_and_import_keep_everything(filled: str, tmp_path: Path) -> None:
    """Through a file and through a pipe, plain or compressed; an archive is its owner's alone."""
    in_container(filled, "-v=first:/data", command="true")
    ctrctl("volume", "export", "first", "-o", tmp_path / "first.tar")
    assert stat.S_IMODE((tmp_path / "first.tar").stat().st_mode) == 0o600
    run("gzip", tmp_path / "first.tar")
    for name in ("second", "third"):
        ctrctl("volume", "create", name)
    ctrctl("volume", "import", "second", tmp_path / "first.tar.gz")
    complete("second")
    run("sh", "-c", "ctrctl volume export second | ctrctl volume import third")
    complete("third")


def test_an_import_ends_a_copy_that_was_killed(filled: str, define: Define, trace: Trace, tmp_path: Path) -> None:
    """What was imported is not covered by the image's files with the next start."""
    unit = define("web", text(filled, "Volume=killed:/data"))
    trace("web", "utimensat:signal=KILL:when=9")
    assert systemctl("start", unit, check=False).returncode != 0
    assert (RECORDS / "killed.copying").stat().st_size
    untrace("web")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/1").write_text("imported")
    run("tar", "-cf", tmp_path / "sub.tar", "-C", tmp_path, "sub")
    ctrctl("volume", "import", "killed", tmp_path / "sub.tar")
    assert not (RECORDS / "killed.copying").exists()
    systemctl("start", unit)
    assert (VOLUMES / "killed/sub/1").read_text() == "imported"


def test_an_archive_writes_nowhere_else(tmp_path: Path) -> None:
    """Neither by its names nor by its links, nor by a link that lies in the volume already."""
    victim = tmp_path / "victim"
    victim.mkdir()
    ctrctl("volume", "create", "target")
    (VOLUMES / "target/old").symlink_to(victim)
    through = [symlink("new", str(victim)), file("new/a", b"x")]
    names = [f"..{victim}/c", f"../../../../../../../..{victim}/d", f"{victim}/e"]
    attacks = [through, [file("old/b", b"x")], [hardlink("passwd", "/etc/passwd")], [file(n, b"x") for n in names]]
    for number, members in enumerate(attacks):
        (tmp_path / f"{number}.tar").write_bytes(layer(*members))
        done = ctrctl("volume", "import", "target", tmp_path / f"{number}.tar", check=False)
        assert "Traceback" not in done.stderr
        assert not list(victim.iterdir()), members
    assert not (VOLUMES / "target/passwd").exists()
    (tmp_path / "junk").write_text("this is no archive")
    failed = ctrctl("volume", "import", "target", tmp_path / "junk", check=False)
    assert failed.returncode == 125
    assert "volume target: " in failed.stderr


def test_a_volume_in_use_stays(busybox: str, tidy: Callable[[str], str], define: Define) -> None:
    """rm names the containers, running or not; prune takes only what none names and no definition defines."""
    define("spare", "[Volume]\nVolumeName=spare\n", suffix=".volume")
    for name in ("used", "lost"):
        ctrctl("volume", "create", name, "--label=tier=test")
    in_container(busybox, "-v=implicit:/x", command="dd if=/dev/zero of=/x/f bs=1k count=64 2>/dev/null")
    ctrctl("create", "--network=none", "--name", tidy("holder"), "-v=used:/x", busybox, "true")
    listed = json.loads(ctrctl("volume", "ls", "--format=json").stdout)
    assert {one["name"]: one["containers"] for one in listed if one["containers"]} == {"used": ["holder"]}
    failed = ctrctl("volume", "rm", "used", check=False)
    assert failed.returncode == 125
    assert "volume used: container holder" in failed.stderr
    assert ctrctl("volume", "prune", check=False).returncode == 125
    assert (VOLUMES / "lost").exists()
    pruned = ctrctl("volume", "prune", "--force")
    assert pruned.stdout.split() == ["implicit", "lost"]
    assert "spare: kept" in pruned.stderr
    assert "freed: " in pruned.stderr
    assert not (VOLUMES / "implicit").exists()
    assert (VOLUMES / "used").exists()


def test_an_image_of_a_service_works_on_a_new_volume(image: Callable[[str], str]) -> None:
    """nginx finds its pages in a volume, which is then the place to change them."""
    nginx = image("nginx")
    found = in_container(nginx, "-v=pages:/usr/share/nginx", command="ls /usr/share/nginx")
    assert sorted(found.stdout.split()) == sorted(path.name for path in (VOLUMES / "pages").iterdir())
    assert found.stdout
