"""What the kernel's security modules are told: as podman decides it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import oci
from supervisor.render.facts import DeviceNode, HostText
from supervisor.render.users import Accounts
from supervisor.spec.security import Security
from tests.unit.render.sample import FACTS, IMAGE, PROFILE, container

TIGHT = HostText("/etc/tight.json", PROFILE.replace("read", "write"))
NODES = (
    DeviceNode("/dev/snd/timer", "c", 116, 33, 0o660),
    DeviceNode("/dev/snd/by/card", "c", 116, 1, 0o660),
    DeviceNode("/dev/sndx", "c", 1, 1, 0o660),
)


def config(security: Security, changes: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    known = dataclasses.replace(FACTS, **{"seccomp_profiles": (TIGHT,), **facts})
    return oci.config(container(security=security, **(changes or {})), IMAGE, Accounts(), known, Layout())


def names(document: dict[str, Any]) -> list[str]:
    return [name for rule in document["linux"]["seccomp"]["syscalls"] for name in rule["names"]]


def test_seccomp() -> None:
    """The default, the profile that is named, or none; a privileged container has only one that is named."""
    assert names(config(Security())) == ["read"]
    assert names(config(Security(seccomp=TIGHT.path))) == ["write"]
    assert "seccomp" not in config(Security(seccomp="unconfined"))["linux"]
    assert "seccomp" not in config(Security(), {"privileged": True})["linux"]
    assert names(config(Security(seccomp=TIGHT.path), {"privileged": True})) == ["write"]


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (HostText("/p", problem="no such file or directory"), "seccomp profile /p: no such file"),
        (HostText("/p", "{"), "/p: seccomp profile: not in the format"),
        (HostText("/p", '{"defaultAction": "x", "syscalls": [{}]}'), "/p: seccomp profile: not in the format"),
        (HostText("/other", "{}"), "seccomp profile /p: not there"),
    ],
)
def test_a_bad_profile_is_named(profile: HostText, message: str) -> None:
    """With its path and the reason."""
    with pytest.raises(UserError, match=message):
        config(Security(seccomp="/p"), seccomp_profiles=(profile,))


def test_apparmor() -> None:
    """A loaded profile is applied; an unknown one is refused with what loads it; without AppArmor there is nothing."""
    loaded = frozenset({"strict"})
    assert config(Security(apparmor="strict"), apparmor=loaded)["process"]["apparmorProfile"] == "strict"
    assert config(Security(apparmor="unconfined"), apparmor=loaded)["process"]["apparmorProfile"] == "unconfined"
    assert "apparmorProfile" not in config(Security(), apparmor=loaded)["process"]
    assert "apparmorProfile" not in config(Security(apparmor="strict"), apparmor=None)["process"]
    usual = loaded | {"ctr-default"}
    assert config(Security(), apparmor=usual)["process"]["apparmorProfile"] == "ctr-default"
    assert "apparmorProfile" not in config(Security(), {"privileged": True}, apparmor=usual)["process"]
    named = config(Security(apparmor="strict"), {"privileged": True}, apparmor=usual)
    assert named["process"]["apparmorProfile"] == "strict"
    with pytest.raises(UserError, match="'nosuch': is not loaded on this host; load its file with 'apparmor_parser"):
        config(Security(apparmor="nosuch"), apparmor=loaded)


def test_the_control_group() -> None:
    """Writable when it is unmasked, and only then."""

    def access(security: Security) -> str:
        mounts = {m["destination"]: m["options"] for m in config(security)["mounts"]}
        return str(mounts["/sys/fs/cgroup"][-1] + mounts["/sys"][-1])

    assert access(Security()) == "roro"
    assert access(Security(unmask=("/sys/fs/cgroup",))) == access(Security(unmask=("all",))) == "rwro"


def test_a_directory_of_devices() -> None:
    """All nodes below it, under the wanted directory; a name that only begins alike is not below."""
    found = config(Security(), {"devices": ("/dev/snd:/dev/sound:r",)}, devices=NODES)["linux"]["devices"]
    assert [node["path"] for node in found] == ["/dev/sound/timer", "/dev/sound/by/card"]
    with pytest.raises(UserError, match="/dev/dri: no such device node on this host, nor a directory"):
        config(Security(), {"devices": ("/dev/dri:/dev/dri:rwm",)}, devices=NODES)


def test_a_device_that_may_be_missing() -> None:
    """Is there where the host has it, and left out where not."""
    wanted = {"devices": ("-/dev/sndx:/dev/sndx:rwm", "-/dev/nosuch:/dev/nosuch:rwm")}
    found = config(Security(), wanted, devices=NODES)["linux"]["devices"]
    assert [node["path"] for node in found] == ["/dev/sndx"]


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("CAP_SYS_TIME",), ("ALL",), ["CAP_SYS_TIME"]),
        (("CAP_SYS_TIME",), ("ALL", "CAP_SYS_TIME"), ["CAP_SYS_TIME"]),
        ((), ("ALL",), []),
    ],
)
def test_all_and_exceptions(add: tuple[str, ...], drop: tuple[str, ...], expected: list[str]) -> None:
    """containers/common, MergeCapabilities: dropping ALL leaves what is added."""
    found = config(Security(), {"add_capabilities": add, "drop_capabilities": drop})["process"]["capabilities"]
    assert found["bounding"] == found["effective"] == expected and found["ambient"] == []


def test_adding_all_but_one() -> None:
    """Also one that is named on both sides; without ALL that is a contradiction, and ALL on both sides too."""
    wanted = {"add_capabilities": ("ALL", "CAP_CHOWN"), "drop_capabilities": ("CAP_CHOWN",), "user": "33"}
    found = config(Security(), wanted)["process"]["capabilities"]
    assert set(found["bounding"]) == FACTS.capabilities - {"CAP_CHOWN"}
    assert found["ambient"] == found["effective"] == found["bounding"]
    for both in (("CAP_CHOWN",), ("ALL",)):
        with pytest.raises(UserError, match="both added and dropped"):
            config(Security(), {"add_capabilities": both, "drop_capabilities": both})
