"""ctrctl apply and rm on a real systemd: what is kept, restarted, refused and removed, and what a container may do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import DEFINITIONS, STATE, ctrctl, is_active, main_pid, run, service, show

Define = Callable[..., str]

SLEEPER = """\
[Container]
Image={image}
Network=none
StopTimeout=1
Environment=VERSION={version}
Exec=sleep 1000
"""

FIVE_MISTAKES = """\
[Container]
Image={image}
StopTimeout=never
PublishPort=80:x
Nonsense=1
Ulimit=nofile
WorkingDir=relative
"""


def deployed(name: str) -> dict[str, object]:
    """config.json of a deployed container."""
    document: dict[str, object] = json.loads((STATE / "containers" / name / "config.json").read_text())
    return document


def test_a_definition_with_five_mistakes_changes_nothing(define: Define, busybox: str) -> None:
    """Five messages with file and line, exit status 1, and the old version runs on."""
    unit = define("web", SLEEPER.format(image=busybox, version=1))
    run("systemctl", "start", unit)
    before = main_pid("web")
    define("web", FIVE_MISTAKES.format(image=busybox), apply=False)
    refused = ctrctl("apply", check=False)
    assert refused.returncode == 1
    for line in (3, 4, 5, 6, 7):
        assert f"{DEFINITIONS}/web.container:{line}: " in refused.stderr
    assert is_active(unit) and main_pid("web") == before


def test_only_what_changed_is_restarted(define: Define, busybox: str) -> None:
    """Of two running containers the changed one gets a new init, and systemd needs no reload afterwards."""
    for name in ("one", "two"):
        run("systemctl", "start", define(name, SLEEPER.format(image=busybox, version=1)))
    before = {name: main_pid(name) for name in ("one", "two")}
    define("one", SLEEPER.format(image=busybox, version=2) + "[Service]\nRestartSec=7\n")
    assert main_pid("two") == before["two"]
    assert main_pid("one") != before["one"]
    assert show(service("one"), "NeedDaemonReload", "RestartUSec") == {"NeedDaemonReload": "no", "RestartUSec": "7s"}
    assert "2 containers unchanged" in ctrctl("apply").stdout


def test_a_removed_definition_takes_its_container_along(define: Define, busybox: str) -> None:
    """Stopped, and neither state nor drop-in nor link is left."""
    text = SLEEPER.format(image=busybox, version=1) + "[Install]\nWantedBy=multi-user.target\n"
    unit = define("web", text)
    run("systemctl", "start", unit)
    link = Path(f"/etc/systemd/system/multi-user.target.wants/{unit}")
    assert link.is_symlink()
    (DEFINITIONS / "web.container").unlink()
    assert "web: removed" in ctrctl("apply").stdout
    assert not is_active(unit)
    assert not link.is_symlink()
    assert not (STATE / "containers/web").exists()
    assert not Path(f"/etc/systemd/system/{unit}.d").exists()


def test_one_file_may_name_a_container_that_is_deployed(define: Define, busybox: str) -> None:
    """`ctrctl apply FILE` knows the containers that earlier applies deployed: After=db.container is ctr@db.service."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nExec=true\n"
    define("db", text)
    define("web", f"[Unit]\nAfter=db.container\n{text}", apply=False)
    ctrctl("apply", "/etc/ctr/web.container")
    assert service("db") in show(service("web"), "After")["After"].split()


def test_rm_refuses_a_running_container(define: Define, busybox: str) -> None:
    """Without --force it says what to do; with it the container goes."""
    unit = define("web", SLEEPER.format(image=busybox, version=1))
    run("systemctl", "start", unit)
    refused = ctrctl("rm", "web", check=False)
    assert refused.returncode == 125
    assert "is running; stop it first or use --force" in refused.stderr
    assert is_active(unit)
    ctrctl("rm", "--force", "web")
    assert not is_active(unit) and not (STATE / "containers/web").exists()


@pytest.fixture
def full(define: Define, busybox: str) -> Iterator[Path]:
    """A container that runs, and a state directory without a free byte."""
    unit = define("web", SLEEPER.format(image=busybox, version=1))
    run("systemctl", "start", unit)
    directory = STATE / "containers"
    aside = STATE / "containers.aside"
    run("cp", "-a", directory, aside)
    run("mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "full", directory)
    try:
        run("cp", "-a", f"{aside}/web", directory)
        subprocess.run(("dd", "if=/dev/zero", f"of={directory}/web/filler"), capture_output=True, check=False)
        yield directory
    finally:
        run("umount", directory)
        shutil.rmtree(aside)


def test_a_full_disk_keeps_the_old_version(full: Path, define: Define, busybox: str) -> None:
    """ENOSPC is said as such, nothing half-written stays, the old version runs on."""
    before = main_pid("web")
    define("web", SLEEPER.format(image=busybox, version=2), apply=False)
    refused = ctrctl("apply", check=False)
    assert refused.returncode == 125
    assert "no space left on device; nothing was changed; free some space" in refused.stderr
    assert main_pid("web") == before
    assert "VERSION=1" in (full / "web/config.json").read_text()
    assert [p.name for p in full.iterdir()] == ["web"]
    assert len(list((full / "web").glob("v.*"))) == 1


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_container_is_confined(define: Define, busybox: str, runtime: str) -> None:
    """podman's default capabilities, a seccomp filter, a device policy that a privileged mknod does not get around,
    masked and read-only paths, the root's limits: seen from inside, with either runtime."""
    settings = DEFINITIONS / "ctr.conf"
    settings.write_text(f"[ctr]\nruntime={runtime}\n")
    try:
        unit = define(
            "cage",
            f"""\
            [Container]
            Image={busybox}
            Network=none
            ReadOnly=yes
            AddCapability=MKNOD
            Volume=cage-data:/data
            Exec=sleep 1000
            """,
        )
        run("systemctl", "start", unit)
        assert f"runtime={runtime}\n" in (STATE / "containers/cage/plan").read_text()

        def inside(command: str) -> str:
            return ctrctl("exec", "cage", "sh", "-c", f"exec 2>&1; {command}", check=False).stdout

        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{main_pid('cage')}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["CapEff"] == status["CapBnd"] == "00000000880405fb"
        assert status["Seccomp"] == "2"
        assert "Read-only file system" in inside("touch /x")
        assert inside("echo yes > /data/x && echo yes > /tmp/x && cat /data/x") == "yes\n"
        assert "Read-only file system" in inside("echo 1 > /proc/sys/kernel/domainname")
        assert inside("ls /sys/firmware") == ""
        assert "zero" in inside("head -c 1 /dev/zero > /dev/null && echo zero")
        # Nodes may be made (AddCapability=MKNOD), but the scope's policy says which may be opened: /dev/kmsg not.
        assert "Operation not permitted" in inside("mknod /dev/kmsg c 1 11 && cat /dev/kmsg")
    finally:
        ctrctl("rm", "--force", "cage", check=False)
        shutil.rmtree(STATE / "volumes/cage-data", ignore_errors=True)
        settings.unlink()


@pytest.mark.skipif(not shutil.which("podman"), reason="podman, to compare with, is not installed")
@pytest.mark.parametrize("options", [(), ("--cap-add=SYS_ADMIN", "--cap-drop=CHOWN")])
def test_seccomp_and_capabilities_are_podmans(define: Define, busybox: str, options: tuple[str, ...]) -> None:
    """The same filter, rule by rule, and the same capabilities as podman writes on this very host."""
    root = Path("/var/tmp/podman-root")
    root.mkdir()
    name = "ctr-compare"
    try:
        run("podman", "create", "--name", name, "--network=none", "--pids-limit=0", *options, "--rootfs", root, "true")
        # Only at start does podman write config.json; whether the empty root then runs does not matter.
        run("podman", "start", name, check=False)
        ident = run("podman", "inspect", "--format={{.Id}}", name).stdout.strip()
        directory = Path("/var/lib/containers/storage/overlay-containers", ident, "userdata")
        theirs = json.loads((directory / "config.json").read_text())
    finally:
        run("podman", "rm", "-f", name, check=False)
        shutil.rmtree(root, ignore_errors=True)
    extra = "AddCapability=SYS_ADMIN\nDropCapability=CHOWN\n" if options else ""
    define("web", SLEEPER.format(image=busybox, version=1) + extra)
    ours = json.loads((STATE / "containers/web/config.json").read_text())
    assert ours["process"]["capabilities"]["bounding"] == theirs["process"]["capabilities"]["bounding"]

    def rules(document: dict[str, dict[str, dict[str, list[dict[str, object]]]]]) -> list[str]:
        return [json.dumps(rule, sort_keys=True) for rule in document["linux"]["seccomp"]["syscalls"]]

    assert rules(ours) == rules(theirs)
