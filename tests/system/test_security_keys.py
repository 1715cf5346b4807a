"""Security options and devices, seen from inside the container. This host has no SELinux; what AppArmor does is in
test_apparmor.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import hostkit
import pytest
from hostkit import DEFINITIONS, ctrctl, is_active, main_pid, systemctl, wait_until

Define = Callable[..., str]
RUNTIMES = ("crun", "runc")
ALONE = ("--rm", "--network", "none")
SPECS = Path("/etc/cdi")
LOG = Path("/run/cdi-hooks.log")


@pytest.fixture
def toy() -> Iterator[Path]:
    """A vendor's description of one device, vendor.com/toy=one; its hooks write to LOG."""
    SPECS.mkdir(exist_ok=True)
    path = SPECS / "vendor.json"
    made = [path, LOG]

    def hook(name: str) -> dict[str, object]:
        # It reads the state it is given: crun 1.8.1 fails when a hook ends before that is written.
        return {"hookName": name, "path": "/bin/sh", "args": ["sh", "-c", f"cat >/dev/null; echo {name} >> {LOG}"]}

    edits = {
        "env": ["TOY=1"],
        "deviceNodes": [{"path": "/dev/toy", "hostPath": "/dev/zero", "permissions": "r"}],
        "mounts": [{"hostPath": "/etc/debian_version", "containerPath": "/toy/version", "options": ["ro", "bind"]}],
        "hooks": [hook("createRuntime"), hook("poststop")],
        "additionalGids": [4242],
    }
    path.write_text(
        json.dumps(
            {
                "cdiVersion": "0.7.0",
                "kind": "vendor.com/toy",
                "devices": [{"name": "one", "containerEdits": edits}],
                "containerEdits": {"env": ["TOYS=1"]},
            }
        )
    )
    yield path
    for file in made:
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_masks(busybox: str, runtime: str) -> None:
    """What is masked cannot be read, what is unmasked can, and /proc/sys can be written when it is asked for."""
    script = "cat /proc/version; wc -c < /proc/keys; grep ' /proc/sys .*ro,' /proc/mounts"
    words = ("--runtime", runtime, busybox, "sh", "-c", script)
    usual = ctrctl("run", *ALONE, *words, check=False).stdout.splitlines()
    assert usual[0].startswith("Linux version") and usual[1] == "0" and "/proc/sys" in usual[2]
    options = ("--security-opt", "mask=/proc/version", "--security-opt", "unmask=/proc/*")
    assert ctrctl("run", *ALONE, *options, *words, check=False).stdout.splitlines()[1:] == []


def test_seccomp(define: Define, busybox: str) -> None:
    """A profile of the definition's own applies; its change is noticed by the next apply; an invalid one is an error
    that names it, and the container goes on."""
    profile = DEFINITIONS / "no-chmod.json"
    rule = {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    try:
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
        text = f"""
            [Container]
            Image={busybox}
            Network=none
            SeccompProfile=no-chmod.json
            Exec=sh -c 'chmod 700 /tmp 2>/dev/null && echo allowed; sleep 1000'
            StopTimeout=0
            """
        unit = define("filtered", text)
        systemctl("start", unit)
        main_pid("filtered")
        denied = ctrctl("exec", "filtered", "chmod", "700", "/tmp", check=False)
        assert "Function not implemented" in denied.stderr
        profile.write_text("{")
        refused = ctrctl("apply", check=False)
        assert refused.returncode != 0 and str(profile) in refused.stderr and is_active(unit)
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
        assert "filtered: changed and restarted" in ctrctl("apply").stdout
        main_pid("filtered")
        ctrctl("exec", "filtered", "chmod", "700", "/tmp")
    finally:
        profile.unlink()


@pytest.mark.skipif(hostkit.has_apparmor(), reason="this host has AppArmor; see test_apparmor.py")
def test_modules_that_the_host_lacks_are_skipped_aloud(define: Define, busybox: str) -> None:
    """A warning with file, line and key, and the container runs."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nAppArmor=strict\nSecurityLabelType=a_t\nExec=true\n"
    define("labelled", text, apply=False)
    told = ctrctl("apply").stderr
    assert "labelled.container:4: AppArmor=: has no effect on this host" in told
    assert "labelled.container:5: SecurityLabelType=: has no effect on this host" in told
    run = ctrctl("run", *ALONE, "--security-opt", "apparmor=strict", busybox, "echo", "ran")
    assert run.stdout == "ran\n" and "no AppArmor" in run.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_of_a_vendor(busybox: str, toy: Path, runtime: str) -> None:
    """Its variables, node, mount and group; the node opens as far as the vendor allows; its hooks are executed, the
    last one when the container has ended."""
    script = (
        "echo $TOY$TOYS; head -c 3 /dev/toy | wc -c; cat /toy/version; id -G; "
        "(echo > /dev/toy) 2>/dev/null && echo written; cat /proc/self/mountinfo | grep -c /toy/version"
    )
    words = ("--device", "vendor.com/toy=one", "--runtime", runtime, busybox, "sh", "-c", script)
    lines = ctrctl("run", *ALONE, *words).stdout.splitlines()
    assert lines[:2] == ["11", "3"]
    assert lines[2] == Path("/etc/debian_version").read_text().strip()
    assert "4242" in lines[3].split() and lines[-1] == "1"
    wait_until(lambda: LOG.read_text().split() == ["createRuntime", "poststop"], what="the hooks are executed")


def test_a_description_in_yaml(define: Define, busybox: str) -> None:
    """As nvidia-ctk writes it: ctrctl, which runs without site packages, reads it at apply. A mistake in it has file
    and line; its change is a changed container."""
    SPECS.mkdir(exist_ok=True)
    path = SPECS / "vendor.yaml"
    edits = "containerEdits: {env: [TOY=1], deviceNodes: [{path: /dev/toy, hostPath: /dev/zero, fileMode: 0640}]}"
    text = f'---\ncdiVersion: 0.6.0\nkind: vendor.com/toy\ndevices:\n- name: "0"\n  {edits}\n'
    definition = f"""
        [Container]
        Image={busybox}
        Network=none
        AddDevice=vendor.com/toy=0
        Exec=sleep 1000
        StopTimeout=0
        """
    try:
        path.write_text(text.replace('"0"', "on"))
        unit = define("toyed", definition, apply=False)
        told = ctrctl("apply", check=False)
        assert told.returncode != 0
        assert f"{path}:5: devices[0].name: is not a text: on is a truth value in YAML; put it in quotes" in told.stderr
        path.write_text(text)
        ctrctl("check", "--plan")
        ctrctl("apply")
        systemctl("start", unit)
        main_pid("toyed")
        script = "echo $TOY; head -c 3 /dev/toy | wc -c; stat -c %a /dev/toy"
        assert ctrctl("exec", "toyed", "sh", "-c", script).stdout.split() == ["1", "3", "640"]
        path.write_text(text.replace("TOY=1", "TOY=2"))
        assert "toyed: changed and restarted" in ctrctl("apply").stdout
        main_pid("toyed")
        assert ctrctl("exec", "toyed", "sh", "-c", "echo $TOY").stdout == "2\n"
    finally:
        path.unlink()


def test_a_device_that_is_not_there(busybox: str, toy: Path) -> None:
    """The message says what there is; one that may be missing is left out."""
    told = ctrctl("run", *ALONE, "--device", "vendor.com/toy=two", busybox, "true", check=False)
    assert told.returncode == 125 and "there is vendor.com/toy=one" in told.stderr
    told = ctrctl("run", *ALONE, "--gpus", "all", busybox, "true", check=False)
    assert "device nvidia.com/gpu=all: no specification describes it" in told.stderr
    toy.write_text("{")
    told = ctrctl("run", *ALONE, "--device", "vendor.com/toy=one", busybox, "true", check=False)
    assert f"{toy}:1: cannot be read" in told.stderr
    told = ctrctl("run", *ALONE, "--device=-/dev/nosuch", "--device=-/dev/zero:/dev/z", busybox, "ls", "/dev/z")
    assert told.stdout == "/dev/z\n"


def test_capabilities(busybox: str) -> None:
    """None but those that are added, also for another user than root, whose programs keep them."""
    bits = "grep -E 'Cap(Eff|Bnd|Amb)' /proc/self/status | cut -f2"
    words = ("--cap-drop", "all", "--cap-add", "chown", "--cap-add", "net_raw", busybox, "sh", "-c", bits)
    mask = f"{1 << 0 | 1 << 13:016x}"
    assert ctrctl("run", *ALONE, *words).stdout.split() == [mask, mask, "0" * 16]
    assert ctrctl("run", *ALONE, "--user", "33", *words).stdout.split() == [mask, mask, mask]
