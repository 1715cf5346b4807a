"""Mounts of images, overlays, patterns and the rarer kinds, seen from inside the container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import STATE, ctrctl, messages, run, systemctl, wait_until
from imagekit import directory, file, layer, layout

Define = Callable[..., str]
Tidy = Callable[[str], str]
RUNTIMES = ("crun", "runc")
ALONE = ("--rm", "--network", "none")
FILES = "localhost/files:latest"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of two layers with nothing to run in it: /sub/one, and /sub/two over an older one."""
    path = layout(
        tmp_path_factory.mktemp("image") / "oci",
        layer(directory("sub"), file("sub/one", b"1"), file("sub/two", b"old")),
        layer(file("sub/two", b"2", uid=33)),
        name=FILES,
    )
    ctrctl("image", "load", path)
    yield FILES
    ctrctl("image", "rm", "--force", FILES)


def shell(image: str, script: str, *options: str) -> list[str]:
    return ctrctl("run", *ALONE, *options, image, "sh", "-c", script).stdout.split()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_image_is_mounted(busybox: str, files: str, runtime: str) -> None:
    """All its layers, read-only; writable when asked for, without any trace in the image; or a part of it."""
    source = f"type=image,source={files}"
    mounts = (f"{source},target=/m", f"{source},target=/w,rw=true", f"{source},target=/p,subpath=/sub")
    script = (
        "cat /m/sub/*; stat -c :%u /m/sub/two; echo 9 2>/dev/null > /m/sub/one; "
        "echo 9 > /w/sub/one && cat /w/sub/one; cat /m/sub/one; echo; ls /p"
    )
    options = (word for mount in mounts for word in ("--mount", mount))
    assert shell(busybox, script, "--runtime", runtime, *options) == ["12:33", "9", "1", "one", "two"]


def test_a_mounted_image_is_in_use(define: Define, busybox: str, files: str) -> None:
    """It cannot be removed; one that is not there is an error of apply that names it."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nMount=type=image,source={files},destination=/m\nExec=true\n"
    define("user", text)
    refused = ctrctl("image", "rm", files, check=False)
    assert refused.returncode != 0 and "user" in refused.stderr
    define("user", text.replace(files, "localhost/nosuch:1"), apply=False)
    refused = ctrctl("apply", "--no-pull", check=False)
    assert refused.returncode != 0 and "image localhost/nosuch:1: is to be mounted, and not here" in refused.stderr
    define("user", text)


def test_an_overlay_leaves_its_source_alone(busybox: str, tmp_path: Path) -> None:
    """What the container writes is there while it runs, and gone afterwards; owner and mode are the source's."""
    source = tmp_path / "a,b"
    source.mkdir(0o750)
    (source / "old").write_text("old")
    run("chown", "33:44", source)
    script = "stat -c %u:%g:%a /m; ls /m; rm /m/old; echo > /m/new; ls /m"
    for _ in range(2):
        found = shell(busybox, script, "-v", f"{source}:/m:O")
        assert found == ["33:44:750", "old", "new"]
    assert [path.name for path in source.iterdir()] == ["old"]
    assert not list(STATE.glob("containers/*/scratch"))


def test_an_overlay_of_a_volume_or_a_root(busybox: str, tmp_path: Path) -> None:
    """The volume is filled first, and then stays as it is; so does a directory that is the root."""
    try:
        found = shell(busybox, "ls /etc/passwd; echo x > /etc/new; ls /etc/new", "-v", "etc-copy:/etc:O")
        assert found == ["/etc/passwd", "/etc/new"]
        volume = STATE / "volumes/etc-copy"
        assert (volume / "passwd").exists() and not (volume / "new").exists()
    finally:
        ctrctl("volume", "rm", "etc-copy")


def test_an_overlay_that_is_kept(define: Define, busybox: str, tmp_path: Path) -> None:
    """In upperdir=, over several starts; a directory that is not there is named."""
    upper, work, lower = (tmp_path / name for name in ("up:per", "work", "lower"))
    for path in (upper, work, lower):
        path.mkdir()
    kept = f"{lower}:/m:O,upperdir={tmp_path}/upper,workdir={work}"
    missing = ctrctl("run", *ALONE, "-v", kept, busybox, "true", check=False)
    assert f"{tmp_path}/upper: no such file or directory" in missing.stderr
    upper.rename(tmp_path / "upper")
    for count in ("1", "2"):
        assert shell(busybox, "echo >> /m/new; wc -l < /m/new", "-v", kept) == [count]
    assert (tmp_path / "upper/new").exists() and not (lower / "new").exists()


def test_a_root_that_stays_as_it_is(define: Define, tidy: Tidy, tmp_path: Path, busybox: str) -> None:
    """Rootfs=DIRECTORY:O."""
    root = tmp_path / "root"
    root.mkdir()
    options = ("-d", "--network", "none", "--stop-signal", "SIGKILL")
    ctrctl("run", *options, "--name", tidy("original"), busybox, "sleep", "1000")
    ctrctl("cp", "original:/usr", root)
    (root / "bin").symlink_to("usr/bin")
    unit = define("rooted", f"[Container]\nRootfs={root}:O\nNetwork=none\nExec=/bin/sh -c 'echo > /new'\n")
    systemctl("start", unit)
    wait_until((STATE / "containers/rooted/last-exit").exists, what="the container has ended")
    assert '"status": 0' in (STATE / "containers/rooted/last-exit").read_text()
    assert sorted(path.name for path in root.iterdir()) == ["bin", "usr"]


def test_a_pattern(define: Define, busybox: str, tmp_path: Path) -> None:
    """Each path that matches when it is deployed, hidden ones too; a new one takes an apply; none is an error."""
    for name in ("a.conf", ".b.conf", "c.txt"):
        (tmp_path / name).write_text(name)
    source = f"type=glob,source={tmp_path}/*.conf,target=/etc/app,ro"
    told = ctrctl("run", *ALONE, "--mount", f"type=glob,source={tmp_path}/*.x,target=/x", busybox, "true", check=False)
    assert told.returncode == 125 and "no path of the host matches" in told.stderr
    text = f"[Container]\nImage={busybox}\nNetwork=none\nMount={source}\nExec=true\n"
    unit = define("patterned", text.replace("Exec=true", "Exec=ls -A /etc/app"))
    systemctl("start", unit)
    wait_until(lambda: {".b.conf", "a.conf"} <= set(messages("SYSLOG_IDENTIFIER=patterned")), what="it has told them")
    wait_until((STATE / "containers/patterned/last-exit").exists, what="the container has ended")
    assert "1 container unchanged" in ctrctl("apply").stdout
    (tmp_path / "d.conf").write_text("d")
    assert "patterned: changed" in ctrctl("apply").stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_kinds_without_a_source(busybox: str, runtime: str) -> None:
    """A ramfs and a devpts of the container's own."""
    script = "grep -E ' /(r|p) ' /proc/self/mounts | cut -d' ' -f2,3; echo x > /r/x; cat /r/x"
    mounts = ("--mount", "type=ramfs,target=/r", "--mount", "type=devpts,target=/p,mode=0600,max=5")
    found = shell(busybox, script, "--runtime", runtime, *mounts)
    assert sorted(found) == sorted(["/r", "ramfs", "/p", "devpts", "x"])


def test_a_volume_that_starts_as_a_copy_of_an_image(define: Define, busybox: str, files: str) -> None:
    """Driver=image: writable, kept, and for every container that mounts it; also when the first one mounts a part of
    it, or an overlay over it."""
    define("site", f"[Volume]\nDriver=image\nImage={files}\n", suffix=".volume")
    define("part", f"[Volume]\nDriver=image\nImage={files}\n", suffix=".volume")
    text = f"[Container]\nImage={busybox}\nNetwork=none\nVolume=site.volume:/m\nExec=sh -c 'echo 3 > /m/sub/three'\n"
    unit = define("reader", text)
    try:
        assert shell(busybox, "ls /m/sub; echo x > /m/x", "-v", "site:/m:O") == ["one", "two"]
        assert not (STATE / "volumes/site/x").exists()
        assert shell(busybox, "ls /m", "--mount", "source=part,target=/m,subpath=sub") == ["one", "two"]
        for _ in range(2):
            systemctl("start", unit)
            wait_until((STATE / "volumes/site/sub/three").exists, what="the container has written")
        sub = STATE / "volumes/site/sub"
        assert sorted(path.name for path in sub.iterdir()) == ["one", "three", "two"]
        assert (sub / "two").read_text() == "2" and (sub / "two").stat().st_uid == 33
    finally:
        systemctl("stop", unit)
        ctrctl("rm", "--force", "reader")
        ctrctl("volume", "rm", "site", "part")
