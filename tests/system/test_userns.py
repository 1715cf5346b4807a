"""Containers whose users are others on the host: what they can do inside, and what they are outside."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import RUNTIME, STATE, ctrctl, main_pid, messages, run, service, show, systemctl, wait_until
from netkit import served

Define = Callable[..., str]
Tidy = Callable[[str], str]
Image = Callable[[str], str]

#: Ends on SIGTERM, at once.
WAIT = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

NGINX = """
user www-data;
events {}
http { access_log /dev/stdout; server { listen 80; location / { return 200 'welcome'; } } }
"""


def definition(image: str, *lines: str) -> str:
    return "\n".join(("[Container]", f"Image={image}", *lines, ""))


def inside(name: str, script: str) -> str:
    return ctrctl("exec", name, "sh", "-c", script).stdout.strip()


def ranges(name: str, kind: str = "uid") -> list[list[int]]:
    """The kernel's own word on the users of a container's init: first inside, first outside, how many."""
    text = Path(f"/proc/{main_pid(name)}/{kind}_map").read_text()
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


@pytest.fixture
def directory() -> Iterator[Path]:
    """On the file system of our state: the test's own may be one that maps no users."""
    path = STATE / "test-userns"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def test_auto(image: Image, busybox: str, define: Define, directory: Path) -> None:
    """nginx binds port 80, writes to /dev/stdout and switches users inside, is reached from outside, and is nobody the
    host knows; another container has none of its users. What is written to a volume keeps the container's numbers, also
    when it is given other ones of the host."""
    settings = directory / "nginx.conf"
    settings.write_text(NGINX)
    lines = ("PublishPort=8480:80", "Volume=shared:/data", f"Volume={settings}:/etc/nginx/nginx.conf:ro")
    define("site", definition(image("nginx"), "UserNS=auto", *lines), apply=False)
    define("other", definition(busybox, "UserNS=auto", f'Exec=sh -c "{WAIT}"'))
    try:
        systemctl("start", service("site"), service("other"))
        served("127.0.0.1", 8480, "welcome")
        ((_, first, length),) = ranges("site")
        ((_, second, _),) = ranges("other")
        assert length == 65536 and abs(first - second) >= 65536 and min(first, second) > 600100000
        pids = run("pgrep", "-P", str(main_pid("site"))).stdout.split()
        assert {os.stat(f"/proc/{pid}").st_uid for pid in pids} == {first + 33}
        wait_until(lambda: any("GET /" in m for m in messages(unit=service("site"))), what="the request is logged")
        inside("site", "touch /data/mine && chown 33:44 /data/mine && echo x >> /etc/hosts")
        assert owner(STATE / "volumes/shared/mine") == (33, 44)
        assert int(ctrctl("inspect", "--field", "users.uids.0.host", "site").stdout) == first
        define("site", definition(image("nginx"), "UserNS=auto:size=70000", *lines))
        served("127.0.0.1", 8480, "welcome")
        ((_, moved, length),) = ranges("site")
        assert length == 70000
        assert all(moved + length <= start or moved >= start + 65536 for start in (first, second))
        assert inside("site", "stat -c '%u %g' /data/mine") == "33 44"
        assert owner(STATE / "volumes/shared/mine") == (33, 44)
    finally:
        ctrctl("rm", "--force", "site", check=False)
        ctrctl("volume", "rm", "shared", check=False)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_a_person_does_with_it(busybox: str, tidy: Tidy, runtime: str, directory: Path) -> None:
    """exec, cp both ways, secrets, the image's content in a volume, ping, an idmapped bind mount, and files that stay
    over a restart: in each the container's own numbers."""
    name = tidy(f"mapped-{runtime}")
    ctrctl("secret", "create", "--replace", "mapped", "-", stdin="hidden")
    (directory / "theirs").touch()
    os.chown(directory / "theirs", 7, 8)
    try:
        ctrctl(
            "run", "-d", "--name", name, "--runtime", runtime, "--userns", "auto", "--network", "none", "--user", "5:6",
            "--secret", "mapped,uid=5,gid=6,mode=0400", "-v", f"{name}:/usr/share", "-v", f"{name}-own:/own:U",
            "-v", f"{directory}:/host", "-v", f"{directory}:/mapped:idmap", busybox, "sh", "-c", WAIT,
        )  # fmt: skip
        seen = inside(name, "id -u; id -g; cat /run/secrets/mapped; stat -c %u:%g /run/secrets/mapped /own")
        assert seen.split() == ["5", "6", "hidden5:6", "5:6"]
        assert owner(STATE / f"volumes/{name}-own") == (5, 6)
        (first,) = ranges(name)
        # Without 'idmap' the host's numbers are what they are, and so nobody's in there.
        assert inside(name, "stat -c %u:%g /host/theirs /mapped/theirs").split() == ["65534:65534", "7:8"]
        ctrctl("exec", "-u", "0", name, "sh", "-c", "echo > /mapped/ours && chown 9:10 /mapped/ours")
        assert owner(directory / "ours") == (9, 10)
        source = directory / "sent"
        source.write_text("sent")
        os.chown(source, 200000, 200001)  # nobody's inside, and nobody asks without --archive
        ctrctl("cp", source, f"{name}:/tmp/")
        os.chown(source, 70, 71)
        ctrctl("cp", "--archive", source, f"{name}:/tmp/kept")
        assert inside(name, "cat /tmp/sent; stat -c %u:%g /tmp/sent /tmp/kept").split() == ["sent0:0", "70:71"]
        ctrctl("cp", "--archive", f"{name}:/tmp/kept", directory / "back")
        ctrctl("cp", f"{name}:/tmp/kept", directory / "mine")
        assert (owner(directory / "back"), owner(directory / "mine")) == ((70, 71), (0, 0))
        assert ctrctl("exec", "-u", "0", name, "sh", "-c", "echo out > /dev/stdout").stdout == "out\n"
        ctrctl("exec", "-u", "0", name, "sh", "-c", "echo x > /root/x && chown 9:9 /root/x && ip link set lo up")
        assert owner(STATE / f"containers/{name}/layer/upper/root/x") == (9, 9)
        ctrctl("restart", name)
        assert (ranges(name), inside(name, "ls -ln /usr/share >/dev/null && stat -c %u /root")) == ([first], "0")
        assert ctrctl("exec", "-u", "0", name, "stat", "-c", "%u:%g", "/root/x").stdout == "9:9\n"
    finally:
        ctrctl("rm", "--force", "--volumes", name, check=False)
        ctrctl("volume", "rm", name, f"{name}-own", check=False)
        ctrctl("secret", "rm", "--force", "mapped", check=False)


def test_health(busybox: str, define: Define) -> None:
    """Probes run as the container's own users."""
    lines = ("UserNS=auto", "HealthCmd=test $(id -u) = 0", "HealthInterval=1s", "Notify=healthy", "StopSignal=SIGKILL")
    unit = define("sound", definition(busybox, *lines, "Exec=sleep 1000"))
    systemctl("start", unit)
    assert ctrctl("inspect", "--field", "health.status", "sound").stdout.strip() == "healthy"


def test_other_networks_and_mappings(busybox: str, tidy: Tidy) -> None:
    """The host's network and another container's, without power over it; a mapping of one's own; every user itself."""
    start = ("run", "-d", "--stop-signal", "SIGKILL", "--userns", "auto")
    ctrctl(*start, "--name", tidy("in-host"), "--network", "host", busybox, "sleep", "1000")
    ctrctl(*start, "--name", tidy("owner"), busybox, "sleep", "1000")
    ctrctl(*start, "--name", tidy("guest"), "--network", "container:owner", busybox, "sleep", "1000")
    for name, allowed in (("in-host", False), ("guest", False), ("owner", True)):
        done = ctrctl("exec", "--privileged", name, "ip", "link", "set", "lo", "mtu", "65536", check=False)
        assert (done.returncode == 0) is allowed, f"{name}: {done.stderr}"
        assert inside(name, "test -d /sys/class && test -d /proc/self && echo yes") == "yes"
    assert len({ranges(name)[0][1] for name in ("in-host", "owner", "guest")}) == 3
    script = "id -u; cat /proc/self/uid_map"
    kept = ctrctl("run", "--rm", "--userns", "keep-id:uid=7,gid=8", busybox, "sh", "-c", script)
    assert kept.stdout.split() == ["7", "0", "0", "4294967295"]
    maps = ("--uidmap", "0:3000000:1000", "--uidmap", "+7:7:1", "--gidmap", "0:4000000:50")
    mapped = ctrctl("run", "--rm", *maps, busybox, "cat", "/proc/self/uid_map", "/proc/self/gid_map")
    rows = [line.split() for line in mapped.stdout.splitlines()]
    assert rows == [["0", "3000000", "7"], ["7", "7", "1"], ["8", "3000008", "992"], ["0", "4000000", "50"]]
    refused = ctrctl("run", "--rm", *maps, "--user", "5000", busybox, "id", check=False)
    assert refused.returncode and "user 5000: is not among the 1000 of its user namespace" in refused.stderr


def test_subordinate_users(busybox: str, define: Define, subordinate: None) -> None:
    """SubUIDMap= and SubGIDMap=: what /etc/subuid and /etc/subgid give to two names, every range of it."""
    lines = ("SubUIDMap=tenants", "SubGIDMap=tenant-groups", "Network=none", "StopSignal=SIGKILL", "Exec=sleep 1000")
    systemctl("start", define("subordinate", definition(busybox, *lines)))
    assert ranges("subordinate") == [[0, 5000000, 1000], [1000, 5100000, 500]]
    assert ranges("subordinate", "gid") == [[0, 6000000, 700]]


@pytest.fixture
def subordinate() -> Iterator[None]:
    """Ranges of their own for a user and a group that need not exist."""
    texts = {Path("/etc/subuid"): "tenants:5000000:1000\ntenants:5100000:500\n", Path("/etc/subgid"): ""}
    texts[Path("/etc/subgid")] = "tenant-groups:6000000:700\n"
    before = {path: path.read_text() for path in texts}
    for path, text in texts.items():
        path.write_text(before[path] + text)
    yield
    for path, text in before.items():
        path.write_text(text)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_hosts_sysfs_is_sealed(busybox: str, runtime: str) -> None:
    """Root of a container with the host's network, and no other numbers than the host's, cannot write to what the host
    has mounted below /sys."""
    place = Path("/sys/kernel/debug")
    run("mount", "-t", "tmpfs", "tmpfs", place)
    try:
        options = ("--rm", "--runtime", runtime, "--userns", "keep-id:uid=0,gid=0", "--network", "host")
        done = ctrctl("run", *options, busybox, "sh", "-c", f"id -u; echo x > {place}/x", check=False)
        assert done.stdout == "0\n" and done.returncode == 1
        assert not (place / "x").exists()
    finally:
        run("umount", place)


def test_a_directory_as_root(busybox: str, define: Define, tidy: Tidy, directory: Path) -> None:
    """Rootfs= of files that are root's on disk: the container's root owns them, and what it makes is root's there."""
    root = directory / "root"
    root.mkdir()
    ctrctl("run", "-d", "--stop-signal", "SIGKILL", "--name", tidy("original"), busybox, "sleep", "1000")
    ctrctl("cp", "original:/usr", root)
    (root / "bin").symlink_to("usr/bin")
    script = "echo x > /made; exec sleep 1000"
    define("directory", f"[Container]\nRootfs={root}\nUserNS=auto\nStopSignal=SIGKILL\nExec=/bin/sh -c '{script}'\n")
    systemctl("start", service("directory"))
    wait_until((root / "made").exists, what="it has made a file")
    assert owner(root / "made") == (0, 0)


def test_killed_half_way(busybox: str, define: Define) -> None:
    """ctr-netns is killed when the user namespace is there and the network is not: nothing of it stays, and the next
    start works."""
    unit = define("torn", definition(busybox, "UserNS=auto", "StopSignal=SIGKILL", "Exec=sleep 1000"))
    place = RUNTIME / "namespaces/torn/user"
    RUNTIME.mkdir(exist_ok=True)
    lock = os.open(RUNTIME / "network.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        systemctl("start", "--no-block", unit)
        wait_until(lambda: os.path.ismount(place), what="the user namespace is there")
        pid = wait_until(lambda: int(show("ctr-netns@torn.service", "MainPID")["MainPID"]), what="ctr-netns runs")
        os.kill(pid, 9)
    finally:
        os.close(lock)
    wait_until(lambda: not place.parent.exists(), what="its end has removed the namespace")
    wait_until(lambda: "torn" not in systemctl("list-jobs", "--no-legend").stdout, what="the start is given up")
    wait_until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", what="the container does not run without")
    systemctl("reset-failed", unit, "ctr-netns@torn.service", check=False)
    systemctl("start", unit)
    assert os.path.ismount(place) and ranges("torn")[0][2] == 65536
